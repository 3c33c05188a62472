"""Bars of a chart that no candle fills."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.candles.blank_bars import BlankBar, bars_in, blank_bars, count_bars
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import CoverageInterval, DayCoverage, State

WINDOWS = ((100, 110), (120, 127))


def day(*intervals: tuple[int, int, State]) -> DayCoverage:
    return DayCoverage(
        instrument_key="NSE_EQ|X",
        interval=CandleInterval.MINUTE,
        day=date(2026, 9, 16),
        intervals=tuple(CoverageInterval(*one) for one in intervals),
    )


@pytest.mark.parametrize(
    ("size", "bars"),
    [
        (5, [(100, 105), (105, 110), (120, 125), (125, 127)]),
        (15, [(100, 110), (120, 127)]),
    ],
)
def test_bars_begin_at_each_opening(size: int, bars: list[tuple[int, int]]) -> None:
    assert list(bars_in(WINDOWS, size)) == bars
    assert count_bars(WINDOWS, size) == len(bars)


@pytest.mark.parametrize(
    ("states", "size", "filled", "blank"),
    [
        ([(100, 110, State.PRESENT)], 5, {100, 105}, []),
        ([(100, 108, State.PRESENT), (108, 110, State.MISSED)], 5, {100, 105}, []),
        (
            [(100, 105, State.PRESENT), (105, 107, State.NO_TRADE), (107, 110, State.MISSED)],
            5,
            {100},
            [BlankBar(105, 110, State.MISSED)],
        ),
        (
            [(100, 101, State.SOURCE_EMPTY), (101, 110, State.PRESENT)],
            1,
            set(range(101, 110)),
            [BlankBar(100, 101, State.SOURCE_EMPTY)],
        ),
        ([(100, 110, State.NOT_EXPECTED)], 5, set(), []),
    ],
    ids=["complete", "some minutes", "the gravest counts", "a minute", "not expected"],
)
def test_a_blank_bar_has_the_gravest_cause(
    states: list[tuple[int, int, State]], size: int, filled: set[int], blank: list[BlankBar]
) -> None:
    assert blank_bars(day(*states), WINDOWS[:1], size, filled) == blank


@given(st.sets(st.integers(0, 74)), st.sampled_from([1, 5, 15, 60]))
def test_every_expected_bar_is_filled_or_blank(present: set[int], size: int) -> None:
    windows = ((0, 75),)
    states = [
        (minute, minute + 1, State.PRESENT if minute in present else State.MISSED)
        for minute in range(75)
    ]
    filled = {minute // size * size for minute in present}

    blank = {each.start for each in blank_bars(day(*states), windows, size, filled)}

    assert not blank & filled
    assert blank | filled == {start for start, _ in bars_in(windows, size)}
