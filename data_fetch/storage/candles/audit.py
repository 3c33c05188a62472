"""Recounts the candles, and corrects the ledger where it differs from them.

A count per instrument and session is a range of the candles' key, so the recount is one pass over
that key and reads no candle. Only days that are short, or differ, are compared by the minute.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    CursorResult,
    Integer,
    String,
    Subquery,
    func,
    select,
    text,
)

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import DayCoverage, State, refitted, with_candles
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.spans import Spans, count, spans_of, without
from data_fetch.storage.candles.candles import begin_candle_writing, candles
from data_fetch.storage.candles.coverage import LedgerKey, save_days
from data_fetch.storage.candles.coverage_counts import (
    CoverageQuery,
    TradingDay,
    as_of_now,
    load_chosen_days,
    load_counts,
    trading_days,
)
from data_fetch.storage.database.dialects import (
    Types,
    document_of,
    instant,
    list_of,
    minutes,
    rows_in_document,
)
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import write_runs

AUDIT = "audit"
# A place's number, its instrument key, and a window of its session.
RANGES: Types = {"place": Integer(), "key": String(), "first": BigInteger(), "end": BigInteger()}
# Some megabytes of ranges, and a write transaction of well under a second.
DAYS_AT_ONCE, DAYS_REPAIRED_AT_ONCE = 10_000, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A day for which the ledger differs from the candles. Minutes as spans."""

    instrument: Instrument
    day: date
    ledger_present: int
    candles_present: int
    only_in_ledger: Spans
    only_in_candles: Spans


@dataclass(frozen=True, slots=True)
class Recount:
    """The result of a recount: instrument-days compared, and their candles inside the sessions."""

    days: int
    candles: int
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class _Place:
    """An instrument-day, and its key in the ledger."""

    key: LedgerKey
    instrument: Instrument
    trading: TradingDay


@dataclass(frozen=True, slots=True)
class _Differing:
    """The ledger row of an instrument-day, and the minutes that have a candle."""

    place: _Place
    known: DayCoverage
    stored: Spans

    def difference(self) -> Difference:
        in_ledger = self.known.spans(State.PRESENT)
        return Difference(
            instrument=self.place.instrument,
            day=self.place.trading.day,
            ledger_present=count(in_ledger),
            candles_present=count(self.stored),
            only_in_ledger=without(in_ledger, self.stored),
            only_in_candles=without(self.stored, in_ledger),
        )


def recount(connection: Connection, scope: CoverageQuery) -> Recount:
    """Compare the ledger with the candles, in a transaction that has read nothing yet."""
    # The ledger and the candles of one instant: a collector may be writing both.
    if is_postgres(connection):
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    counted = load_counts(connection, scope)
    places = _places(scope)
    total, differences = 0, []
    for some in _in_parts(places, DAYS_AT_ONCE):
        found = _counts(connection, scope.interval, some)
        total += sum(found)
        doubtful = []
        for place, stored in zip(some, found, strict=True):
            row = counted.get(place.key)
            present = row.present if row else 0
            full = stored == present == place.trading.minutes
            if (stored or present) and not full:
                doubtful.append(place)
        differences += [one.difference() for one in _differing(connection, scope, doubtful)]
    return Recount(len(places), total, differences)


def repair(store: Store, scope: CoverageQuery, differences: Sequence[Difference]) -> int:
    """Rewrite the ledger's days of *differences* from the candles; returns how many were written.

    Minutes whose candles are gone become missed, to be requested at once. Every transaction
    compares again, so that days corrected meanwhile are left alone.
    """
    now = scope.expectation.now
    run = SyncRun.begin(AUDIT, now)
    wanted = {(one.instrument.instrument_key, one.day) for one in differences}
    places = [place for place in _places(scope) if place.key in wanted]
    rewritten = 0
    for some in _in_parts(places, DAYS_REPAIRED_AT_ONCE):
        with store.writing() as connection:
            begin_candle_writing(connection)
            differing = list(_differing(connection, scope, some))
            final = _minutes(
                connection,
                scope.interval,
                [one.place for one in differing],
                candles.c.is_final,
            )
            days = [
                _rewritten(one, confirmed, scope)
                for one, confirmed in zip(differing, final, strict=True)
            ]
            save_days(connection, days, run.run_id, now)
            rewritten += len(days)
            done = run.finish(now, Outcome.COMPLETED, requested=len(places), stored=rewritten)
            write_runs(connection, [done])
    return rewritten


