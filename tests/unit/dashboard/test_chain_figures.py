"""Figures of chains: what is drawn is what the records say."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from option_chains import CALL, EXPIRY, PUT, chain_of, leg, smile_chain
from shown_chains import shown, stored

from data_fetch.analytics.surface import Smile, surface
from data_fetch.dashboard import chain_figures as figures
from data_fetch.dashboard.ladder import ladder_of

YEARS = 0.0361


def traces(figure: Any) -> dict[str, tuple[list[Any], list[Any]]]:
    return {each.name: (list(each.x), list(each.y)) for each in figure.data}


def a_smile() -> Smile:
    chain = smile_chain(forward=24_050.0, years=YEARS, rate=0.06)
    [found] = surface([stored(chain).summary.priced]).smiles
    return found


def test_the_day_is_in_indian_time_with_gaps_where_a_figure_is_unknown() -> None:
    table = pa.table(
        {
            "at": [
                datetime(2026, 9, 16, 4, 0, tzinfo=UTC),
                datetime(2026, 9, 16, 4, 5, tzinfo=UTC),
            ],
            "pcr_oi": [0.9, None],
            "straddle": [240.5, 241.5],
        }
    )

    found = traces(figures.over_the_day(table, "pcr_oi", "straddle"))

    times = [datetime(2026, 9, 16, 9, 30), datetime(2026, 9, 16, 9, 35)]  # noqa: DTZ001
    assert found == {"PCR": (times, [0.9, None]), "straddle, rupees": (times, [240.5, 241.5])}


def test_a_day_of_one_snapshot_has_room_around_it() -> None:
    at = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
    table = pa.table({"at": [at], "pcr_oi": [0.9], "straddle": [240.0]})

    layout = figures.over_the_day(table, "pcr_oi", "straddle").layout

    assert [f"{end:%H:%M}" for end in layout.xaxis.range] == ["09:00", "10:00"]
    assert layout.yaxis.range == pytest.approx((0.81, 0.99))
    assert layout.yaxis2.range == pytest.approx((192, 264))


def test_open_interest_has_a_bar_for_each_leg() -> None:
    chain = chain_of([leg(90, CALL, oi=5.0), leg(90, PUT, oi=7.0), leg(100, PUT, oi=9.0)])

    found = traces(figures.open_interest(ladder_of(shown(chain))))

    assert found == {"calls": ([90, 100], [5, None]), "puts": ([90, 100], [7, 9])}


def test_a_change_is_coloured_by_what_it_means() -> None:
    legs = [
        leg(90, CALL, ltp=2.0, prev_close=1.0, oi=9.0, prev_oi=4.0),
        leg(90, PUT, ltp=2.0, prev_close=1.0, oi=9.0, prev_oi=3.0),
        leg(95, PUT, ltp=1.0, prev_close=2.0, oi=3.0, prev_oi=9.0),
        leg(99, PUT, ltp=1.0, oi=3.0),
    ]

    found = figures.build_up(ladder_of(shown(chain_of(legs))))

    assert [(each.name, list(each.x), list(each.y), each.showlegend) for each in found.data] == [
        ("long build-up", [90], [5], True),
        ("long build-up", [90], [6], False),
        ("long unwinding", [95], [-6], True),
    ]


def test_payouts_are_rupees_of_all_shares_and_least_at_max_pain() -> None:
    legs = [leg(k, CALL, oi=oi) for k, oi in ((100, 10.0), (110, 20.0), (120, 30.0))]
    legs += [leg(k, PUT, oi=oi) for k, oi in ((100, 30.0), (110, 20.0), (120, 10.0))]

    figure = figures.payouts(shown(chain_of(legs)), lot=5)

    assert figure is not None
    assert list(figure.data[0].y) == [2_000, 1_000, 2_000]
    assert "max pain 110" in [each.text for each in figure.layout.annotations]


@pytest.mark.parametrize("draw", [lambda found: figures.payouts(found, 1), figures.gamma_exposure])
def test_without_open_interest_there_is_no_figure(draw: Any) -> None:
    assert draw(shown(chain_of([leg(100, CALL, ltp=1.0)]))) is None


def test_gamma_exposure_is_up_for_calls_and_down_for_puts() -> None:
    figure = figures.gamma_exposure(shown(smile_chain(forward=24_050.0, years=YEARS, rate=0.06)))

    assert figure is not None
    found = traces(figure)
    assert min(found["calls"][1]) > 0
    assert max(found["puts"][1]) < 0


def test_smiles_are_over_the_forward_in_percent() -> None:
    smile = a_smile()

    name, (places, ivs) = next(iter(traces(figures.smiles([smile])).items()))

    assert name == f"{EXPIRY:%d %b %Y}"
    assert places[0] == smile.strikes[0] / smile.forward
    assert ivs[0] == smile.ivs[0] * 100


def test_the_term_structure_is_over_days() -> None:
    [points] = traces(figures.term_structure([a_smile()])).values()
    assert points[0][0] == pytest.approx(YEARS * 365, rel=0.05)


def test_a_surface_needs_two_expiries_and_ends_with_their_strikes() -> None:
    smile = a_smile()
    narrow = replace(smile, strikes=smile.strikes[5:], ivs=smile.ivs[5:])
    assert figures.surface([smile]) is None

    figure = figures.surface([smile, narrow])

    assert figure is not None
    places, [row, narrower] = figure.data[0].x, figure.data[0].z
    assert places[0] >= smile.strikes[0] / smile.forward
    assert row[0] is not None
    assert narrower[0] is None, "below its lowest strike"
    assert row[len(row) // 2] == pytest.approx(13, abs=1)


def test_the_map_of_a_surface_has_its_values() -> None:
    both = [a_smile(), replace(a_smile(), expiry=date(2026, 12, 29))]
    drawn = figures.surface(both)
    assert drawn is not None

    above = figures.surface_map(both).data[0]

    assert (above.x, above.z) == (drawn.data[0].x, drawn.data[0].z)
    assert above.y[1] == "29 Dec 2026"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        pytest.param([0, 55], [0, 10, 20, 30, 40, 50, 60], id="tens"),
        pytest.param([-3, 4], [-4, -2, 0, 2, 4], id="both signs"),
        pytest.param([7], [7], id="one value"),
        pytest.param([], [0], id="none"),
    ],
)
def test_axes_have_round_numbers(values: list[float], ticks: list[float]) -> None:
    assert figures.round_numbers(values) == pytest.approx(ticks)


@given(st.lists(st.floats(-1e12, 1e12).filter(lambda one: abs(one) > 1e-3), min_size=2))
def test_they_span_the_values(values: list[float]) -> None:
    ticks = figures.round_numbers(values)
    if len(ticks) > 1:
        # The last digit of a float is no gap.
        room = (ticks[-1] - ticks[0]) * 1e-9
        assert ticks[0] - room <= min(values)
        assert max(values) <= ticks[-1] + room
        assert len(ticks) <= figures.TICKS + 2


def test_quantities_are_in_lakh_and_crore() -> None:
    axis = figures.short_axis([None, 2_30_00_000.0])
    assert axis["ticktext"][:3] == ["0", "50 L", "1 Cr"]
