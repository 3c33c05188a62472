"""Laws of buckets, and one day by hand."""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.analytics.candle_buckets import Buckets, Prices, bucketed, inside
from data_fetch.core.candles.candles import CandleInterval, expected_spans
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import F_AND_O_STOCK, OTHER_STOCK, MarketCalendar, TradingGroup
from data_fetch.core.market.session import instant_of
from data_fetch.core.spans import Spans, common, count, joined

SIZES = st.sampled_from([5, 15, 60])
# Windows of one to a hundred minutes, with breaks of one minute and more between them.
WINDOWS = st.lists(st.tuples(st.integers(1, 100), st.integers(1, 100)), min_size=1, max_size=5)


def windows_of(lengths: list[tuple[int, int]]) -> Spans:
    found, at = [], 1_000
    for pause, length in lengths:
        found.append((at + pause, at + pause + length))
        at += pause + length
    return tuple(found)


@st.composite
def minutes(draw: st.DrawFn) -> tuple[Spans, list[int], Prices]:
    windows = windows_of(draw(WINDOWS))
    every = [minute for first, end in windows for minute in range(first, end)]
    starts = sorted(draw(st.sets(st.sampled_from(every))))
    price = st.lists(st.integers(1, 10_000).map(float), min_size=len(starts), max_size=len(starts))
    oi = st.lists(
        st.one_of(st.just(float("nan")), st.integers(0, 9).map(float)),
        min_size=len(starts),
        max_size=len(starts),
    )
    volume = st.lists(st.integers(0, 10**12), min_size=len(starts), max_size=len(starts))
    prices = Prices(
        open=np.array(draw(price)),
        high=np.array(draw(price)),
        low=np.array(draw(price)),
        close=np.array(draw(price)),
        volume=np.array(draw(volume), np.int64),
        oi=np.array(draw(oi)),
    )
    return windows, starts, prices


def put_together(given: tuple[Spans, list[int], Prices], size: int) -> Buckets:
    windows, starts, prices = given
    return bucketed(np.array(starts, np.int64), prices, windows, size)


def spans_of_buckets(found: Buckets) -> list[tuple[int, int]]:
    return list(zip(found.starts.tolist(), found.ends.tolist(), strict=True))


@given(minutes(), SIZES)
def test_every_minute_is_in_one_bucket(given: tuple[Spans, list[int], Prices], size: int) -> None:
    found = put_together(given, size)

    spans = spans_of_buckets(found)
    assert all(end <= first for (_, end), (first, _) in pairwise(spans))
    counted = found.minutes_of(joined((minute, minute + 1) for minute in given[1]))
    assert counted.sum() == len(given[1])
    assert (counted > 0).all()


@given(minutes(), SIZES)
def test_no_bucket_leaves_its_window(given: tuple[Spans, list[int], Prices], size: int) -> None:
    windows, _, _ = given

    for first, end in spans_of_buckets(put_together(given, size)):
        [window] = [one for one in windows if one[0] <= first < one[1]]
        assert end <= window[1]
        assert (first - window[0]) % size == 0
        assert end - first == min(size, window[1] - first)


@given(minutes(), SIZES)
def test_a_bucket_is_what_its_minutes_are(
    given: tuple[Spans, list[int], Prices], size: int
) -> None:
    _, starts, prices = given
    found = put_together(given, size)

    for place, (first, end) in enumerate(spans_of_buckets(found)):
        rows = [row for row, start in enumerate(starts) if first <= start < end]
        known = [prices.oi[row] for row in rows if not np.isnan(prices.oi[row])]
        mine = found.prices
        assert found.first_rows[place] == rows[0]
        assert mine.open[place] == prices.open[rows[0]]
        assert mine.high[place] == max(prices.high[rows])
        assert mine.low[place] == min(prices.low[rows])
        assert mine.close[place] == prices.close[rows[-1]]
        assert mine.volume[place] == sum(prices.volume[rows].tolist())
        assert mine.oi[place] == known[-1] if known else np.isnan(mine.oi[place])


@given(minutes(), SIZES, WINDOWS)
def test_minutes_of_spans_are_counted(
    given: tuple[Spans, list[int], Prices], size: int, lengths: list[tuple[int, int]]
) -> None:
    found, spans = put_together(given, size), windows_of(lengths)

    counted = [count(common((bucket,), spans)) for bucket in spans_of_buckets(found)]

    assert found.minutes_of(spans).tolist() == counted


@given(WINDOWS, st.lists(st.integers(900, 2_000)))
def test_minutes_inside_of_windows(lengths: list[tuple[int, int]], starts: list[int]) -> None:
    windows = windows_of(lengths)

    found = inside(np.array(starts, np.int64), windows)

    assert found.tolist() == [
        any(first <= start < end for first, end in windows) for start in starts
    ]


@pytest.mark.parametrize(
    ("day", "group", "interval", "times"),
    [
        pytest.param(
            date(2025, 6, 10), OTHER_STOCK, Interval.HOUR,
            ["09:15", "10:15", "11:15", "12:15", "13:15", "14:15", "15:15-15:30"],
            id="the last hour is a quarter of one",
        ),
        pytest.param(
            date(2024, 11, 1), OTHER_STOCK, Interval.FIFTEEN_MINUTES,
            ["18:00", "18:15", "18:30", "18:45-19:00"],
            id="Muhurat trading has its own opening",
        ),
        pytest.param(
            date(2024, 3, 2), OTHER_STOCK, Interval.HOUR,
            ["09:15-10:00", "11:30-12:30"],
            id="two windows of a drill",
        ),
        pytest.param(
            date(2026, 9, 16), F_AND_O_STOCK, Interval.HOUR,
            ["09:15", "10:15", "11:15", "12:15", "13:15", "14:15-15:15"],
            id="before the closing auction",
        ),
    ],
)  # fmt: skip
def test_buckets_of_a_session(
    day: date, group: TradingGroup, interval: Interval, times: list[str]
) -> None:
    session = MarketCalendar.reviewed().session(day, group)
    windows = expected_spans(session, CandleInterval.MINUTE)
    every = np.array([minute for one in windows for minute in range(*one)], np.int64)
    same = np.ones(len(every))
    prices = Prices(
        open=same, high=same, low=same, close=same, volume=same.astype(np.int64), oi=same
    )

    found = bucketed(every, prices, windows, interval.bucket_minutes or 1)

    spans = spans_of_buckets(found)
    shown = [f"{instant_of(first).astimezone(IST):%H:%M}" for first, _ in spans]
    assert shown == [one.partition("-")[0] for one in times]
    assert f"{instant_of(spans[-1][1]).astimezone(IST):%H:%M}" == times[-1].partition("-")[2]
