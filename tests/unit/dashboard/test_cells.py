"""Days and minutes as cells: the text that a browser draws, and shares that add up."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import CoverageInterval, DayCoverage, State
from data_fetch.core.candles.day_counts import DayCounts
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import midnight_number
from data_fetch.dashboard.cell_grid import corners_of, document, month_heads
from data_fetch.dashboard.cells import cell, day_cells, minute_cells, shares
from data_fetch.reading.coverage_days import CountedDay, CoverageGrid, InstrumentDays

MONDAY, TUESDAY = date(2026, 9, 14), date(2026, 9, 15)
WHOLE = DayCounts(expected=375, present=375)


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (None, "-"),
        (WHOLE, "P"),
        (DayCounts(expected=375, missed=375), "M"),
        (DayCounts(expected=375, pending=375), "W"),
        (DayCounts(expected=375, present=374, missed=1), "M1"),
        (DayCounts(expected=375, present=358, missed=5, no_trade=12), "M5n12"),
        (DayCounts(expected=375, present=363, no_trade=12), "N12"),
        (DayCounts(expected=375, no_trade=375), "N"),
        (DayCounts(expected=375, missed=300, source_empty=75), "M300e75"),
        (DayCounts(expected=375, present=5, unknown_instrument=370), "U370"),
        (DayCounts(expected=360, present=360), "P/360"),
        (DayCounts(expected=360, present=355, missed=5), "M5/360"),
        (DayCounts(expected=0, not_expected=375), "X"),
        (DayCounts(), "-"),
    ],
)
def test_a_cell_begins_with_its_worst_state(counts: DayCounts | None, text: str) -> None:
    assert cell(counts, 375) == text


def row(symbol: str, days: dict[date, DayCounts]) -> InstrumentDays:
    key = f"NSE_EQ|{symbol}"
    one = Instrument(
        instrument_key=key, live_key=key, symbol=symbol, segment="NSE_EQ", instrument_type="EQ"
    )
    return InstrumentDays(one, [CountedDay(day, key, counts) for day, counts in days.items()])


def grid(*rows: InstrumentDays) -> CoverageGrid:
    return CoverageGrid(
        interval=CandleInterval.MINUTE,
        first=MONDAY,
        last=TUESDAY,
        now=datetime(2026, 9, 15, 20, tzinfo=IST),
        changed=None,
        rows=rows,
        provisional_sessions=(),
        totals=DayCounts(),
        states={},  # type: ignore[arg-type]
    )


def test_a_grid_has_a_column_for_each_day_on_which_something_trades() -> None:
    short = DayCounts(expected=360, present=360)

    found = day_cells(
        grid(
            row("TCS", {MONDAY: short, TUESDAY: WHOLE}),
            row("M&M", {MONDAY: WHOLE}),
            row("ITC", {MONDAY: WHOLE, TUESDAY: DayCounts(expected=375, missed=375)}),
        )
    )

    assert (found.rows, found.columns) == (["TCS", "M&M", "ITC"], ["2026-09-14", "2026-09-15"])
    assert found.expected == [375, 375]
    assert found.text == "P/360P" + "P-" + "PM"


def test_the_cells_of_two_hundred_instruments_and_sixty_days_are_a_few_kilobytes() -> None:
    """Even where every day lacks some minutes."""
    counts = DayCounts(expected=375, present=360, no_trade=15)
    days = {date.fromordinal(MONDAY.toordinal() + n): counts for n in range(60)}

    found = day_cells(grid(*(row(f"SYMBOL{n}", days) for n in range(214))))

    assert len(found.text) < 40_000
    complete = day_cells(grid(*(row(f"SYMBOL{n}", dict.fromkeys(days, WHOLE)) for n in range(214))))
    assert len(complete.text) == 214 * 60


def test_minutes_are_hours_of_india_by_minutes() -> None:
    opens = midnight_number(MONDAY) + 9 * 60 + 15
    day = DayCoverage(
        instrument_key="NSE_EQ|TCS",
        interval=CandleInterval.MINUTE,
        day=MONDAY,
        intervals=(
            CoverageInterval(opens, opens + 44, State.PRESENT),
            CoverageInterval(opens + 44, opens + 46, State.MISSED),
        ),
    )

    found = minute_cells(day)

    assert found.rows == ["09", "10"]
    assert found.text == "-" * 15 + "P" * 44 + "M" + "M" + "-" * 59


@given(
    st.lists(st.integers(0, 10_000_000), min_size=6, max_size=6).filter(any),
)
def test_shares_add_up_to_a_hundred_per_cent(numbers: list[int]) -> None:
    names = ("present", "missed", "pending", "no_trade", "source_empty", "unknown_instrument")
    counts = DayCounts(expected=sum(numbers), **dict(zip(names, numbers, strict=True)))

    found = shares(counts)

    assert sum(round(share * 100) for *_, share in found) == 10_000
    assert sum(minutes for _, minutes, _ in found) == counts.expected
    for _, minutes, share in found:
        assert abs(share - 100 * minutes / counts.expected) < 0.01 + 1e-9


def test_a_browser_gets_the_cells_and_sends_the_corners_of_a_selection() -> None:
    cells = day_cells(grid(row("TCS", {MONDAY: WHOLE})))
    corners = (("TCS", "2026-09-14"), ("TCS", "2026-09-14"))

    assert document(cells, ["Sep"], "Coverage", corners)["selected"] == corners
    assert corners_of([["TCS", "2026-09-14"], ["M&M", "2026-09-15"]]) == (
        ("TCS", "2026-09-14"),
        ("M&M", "2026-09-15"),
    )
    assert corners_of(None) is None


def test_a_month_is_named_over_its_first_day() -> None:
    assert month_heads(["2026-08-28", "2026-08-31", "2026-09-01", "2026-09-02"]) == [
        "Aug", "31", "Sep", "2",
    ]  # fmt: skip
