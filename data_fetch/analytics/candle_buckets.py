"""Minutes put together to longer candles, within each trading window.

A bucket begins at the opening of its window, or a whole number of buckets later, and ends with
its window at the latest: no bucket spans a halt, a break, an auction or two sessions. Minutes are
whole minutes since 1970 UTC, as in `core.spans`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_fetch.core.spans import Spans

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Candles as columns of equal length, oldest first. An unknown open interest is NaN."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Integers
    oi: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """The buckets that have a candle, oldest first: from *starts* to *ends*, not included.

    *prices* are theirs, *first_rows* the positions of their first minutes.
    """

    starts: Integers
    ends: Integers
    first_rows: Integers
    prices: Prices

    def __len__(self) -> int:
        return len(self.starts)

    def minutes_of(self, spans: Spans) -> Integers:
        """How many minutes of *spans* each bucket has."""
        firsts, ends = _edges(spans)
        before = np.concatenate(([0], np.cumsum(ends - firsts)))
        return _minutes_before(self.ends, firsts, ends, before) - _minutes_before(
            self.starts, firsts, ends, before
        )


def bucketed(starts: Integers, prices: Prices, windows: Spans, minutes: int) -> Buckets:
    """The minutes at *starts*, which lie in *windows*, in buckets of so many *minutes*.

    Open is that of the first minute, close that of the last one, volume the sum, open interest
    the last that is known.
    """
    firsts, ends = _edges(windows)
    window = np.searchsorted(firsts, starts, side="right") - 1
    begins = firsts[window] + (starts - firsts[window]) // minutes * minutes
    rows = np.flatnonzero(np.diff(begins, prepend=np.int64(-1)))
    if not len(rows):
        nothing = np.empty(0, np.int64)
        return Buckets(starts=nothing, ends=nothing, first_rows=nothing, prices=prices)
    bucket_starts = begins[rows]
    last_rows = np.append(rows[1:], len(starts)) - 1
    return Buckets(
        starts=bucket_starts,
        ends=np.minimum(bucket_starts + minutes, ends[window[rows]]),
        first_rows=rows,
        prices=Prices(
            open=prices.open[rows],
            high=np.maximum.reduceat(prices.high, rows),
            low=np.minimum.reduceat(prices.low, rows),
            close=prices.close[last_rows],
            volume=np.add.reduceat(prices.volume, rows),
            oi=_last_known(prices.oi, rows, last_rows),
        ),
    )


def inside(starts: Integers, windows: Spans) -> NDArray[np.bool_]:
    """Which of *starts* lie in *windows*."""
    firsts, ends = _edges(windows)
    window = np.searchsorted(firsts, starts, side="right") - 1
    return (window >= 0) & (starts < np.append(ends, 0)[window])


def _edges(spans: Spans) -> tuple[Integers, Integers]:
    edges = np.array(spans, np.int64).reshape(-1, 2)
    return edges[:, 0], edges[:, 1]


def _minutes_before(at: Integers, firsts: Integers, ends: Integers, before: Integers) -> Integers:
    """How many minutes of the spans from *firsts* to *ends* are earlier than each of *at*."""
    span = np.searchsorted(firsts, at, side="right") - 1
    within = np.minimum(at, np.append(ends, 0)[span]) - np.append(firsts, 0)[span]
    return np.where(span < 0, 0, before[span] + within)


def _last_known(values: Floats, first_rows: Integers, last_rows: Integers) -> Floats:
    """The last value of each bucket that is not NaN."""
    known = np.where(np.isnan(values), -1, np.arange(len(values)))
    rows = np.maximum.accumulate(known)[last_rows]
    return np.where(rows >= first_rows, values[rows], np.nan)