def _rewritten(one: _Differing, final: Spans, scope: CoverageQuery) -> DayCoverage:
    """The day with exactly its stored minutes present."""
    trading = one.place.trading
    due = scope.expectation.due(trading.session, scope.interval)
    gone = without(one.known.spans(State.PRESENT), one.stored)
    # Taken out of the day and put back, they count as minutes that were never requested.
    without_them = refitted(one.known, without(trading.spans, gone), due)
    lacking = refitted(without_them, trading.spans, due)
    return with_candles(lacking, one.stored, final)


def _differing(
    connection: Connection, scope: CoverageQuery, places: Sequence[_Place]
) -> Iterator[_Differing]:
    """The *places* for which ledger and candles differ, minute by minute."""
    rows = load_chosen_days(connection, scope.interval, [place.key for place in places])
    stored_minutes = _minutes(connection, scope.interval, places)
    for place, stored in zip(places, stored_minutes, strict=True):
        key = place.instrument.instrument_key
        known = as_of_now(scope, key, place.trading, rows.get(place.key))
        if known.spans(State.PRESENT) != stored:
            yield _Differing(place, known, stored)


def _counts(
    connection: Connection, interval: CandleInterval, places: Sequence[_Place]
) -> list[int]:
    """How many candles each place has inside its session."""
    counts = [0] * len(places)
    for place, stored in _in_each_range(connection, places, interval, func.count()):
        counts[place] += stored
    return counts


def _minutes(
    connection: Connection,
    interval: CandleInterval,
    places: Sequence[_Place],
    *conditions: ColumnElement[bool],
) -> list[Spans]:
    """The minutes of each place that have a candle fulfilling the *conditions*."""
    listed = list_of(connection, minutes(connection, candles.c.timestamp))
    starts: list[list[int]] = [[] for _ in places]
    for place, found in _in_each_range(connection, places, interval, listed, *conditions):
        starts[place] += orjson.loads(found or "[]")
    return [spans_of(sorted(each)) for each in starts]


def _in_each_range(
    connection: Connection,
    places: Sequence[_Place],
    interval: CandleInterval,
    wanted: ColumnElement[Any],
    *conditions: ColumnElement[bool],
) -> CursorResult[int, Any]:
    """The aggregate *wanted* of the candles in each window of each place's session.

    As a subquery, because a join would be planned as a scan of all candles.
    """
    dialect = connection.dialect.name
    listed = (
        (number, place.key[0], first, end)
        for number, place in enumerate(places)
        for first, end in place.trading.spans
    )
    ranges = _ranges(connection, dialect)
    found = select(wanted).where(
        candles.c.instrument_key == ranges.c.key,
        candles.c.interval == interval.value,
        candles.c.timestamp >= ranges.c.first,
        candles.c.timestamp < ranges.c.end,
        *conditions,
    )
    return connection.execute(
        select(ranges.c.place, found.correlate(ranges).scalar_subquery()),
        {"document": document_of(dialect, RANGES, listed)},
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


def _places(scope: CoverageQuery) -> list[_Place]:
    return [
        _Place((one.instrument_key, trading.day), one, trading)
        for one, days in trading_days(scope)
        for trading in days
    ]


def _in_parts(places: Sequence[_Place], size: int) -> Iterator[Sequence[_Place]]:
    for first in range(0, len(places), size):
        yield places[first : first + size]
