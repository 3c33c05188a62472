"""Recounts the candles, and compares them with the calendar and with the coverage ledger.

Days on which the counts agree are not read by the minute, and ledger rows are compared by the
text of their intervals: most days have the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Text, cast, select, text, tuple_

from data_fetch.core.archive.days import Dataset
from data_fetch.core.candles.candles import CandleInterval, auction_tail
from data_fetch.core.candles.contradictions import (
    RequestFacts,
    interval_contradictions,
    request_contradictions,
    without_contradictions,
)
from data_fetch.core.candles.coverage import DayCoverage
from data_fetch.core.candles.day_counts import DayCounts, counts_of
from data_fetch.core.candles.findings import (
    Difference,
    Finding,
    LedgerClaims,
    StoredDay,
    closed_finding,
    day_candle_finding,
    outside_finding,
)
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import day_of, midnight_number
from data_fetch.core.spans import Spans, joined, without
from data_fetch.storage.archive_ledger import days_in_files
from data_fetch.storage.candles.candles import candles
from data_fetch.storage.candles.coverage import LedgerKey, coverage_table, day_coverage
from data_fetch.storage.candles.coverage_counts import (
    COUNTS,
    CoverageQuery,
    as_of_now,
    trading_days,
)
from data_fetch.storage.candles.stored_rows import (
    Place,
    Range,
    TailTally,
    Tally,
    day_values,
    minute_values,
    rows_of_day,
    starts_in,
    stored_minutes,
    tail_tallies,
    tallies,
)
from data_fetch.storage.database.engine import is_postgres

# Some megabytes of ranges.
DAYS_AT_ONCE = 10_000
# Rows of days to come are looked for as well.
DAYS_TO_COME = timedelta(days=3660)
UNREADABLE = "the stretches cannot be read"
# The intervals of a row as text: a row that was edited may hold anything.
TEXTS = tuple(
    cast(coverage_table.c[name], Text).label(name) for name in ("stretches", "provisional_spans")
)
PLACE = (coverage_table.c.instrument_key, coverage_table.c.trading_date)
KEY = tuple(coverage_table.c[name] for name in ("instrument_key", "interval", "trading_date"))
REQUESTS = tuple(coverage_table.c[name] for name in RequestFacts._fields)
LEDGER = (*KEY, *COUNTS, *TEXTS, *REQUESTS)
REQUESTS_FROM = len(LEDGER) - len(REQUESTS)

# The other columns of a row whose intervals alone are looked at.
ANY_DAY: Mapping[str, Any] = {
    "instrument_key": "",
    "interval": CandleInterval.MINUTE.value,
    "trading_date": date(1970, 1, 1),
    **RequestFacts(0, 0, None, None, None)._asdict(),
}

LedgerRows = Mapping[LedgerKey, Row[Any]]


@dataclass(frozen=True, slots=True)
class Recount:
    """The result of a recount: instrument-days compared, and their candles inside the sessions.

    *findings* are all faults; *differences* has the minutes of those of the kind `MINUTES`.
    """

    days: int
    candles: int
    differences: Sequence[Difference]
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class OutsideRows:
    """Candles of one instrument and date in none of its sessions, by their starts."""

    instrument: Instrument
    day: date
    starts: Sequence[int]


@dataclass(frozen=True, slots=True)
class CountedDay:
    """A day with the counts of its candles."""

    place: Place
    tally: Tally
    tail: TailTally


def recount(connection: Connection, scope: CoverageQuery) -> Recount:
    """Compare candles, ledger and calendar, in a transaction that has read nothing yet.

    Days that are read from the archive's files are left out: the store does not have their candles.
    """
    # The ledger and the candles of one instant: a collector may be writing both.
    if is_postgres(connection):
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    in_files = set(days_in_files(connection, Dataset.CANDLES, scope.first, scope.last))
    own = {place.key for place in places_of(scope) if place.key[1] not in in_files}
    scope = scope.under_all_keys
    ledger, places = ledger_rows(connection, scope), places_of(scope)
    in_store = [place for place in places if place.key[1] not in in_files]
    total = 0
    differences: list[Difference] = []
    findings: list[Finding] = []
    for some in in_parts(in_store, DAYS_AT_ONCE):
        counted = counted_days(connection, scope.interval, some)
        total += sum(one.tally.rows for one in counted if one.place.key in own)
        doubtful = [one for one in counted if not _agrees(one, ledger.get(one.place.key))]
        for one in stored_days(connection, scope, ledger, doubtful):
            findings += one.findings()
            if one.difference is not None:
                differences.append(one.difference)
    for rows in outside_rows(connection, scope, places):
        findings.append(outside_finding(rows.instrument, rows.day, rows.starts))
    named = {one.instrument_key: one for one in scope.instruments}
    if scope.interval is CandleInterval.DAY:
        findings += day_candle_findings(connection, scope)
    for key, day in closed_days(scope, ledger):
        findings.append(closed_finding(named[key], day, ledger[key, day].present))
    listed = {key: number for number, key in enumerate(named)}
    findings.sort(key=lambda one: (listed[one.instrument.instrument_key], one.day))
    return Recount(len(own), total, differences, findings)


def ledger_rows(
    connection: Connection, scope: CoverageQuery, chosen: Sequence[LedgerKey] | None = None
) -> LedgerRows:
    """The ledger rows of *scope*, or the *chosen* ones of them, their intervals as text."""
    keys = [instrument.instrument_key for instrument in scope.instruments]
    query = select(*LEDGER).where(
        coverage_table.c.instrument_key.in_(keys),
        coverage_table.c.interval == scope.interval.value,
        coverage_table.c.trading_date.between(scope.first, scope.last),
    )
    if chosen is not None:
        query = query.where(tuple_(*PLACE).in_(chosen))
    return {(row.instrument_key, row.trading_date): row for row in connection.execute(query)}


def places_of(scope: CoverageQuery) -> list[Place]:
    """The trading days of all instruments of *scope*."""
    return [
        Place((one.instrument_key, trading.day), one, trading)
        for one, days in trading_days(scope)
        for trading in days
    ]


def in_parts(places: Sequence[Place], size: int) -> Iterator[Sequence[Place]]:
    """*places*, at most *size* at a time."""
    for first in range(0, len(places), size):
        yield places[first : first + size]


def counted_days(
    connection: Connection, interval: CandleInterval, places: Sequence[Place]
) -> list[CountedDay]:
    """Each place with the counts of its candles."""
    counts = tallies(connection, interval, places)
    tails = tail_tallies(connection, interval, places)
    return list(map(CountedDay, places, counts, tails))


def stored_days(
    connection: Connection,
    scope: CoverageQuery,
    ledger: LedgerRows,
    counted: Sequence[CountedDay],
) -> Iterator[StoredDay]:
    """The days of *counted* by the minute, with what their ledger rows claim."""
    interval, expectation = scope.interval, scope.expectation
    places = [one.place for one in counted]
    stored = stored_minutes(connection, interval, places)
    final = stored_minutes(connection, interval, places, candles.c.is_final)
    for one, minutes, confirmed in zip(counted, stored, final, strict=True):
        place, trading = one.place, one.place.trading
        row = ledger.get(place.key)
        known = None if row is None else _readable(row)
        yield StoredDay(
            instrument=place.instrument,
            session=trading.session,
            trading=trading.spans,
            claims=None if row is None else _claims(row),
            known=as_of_now(scope, place.key[0], trading, known),
            stored=minutes,
            final=confirmed,
            rows=rows_of_day(connection, interval, place) if _kinds_in_doubt(one) else None,
            over=expectation.finished(trading.session),
            today=expectation.today,
        )


def outside_rows(
    connection: Connection, scope: CoverageQuery, places: Sequence[Place]
) -> list[OutsideRows]:
    """The candles that lie in no session of their instrument, by date."""
    by_key: dict[str, list[Place]] = {one.instrument_key: [] for one in scope.instruments}
    for place in places:
        by_key[place.key[0]].append(place)
    found = []
    for instrument in scope.instruments:
        key = instrument.instrument_key
        ranges = [
            Range(number, key, first, end)
            for number, (first, end) in enumerate(_between_sessions(scope, key, by_key[key]))
        ]
        by_day: dict[date, list[int]] = defaultdict(list)
        for starts in starts_in(connection, scope.interval, ranges):
            for start in starts:
                by_day[day_of(start)].append(start)
        found += [OutsideRows(instrument, day, sorted(by_day[day])) for day in sorted(by_day)]
    return found


def closed_days(scope: CoverageQuery, ledger: LedgerRows) -> list[LedgerKey]:
    """The ledger rows that count candles on a day without a session."""
    named = {one.instrument_key: one for one in scope.instruments}
    return [
        (key, day)
        for (key, day), row in ledger.items()
        if row.present and not scope.expectation.session(named[key], day).open
    ]


def day_candle_findings(connection: Connection, scope: CoverageQuery) -> Iterator[Finding]:
    """The candles of whole days that their stored minutes contradict."""
    for instrument in scope.instruments:
        candle_of = day_values(connection, instrument.instrument_key, scope.first, scope.last)
        of_minutes = minute_values(connection, instrument.instrument_key, scope.first, scope.last)
        for day in sorted(candle_of.keys() & of_minutes.keys()):
            found = day_candle_finding(instrument, day, candle_of[day], of_minutes[day])
            if found is not None:
                yield found


def _agrees(one: CountedDay, row: Row[Any] | None) -> bool:
    """Whether the counts of a day show nothing wrong."""
    minutes, tally, tail = one.place.trading.minutes, one.tally, one.tail
    if row is None:
        return not (tally.rows or tail.rows)
    claims = _claims(row)
    counts = claims.counts
    full = counts.present in {0, minutes} and counts.provisional in {0, counts.present}
    as_counted = tally == Tally(counts.present, 0, counts.provisional)
    return claims.sound and full and as_counted and _tail_agrees(one)


def _tail_agrees(one: CountedDay) -> bool:
    if not auction_tail(one.place.trading.session, CandleInterval.MINUTE):
        return True
    return not one.tail.doubtful and (one.tail.auctions == 1 or not one.tally.rows)


def _kinds_in_doubt(one: CountedDay) -> bool:
    return bool(one.tally.odd) or not _tail_agrees(one)


def _claims(row: Row[Any]) -> LedgerClaims:
    of_intervals, contradictions = _told(row.stretches, row.provisional_spans)
    facts = RequestFacts._make(row[REQUESTS_FROM:])
    source_empty = of_intervals.source_empty if of_intervals else 0
    return LedgerClaims(
        counts=DayCounts._make(row[len(KEY) : len(KEY) + len(COUNTS)]),
        of_intervals=of_intervals,
        contradictions=(*contradictions, *request_contradictions(facts, source_empty)),
    )


@lru_cache(maxsize=4096)
def _told(stretches: str, provisional: str) -> tuple[DayCounts | None, tuple[str, ...]]:
    """The counts of intervals, which any day may have, and what contradicts itself in them."""
    known = _parsed(ANY_DAY, stretches, provisional)
    if known is None:
        return None, (UNREADABLE,)
    return counts_of(known), interval_contradictions(known)


def _readable(row: Row[Any]) -> DayCoverage | None:
    """The row without what contradicts itself; None if it cannot be read."""
    known = _parsed(row._asdict(), row.stretches, row.provisional_spans)
    return None if known is None else without_contradictions(known)


def _parsed(facts: Mapping[str, Any], stretches: str, provisional: str) -> DayCoverage | None:
    try:
        return day_coverage(
            {
                **facts,
                "stretches": orjson.loads(stretches),
                "provisional_spans": orjson.loads(provisional),
            }
        )
    except (ValueError, TypeError, KeyError):
        return None


def _between_sessions(scope: CoverageQuery, key: str, places: Sequence[Place]) -> Spans:
    """The minutes of the range in which an instrument has no candles."""
    first = max(scope.first, scope.expectation.listed.get(key, scope.first))
    to_come = DAYS_TO_COME if scope.last >= scope.expectation.today else timedelta(days=1)
    everything = ((midnight_number(first), midnight_number(scope.last + to_come)),)
    return without(
        everything,
        joined(
            span
            for place in places
            for span in (
                *place.trading.spans,
                *auction_tail(place.trading.session, scope.interval),
            )
        ),
    )
