"""How old ticks are: in seconds, and only while their market is open."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.feed.tick_ages import LastTick, TickAges, last_ticks, tick_ages
from data_fetch.core.freshness import Freshness

NOW = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
OPEN = [state for state in Freshness if state is not Freshness.CLOSED]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def before(number: float) -> datetime:
    return NOW - seconds(number)


@pytest.mark.parametrize(
    ("state", "received_at", "tick"),
    [
        pytest.param("fresh", before(1.5), LastTick(True, before(1.5), seconds(1.5)), id="open"),
        pytest.param("fresh", None, LastTick(True), id="open, none today"),
        pytest.param(
            "stopped",
            before(2),
            LastTick(True, before(2), seconds(2)),
            id="quotes have stopped and ticks come",
        ),
        pytest.param(
            "market_closed",
            before(7200),
            LastTick(False, before(7200), None),
            id="closed: the instant, without an age",
        ),
        pytest.param("market_closed", None, LastTick(False), id="closed, none today"),
        pytest.param(
            "fresh", before(-0.2), LastTick(True, before(-0.2), seconds(0)), id="clocks differ"
        ),
        pytest.param("fresh", before(-61), LastTick(True), id="of a clock that was ahead"),
    ],
)
def test_the_last_tick_of_a_symbol(
    state: str, received_at: datetime | None, tick: LastTick
) -> None:
    received = {} if received_at is None else {"TCS": received_at}

    assert last_ticks({"TCS": Freshness(state)}, received, NOW) == {"TCS": tick}


def test_every_judged_symbol_has_a_last_tick_and_no_other_one() -> None:
    found = last_ticks({"TCS": Freshness.FRESH}, {"INFY": NOW}, NOW)

    assert found == {"TCS": LastTick(True)}


def aged(**ages: float) -> dict[str, LastTick]:
    return {symbol: LastTick(True, before(age), seconds(age)) for symbol, age in ages.items()}


@pytest.mark.parametrize(
    ("ticks", "ages"),
    [
        pytest.param({}, TickAges(), id="no feed"),
        pytest.param({"TCS": LastTick(False, NOW)}, TickAges(), id="the market is closed"),
        pytest.param(
            aged(TCS=1, INFY=42, SBIN=2),
            TickAges(median=seconds(2), oldest=seconds(42), oldest_symbol="INFY"),
            id="three",
        ),
        pytest.param(
            aged(TCS=1, INFY=3),
            TickAges(median=seconds(3), oldest=seconds(3), oldest_symbol="INFY"),
            id="of two the older one is the median",
        ),
        pytest.param(
            {**aged(TCS=1), "INFY": LastTick(True), "SBIN": LastTick(False)},
            TickAges(median=seconds(1), oldest=seconds(1), oldest_symbol="TCS", without=("INFY",)),
            id="one without a tick, one whose market is closed",
        ),
        pytest.param({"INFY": LastTick(True)}, TickAges(without=("INFY",)), id="none has a tick"),
    ],
)
def test_the_ages_of_several(ticks: Mapping[str, LastTick], ages: TickAges) -> None:
    assert tick_ages(ticks) == ages
    assert ages.expected is any(tick.expected for tick in ticks.values())


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.tuples(st.sampled_from(list(Freshness)), st.none() | st.floats(0, 20_000)),
    )
)
def test_half_of_the_ticks_are_no_older_than_the_median_and_none_than_the_oldest(
    symbols: dict[str, tuple[Freshness, float | None]],
) -> None:
    states = {symbol: state for symbol, (state, _) in symbols.items()}
    received = {symbol: before(age) for symbol, (_, age) in symbols.items() if age is not None}

    ticks = last_ticks(states, received, NOW)
    found = tick_ages(ticks)

    ages = [tick.age for tick in ticks.values() if tick.age is not None]
    judged = [symbol for symbol, state in states.items() if state in OPEN]
    assert len(ages) + len(found.without) == len(judged)
    if ages:
        assert found.median is not None
        assert 2 * sum(age <= found.median for age in ages) >= len(ages)
        assert found.oldest == max(ages)
        assert ticks[found.oldest_symbol].age == found.oldest
