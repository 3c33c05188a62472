"""The stored candles of many instrument-days, counted in the database.

A count per instrument and session is a range of the candles' key, so counting is one pass over
the candles that sends one number for each day. Only days that differ are read by the minute.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    CursorResult,
    Integer,
    String,
    Subquery,
    and_,
    case,
    func,
    not_,
    or_,
    select,
)

from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind, auction_tail
from data_fetch.core.candles.findings import DayValues
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import (
    IST_AHEAD,
    MINUTES_OF_DAY,
    day_of,
    midnight_number,
    minute_number,
)
from data_fetch.core.spans import Spans, spans_of
from data_fetch.storage.candles.candles import candles, of_instrument
from data_fetch.storage.candles.coverage import LedgerKey
from data_fetch.storage.candles.coverage_counts import TradingDay
from data_fetch.storage.database.dialects import (
    Types,
    document_of,
    instant,
    list_of,
    minutes,
    rows_in_document,
)

# A place's number, its instrument key, and a window of minutes.
RANGES: Types = {"place": Integer(), "key": String(), "first": BigInteger(), "end": BigInteger()}
# Three counts of at most a day's minutes in one number: a subquery returns one value.
DIGIT = 1 << 12


@dataclass(frozen=True, slots=True)
class Place:
    """An instrument-day, and its key in the ledger."""

    key: LedgerKey
    instrument: Instrument
    trading: TradingDay

    @property
    def day(self) -> date:
        return self.trading.day


class Range(NamedTuple):
    """Minutes from *first* until before *end* of an instrument, for the place of a number."""

    place: int
    key: str
    first: int
    end: int


class Tally(NamedTuple):
    """The rows of a session: how many, how many are no trading, and how many not confirmed."""

    rows: int = 0
    odd: int = 0
    unconfirmed: int = 0


class TailTally(NamedTuple):
    """The rows after continuous trading: how many, of them auctions, and of a doubtful kind."""

    rows: int = 0
    auctions: int = 0
    doubtful: int = 0


def session_ranges(places: Sequence[Place]) -> Iterator[Range]:
    """The windows in which each place expects candles."""
    for number, place in enumerate(places):
        for first, end in place.trading.spans:
            yield Range(number, place.key[0], first, end)


def tail_ranges(places: Sequence[Place], interval: CandleInterval) -> Iterator[Range]:
    """The time of each place's closing auction."""
    for number, place in enumerate(places):
        for first, end in auction_tail(place.trading.session, interval):
            yield Range(number, place.key[0], first, end)


def tallies(
    connection: Connection, interval: CandleInterval, places: Sequence[Place]
) -> list[Tally]:
    """The rows of each place in its session."""
    if interval is CandleInterval.DAY:
        return _day_tallies(connection, places)
    odd, unconfirmed = candles.c.kind != Kind.TRADED.value, not_(candles.c.is_final)
    found = [Tally()] * len(places)
    for place, counts in _counted(connection, interval, session_ranges(places), odd, unconfirmed):
        found[place] = Tally(*map(sum, zip(found[place], counts, strict=True)))
    return found


def tail_tallies(
    connection: Connection, interval: CandleInterval, places: Sequence[Place]
) -> list[TailTally]:
    """The rows of each place after its continuous trading."""
    auction = candles.c.kind == Kind.AUCTION.value
    found = [TailTally()] * len(places)
    ranges = tail_ranges(places, interval)
    for place, counts in _counted(connection, interval, ranges, auction, _doubtful_in_tail()):
        found[place] = TailTally(*counts)
    return found


def stored_minutes(
    connection: Connection,
    interval: CandleInterval,
    places: Sequence[Place],
    *conditions: ColumnElement[bool],
) -> list[Spans]:
    """The minutes of each place's session that have a candle fulfilling the *conditions*."""
    starts = _starts(connection, interval, len(places), session_ranges(places), *conditions)
    return [spans_of(sorted(each)) for each in starts]


def starts_in(
    connection: Connection, interval: CandleInterval, ranges: Sequence[Range]
) -> list[list[int]]:
    """The starts of the candles in each of *ranges*, whose places are numbered from 0."""
    filled = {
        place for place, rows in _in_each_range(connection, interval, ranges, func.count()) if rows
    }
    some = (one for one in ranges if one.place in filled)
    return _starts(connection, interval, len(ranges), some)


def rows_of_day(connection: Connection, interval: CandleInterval, place: Place) -> CandleBlock:
    """All rows of a place's Indian day, their kinds as stored."""
    midnight = midnight_number(place.day)
    key = place.key[0]
    inside = of_instrument(candles, key, interval, midnight, midnight + MINUTES_OF_DAY)
    names = ("open", "high", "low", "close", "volume", "oi")
    query = select(candles.c.timestamp, candles.c.kind, *(candles.c[name] for name in names))
    rows = connection.execute(query.where(inside).order_by(candles.c.timestamp)).all()
    return CandleBlock(
        instrument_key=key,
        interval=interval,
        starts=[minute_number(row.timestamp) for row in rows],
        kinds=[row.kind for row in rows],
        **{name: [getattr(row, name) for row in rows] for name in names},
    )


