"""A range of candles as a chart shows it: its bars, the blank ones, auctions and corrections."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from data_fetch.core.candles.blank_bars import BlankBar, blank_bars, count_bars
from data_fetch.core.candles.candles import Kind, expected_spans
from data_fetch.core.candles.day_counts import DayCounts
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.market.session import minute_number
from data_fetch.core.settings import Settings
from data_fetch.reading.candle_corrections import changed_columns, corrections_in
from data_fetch.reading.candle_ranges import CandleRange, candle_range
from data_fetch.storage.database.dialects import MICROSECONDS_PER_MINUTE

# More of them are slow to draw, and narrower than a pixel.
MOST_BARS = 2_000
WIDER = tuple(Interval)


@dataclass(frozen=True, slots=True)
class CorrectedCandle:
    """The stored candle that begins at the minute *start* (since 1970 UTC) was corrected *at*:
    each column that *changes*, with its old and its new value."""

    start: int
    at: datetime
    changes: Sequence[tuple[str, Any, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleView:
    """The candles of *symbol* in bars of *interval*: the one that was *asked*, or a wider one
    because there would be more than MOST_BARS (*too_many* of them; 0 if not).

    *table* and *auctions* have the columns of `candles`, the first those of buckets where the
    interval is made of minutes; *auctions* are the closing auctions, none for days. *counts* are
    those of all its minutes (days for the interval `day`).
    """

    symbol: str
    asked: Interval
    too_many: int
    interval: Interval
    first: date
    last: date
    now: datetime
    newest: datetime | None
    counts: DayCounts
    table: pa.Table
    auctions: pa.Table
    blanks: Sequence[BlankBar]
    corrections: Sequence[CorrectedCandle]


def candle_view(
    settings: Settings, symbol: str, first: date, last: date, asked: Interval
) -> CandleView:
    """The view of *symbol* from *first* to *last*, both included. Raises as `candles` does."""
    with candle_range(settings, symbol, first, last, asked, None) as found:
        bars = _bars(found, asked)
        interval = asked if bars <= MOST_BARS else _fitting(found, asked)
        if interval is asked:
            return _view(found, asked, 0)
    with candle_range(settings, symbol, first, last, interval, None) as found:
        return _view(found, asked, bars)


def _view(found: CandleRange, asked: Interval, too_many: int) -> CandleView:
    table = found.table([Kind.TRADED])
    starts = table["timestamp"].cast(pa.int64()).to_numpy() // MICROSECONDS_PER_MINUTE
    filled, size = set(starts.tolist()), found.interval.bucket_minutes or 1
    return CandleView(
        symbol=found.symbol,
        asked=asked,
        too_many=too_many,
        interval=found.interval,
        first=found.first,
        last=found.last,
        now=found.now,
        newest=found.newest,
        counts=found.counts,
        table=table,
        auctions=_auctions(found),
        blanks=[
            blank
            for day in found.days
            for blank in blank_bars(
                day.coverage, expected_spans(day.session, found.interval.stored), size, filled
            )
        ],
        corrections=[
            CorrectedCandle(
                minute_number(each.timestamp), each.superseded_at, changed_columns(each)
            )
            for each in corrections_in(found)
        ],
    )


def _bars(found: CandleRange, interval: Interval) -> int:
    """How many bars of *interval* the days of *found* have."""
    if interval is Interval.DAY:
        return len(found.days)
    size = interval.bucket_minutes or 1
    return sum(count_bars(expected_spans(day.session, interval.stored), size) for day in found.days)


def _fitting(found: CandleRange, asked: Interval) -> Interval:
    """The narrowest interval wider than *asked* that has not too many bars."""
    wider = WIDER[WIDER.index(asked) + 1 :]
    return next((each for each in wider if _bars(found, each) <= MOST_BARS), Interval.DAY)


def _auctions(found: CandleRange) -> pa.Table:
    if found.interval is Interval.DAY:
        return found.no_table
    with candle_range(
        found.settings, found.symbol, found.first, found.last, Interval.MINUTE, None
    ) as minutes:
        return minutes.table([Kind.AUCTION])
