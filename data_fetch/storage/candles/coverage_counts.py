"""Counts from the ledger for every day, minutes only for the few days that need them.

Reading a day's minutes costs ten times as much as its counts. A row is read in full if time may
have changed it (minutes were pending) or the calendar has (its sums do not fit the session).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import Connection, func, select, tuple_

from data_fetch.core.candles.candles import CandleInterval, expected_spans
from data_fetch.core.candles.coverage import DayCoverage
from data_fetch.core.candles.day_counts import DayCounts, counts_of
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.gaps import BeforeFirstCandle, Gap, gaps_of
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import Session, group_of
from data_fetch.core.spans import Spans, count
from data_fetch.storage.candles.coverage import LedgerKey, coverage_table, day_coverage

ROWS_AT_ONCE = 500
COUNTS = tuple(coverage_table.c[name] for name in DayCounts._fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageQuery:
    """The days of *instruments* from *first* to *last*, both included.

    An instrument that has had several keys is there under each of them, with the days of that
    key in the *expectation*.
    """

    instruments: Sequence[Instrument]
    interval: CandleInterval
    first: date
    last: date
    expectation: Expectation

    @property
    def under_all_keys(self) -> "CoverageQuery":
        """The same with all days under every key, also those that belong to another key."""
        return replace(self, expectation=replace(self.expectation, periods={}))

    @property
    def provisional_sessions(self) -> list[date]:
        """Its trading days whose hours are not reviewed."""
        return self.expectation.provisional_sessions(self.first, self.last)


@dataclass(frozen=True, slots=True)
class TradingDay:
    """A session and the starts at which it expects candles."""

    session: Session
    spans: Spans
    minutes: int

    @property
    def day(self) -> date:
        return self.session.day


InstrumentTradingDays = tuple[Instrument, Sequence[TradingDay]]


def trading_days(scope: CoverageQuery) -> Iterator[InstrumentTradingDays]:
    """Of each instrument the days on which it trades, oldest first.

    Raises CalendarUnknown for a date outside the calendar.
    """
    expectation = scope.expectation
    alike: dict[object, Sequence[TradingDay]] = {}
    for instrument in scope.instruments:
        key = instrument.instrument_key
        listed, periods = expectation.listed.get(key), expectation.periods.get(key)
        group = group_of(instrument, scope.last)
        held = None if periods is None else tuple(periods)
        trades = (group, instrument.auction, listed, instrument.expiry, held)
        if trades not in alike:
            alike[trades] = [
                TradingDay(session, spans, count(spans))
                for session in expectation.sessions(instrument, scope.first, scope.last)
                for spans in [expected_spans(session, scope.interval)]
            ]
        yield instrument, alike[trades]


def day_counts(
    connection: Connection, scope: CoverageQuery
) -> Iterator[tuple[Instrument, list[tuple[date, DayCounts]]]]:
    """Of each instrument the counts of its trading days, oldest first, as of now."""
    trading, counted = list(trading_days(scope)), load_counts(connection, scope)

    def moves(counts: DayCounts, minutes: int) -> bool:
        return counts.pending > 0 or not fits(counts, minutes)

    read = _read_in_full(connection, scope.interval, trading, counted, moves)
    for instrument, days in trading:
        key = instrument.instrument_key
        found = []
        for one in days:
            place = (key, one.day)
            counts = counted.get(place)
            if counts is None or place in read:
                counts = counts_of(as_of_now(scope, key, one, read.get(place)))
            found.append((one.day, counts))
        yield instrument, found


def instrument_gaps(
    connection: Connection, scope: CoverageQuery
) -> Iterator[tuple[Instrument, list[date], list[Gap]]]:
    """Of each instrument its trading days and its gaps, oldest first, as of now."""
    trading, counted = list(trading_days(scope)), load_counts(connection, scope)

    def lacks(counts: DayCounts, minutes: int) -> bool:
        return counts.lacking > 0 or not fits(counts, minutes)

    read = _read_in_full(connection, scope.interval, trading, counted, lacks)
    for instrument, days in trading:
        key = instrument.instrument_key
        found: list[Gap] = []
        for one in days:
            place = (key, one.day)
            if place in read or place not in counted:
                known = as_of_now(scope, key, one, read.get(place))
                found += gaps_of(known, one.session)
        yield instrument, [one.day for one in days], found


def days_before_first_candle(
    connection: Connection, scope: CoverageQuery
) -> dict[str, BeforeFirstCandle]:
    """The empty days before the first candle of each instrument that has any, by its key."""
    row = coverage_table.c
    keys = [instrument.instrument_key for instrument in scope.instruments]
    query = (
        select(
            row.instrument_key,
            func.min(row.trading_date).label("first"),
            func.max(row.trading_date).label("last"),
            func.count().label("days"),
            func.max(row.last_attempt).label("last_attempt"),
            func.min(row.next_attempt).label("next_attempt"),
        )
        .where(
            row.instrument_key.in_(keys),
            row.interval == scope.interval.value,
            row.trading_date.between(scope.first, scope.last),
            row.not_expected > 0,
            # A day that the calendar has closed is not expected either, and has none.
            row.next_attempt.is_not(None),
        )
        .group_by(row.instrument_key)
    )
    return {
        found["instrument_key"]: BeforeFirstCandle(**found)
        for found in connection.execute(query).mappings()
    }


def load_counts(connection: Connection, scope: CoverageQuery) -> dict[LedgerKey, DayCounts]:
    """The counts as stored in the ledger."""
    keys = [instrument.instrument_key for instrument in scope.instruments]
    query = select(coverage_table.c.instrument_key, coverage_table.c.trading_date, *COUNTS).where(
        coverage_table.c.instrument_key.in_(keys),
        coverage_table.c.interval == scope.interval.value,
        coverage_table.c.trading_date.between(scope.first, scope.last),
    )
    return {(key, day): DayCounts._make(counts) for key, day, *counts in connection.execute(query)}


def load_chosen_days(
    connection: Connection, interval: CandleInterval, chosen: Sequence[LedgerKey]
) -> dict[LedgerKey, DayCoverage]:
    """These rows of the ledger with all their minutes."""
    place = tuple_(coverage_table.c.instrument_key, coverage_table.c.trading_date)
    found = {}
    for first in range(0, len(chosen), ROWS_AT_ONCE):
        some = chosen[first : first + ROWS_AT_ONCE]
        query = select(coverage_table).where(
            coverage_table.c.interval == interval.value, place.in_(some)
        )
        for row in connection.execute(query):
            found[row.instrument_key, row.trading_date] = day_coverage(row)
    return found


def fits(counts: DayCounts, minutes: int) -> bool:
    """Whether a row covers as many minutes as the calendar has today."""
    return counts.expected + counts.not_expected == minutes


def as_of_now(
    scope: CoverageQuery, key: str, trading: TradingDay, known: DayCoverage | None
) -> DayCoverage:
    """A day's row brought up to date by calendar and time; *known* is None without a row."""
    return scope.expectation.day(key, scope.interval, trading.session, known)


def _read_in_full(
    connection: Connection,
    interval: CandleInterval,
    trading: Sequence[InstrumentTradingDays],
    counted: Mapping[LedgerKey, DayCounts],
    wanted: Callable[[DayCounts, int], bool],
) -> dict[LedgerKey, DayCoverage]:
    """The rows for which *wanted* is true, given their counts and the session's minutes."""
    chosen = []
    for instrument, days in trading:
        for one in days:
            place = (instrument.instrument_key, one.day)
            counts = counted.get(place)
            if counts is not None and wanted(counts, one.minutes):
                chosen.append(place)
    return load_chosen_days(connection, interval, chosen)