def day_values(
    connection: Connection, key: str, first: date, last: date
) -> Mapping[date, DayValues]:
    """The candles of whole days of one instrument, by date."""
    start = minutes(connection, candles.c.timestamp)
    query = select(start, candles.c.volume, candles.c.high, candles.c.low).where(
        of_instrument(candles, key, CandleInterval.DAY, *_minutes_from(first, last))
    )
    return {day_of(minute): DayValues(*values) for minute, *values in connection.execute(query)}


def minute_values(
    connection: Connection, key: str, first: date, last: date
) -> Mapping[date, DayValues]:
    """What the confirmed minutes of one instrument add up to, by date; the auction counts."""
    minute = minutes(connection, candles.c.timestamp)
    day = ((minute + IST_AHEAD) // MINUTES_OF_DAY).label("day")
    query = (
        select(
            func.min(minute),
            func.sum(candles.c.volume),
            func.max(candles.c.high),
            func.min(candles.c.low),
        )
        .where(
            of_instrument(candles, key, CandleInterval.MINUTE, *_minutes_from(first, last)),
            candles.c.is_final,
            candles.c.kind != Kind.CARRIED.value,
        )
        .group_by(day)
    )
    return {
        day_of(earliest): DayValues(int(volume), high, low)
        for earliest, volume, high, low in connection.execute(query)
    }


def _minutes_from(first: date, last: date) -> tuple[int, int]:
    return midnight_number(first), midnight_number(last) + MINUTES_OF_DAY


def _day_tallies(connection: Connection, places: Sequence[Place]) -> list[Tally]:
    """Of `day` candles: one for each place, so that the rows themselves are the shortest list."""
    numbers = {(place.key[0], place.trading.spans[0][0]): n for n, place in enumerate(places)}
    found = [Tally()] * len(places)
    start = minutes(connection, candles.c.timestamp)
    first = min(place.trading.spans[0][0] for place in places)
    last = max(place.trading.spans[0][0] for place in places)
    for key in {place.key[0] for place in places}:
        rows = select(start, candles.c.kind, candles.c.is_final).where(
            of_instrument(candles, key, CandleInterval.DAY, first, last + 1)
        )
        for minute, kind, is_final in connection.execute(rows):
            place = numbers.get((key, minute))
            if place is not None:
                found[place] = Tally(1, int(kind != Kind.TRADED), int(not is_final))
    return found


def _doubtful_in_tail() -> ColumnElement[bool]:
    """Whether a row after continuous trading may have another kind than its values give it."""
    prices = (candles.c.open, candles.c.high, candles.c.low)
    flat = and_(candles.c.volume == 0, *(price == candles.c.close for price in prices))
    carried = candles.c.kind == Kind.CARRIED.value
    return or_(candles.c.kind == Kind.TRADED.value, carried != flat)


def _counted(
    connection: Connection,
    interval: CandleInterval,
    ranges: Iterable[Range],
    second: ColumnElement[bool],
    third: ColumnElement[bool],
) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """For each range its place, and how many rows there are, with *second*, and with *third*."""
    packed = func.sum(1 + case((second, DIGIT), else_=0) + case((third, DIGIT * DIGIT), else_=0))
    for place, total in _in_each_range(connection, interval, ranges, packed):
        more, rows = divmod(int(total or 0), DIGIT)
        thirds, seconds = divmod(more, DIGIT)
        yield place, (rows, seconds, thirds)


def _starts(
    connection: Connection,
    interval: CandleInterval,
    places: int,
    ranges: Iterable[Range],
    *conditions: ColumnElement[bool],
) -> list[list[int]]:
    listed = list_of(connection.dialect.name, minutes(connection, candles.c.timestamp))
    starts: list[list[int]] = [[] for _ in range(places)]
    for place, found in _in_each_range(connection, interval, ranges, listed, *conditions):
        starts[place] += orjson.loads(found or "[]")
    return starts


def _in_each_range(
    connection: Connection,
    interval: CandleInterval,
    ranges: Iterable[Range],
    wanted: ColumnElement[Any],
    *conditions: ColumnElement[bool],
) -> CursorResult[int, Any]:
    """The aggregate *wanted* of the candles in each range, with the number of its place.

    As a subquery, because a join would be planned as a scan of all candles.
    """
    dialect = connection.dialect.name
    rows = _ranges(connection, dialect)
    found = select(wanted).where(
        candles.c.instrument_key == rows.c.key,
        candles.c.interval == interval.value,
        candles.c.timestamp >= rows.c.first,
        candles.c.timestamp < rows.c.end,
        *conditions,
    )
    return connection.execute(
        select(rows.c.place, found.correlate(rows).scalar_subquery()),
        {"document": document_of(dialect, RANGES, ranges)},
    )


def _ranges(connection: Connection, dialect: str) -> Subquery:
    """The rows of a document of RANGES as a table, their minutes as instants."""
    listed = rows_in_document(dialect, RANGES, "listed")
    return select(
        listed.c.place,
        listed.c.key,
        instant(connection, listed.c.first).label("first"),
        instant(connection, listed.c.end).label("end"),
    ).subquery("ranges")
