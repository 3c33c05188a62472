"""The candles recounted, and the ledger set right by them: the candles are the fact.

A count per instrument and session is a range of the candles' key, so all of it is one pass over
that key and touches no candle. Only days that are short, or differ, are looked at by the minute.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Integer,
    String,
    Subquery,
    TableValuedAlias,
    Text,
    and_,
    bindparam,
    cast,
    column,
    func,
    select,
    text,
)

from data_fetch.core.candles import CandleInterval
from data_fetch.core.coverage import DayCoverage, State, refitted, with_bars
from data_fetch.core.market_session import instant_of, minute_number
from data_fetch.core.records import Instrument, Outcome, SyncRun, new_run_id
from data_fetch.core.spans import Spans, count, spans_of, without
from data_fetch.storage.candles import MICROSECONDS, begin_candle_writing, candles
from data_fetch.storage.coverage import LedgerKey, save_days
from data_fetch.storage.coverage_counts import (
    Question,
    TradingDay,
    as_of_now,
    load_chosen_days,
    load_counts,
    trading_days,
)
from data_fetch.storage.store import Store
from data_fetch.storage.sync import write_runs

AUDIT = "audit"
# Some megabytes of ranges, and a write transaction of well under a second.
DAYS_AT_ONCE, DAYS_REPAIRED_AT_ONCE = 10_000, 500

Ranges = Subquery | TableValuedAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A day of which the ledger does not say what the candles are. Minutes as spans."""

    instrument: Instrument
    day: date
    ledger_present: int
    candles_present: int
    only_in_ledger: Spans
    only_in_candles: Spans


@dataclass(frozen=True, slots=True)
class Recount:
    """What a recount found: instrument-days looked at, and their candles inside the sessions."""

    days: int
    candles: int
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class _Place:
    """An instrument-day."""

    instrument: Instrument
    trading: TradingDay

    @property
    def key(self) -> LedgerKey:
        return self.instrument.instrument_key, self.trading.day


@dataclass(frozen=True, slots=True)
class _Stored:
    """The minutes of a day that have a candle, and those whose candle is final."""

    present: Spans = ()
    final: Spans = ()


def recount(connection: Connection, question: Question) -> Recount:
    """Compare the ledger with the candles, in a transaction that has read nothing yet."""
    # The ledger and the candles of one instant: a collector may be writing both.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    counted = load_counts(connection, question)
    places = [_Place(one, day) for one, days in trading_days(question) for day in days]
    total, differences = 0, []
    for some in _in_parts(places, DAYS_AT_ONCE):
        found = _counts(connection, question.interval, some)
        total += sum(found)
        doubtful = []
        for place, stored in zip(some, found, strict=True):
            row = counted.get(place.key)
            present = row.present if row else 0
            full = stored == present == place.trading.minutes
            if (stored or present) and not full:
                doubtful.append(place)
        differences += [one for one, *_ in _compared(connection, question, doubtful)]
    return Recount(len(places), total, differences)


def repair(store: Store, question: Question, differences: Sequence[Difference]) -> int:
    """Rewrite the ledger's days of *differences* from the candles; says how many it wrote.

    Minutes whose candles are gone are ours to fetch again, at once. Every transaction looks
    anew, so that what was put right meanwhile stays as it is.
    """
    run_id, now = new_run_id(), question.expectation.now
    wanted = {(one.instrument.instrument_key, one.day) for one in differences}
    places = [
        place
        for one, days in trading_days(question)
        for day in days
        if (place := _Place(one, day)).key in wanted
    ]
    rewritten = 0
    for some in _in_parts(places, DAYS_REPAIRED_AT_ONCE):
        with store.writing() as connection:
            begin_candle_writing(connection)
            days = [
                _rewritten(known, stored, place.trading, question)
                for _, place, known, stored in _compared(connection, question, some)
            ]
            save_days(connection, days, run_id, now)
            rewritten += len(days)
            run = SyncRun(
                run_id=run_id,
                job=AUDIT,
                due_slot=None,
                started_at=now,
                finished_at=now,
                outcome=Outcome.COMPLETED,
                requested=len(places),
                stored=rewritten,
            )
            write_runs(connection, [run])
    return rewritten


def _rewritten(
    known: DayCoverage, stored: _Stored, trading: TradingDay, question: Question
) -> DayCoverage:
    """*known* with exactly the *stored* minutes present."""
    due = question.expectation.due(trading.session, question.interval)
    gone = without(known.spans(State.PRESENT), stored.present)
    # Taken out of the day and put back, they are as minutes that were never asked for.
    without_them = refitted(known, without(trading.spans, gone), due)
    lacking = refitted(without_them, trading.spans, due)
    return with_bars(lacking, stored.present, stored.final)


def _compared(
    connection: Connection, question: Question, places: Sequence[_Place]
) -> Iterator[tuple[Difference, _Place, DayCoverage, _Stored]]:
    """Those of *places* of which ledger and candles differ."""
    rows = load_chosen_days(connection, question.interval, [place.key for place in places])
    stored_days = _stored(connection, question.interval, places)
    for place in places:
        key = place.instrument.instrument_key
        known = as_of_now(question, key, place.trading, rows.get(place.key))
        stored = stored_days.get(place.key, _Stored())
        said = known.spans(State.PRESENT)
        if said != stored.present:
            difference = Difference(
                instrument=place.instrument,
                day=place.trading.day,
                ledger_present=count(said),
                candles_present=count(stored.present),
                only_in_ledger=without(said, stored.present),
                only_in_candles=without(stored.present, said),
            )
            yield difference, place, known, stored


def _counts(
    connection: Connection, interval: CandleInterval, places: Sequence[_Place]
) -> list[int]:
    """How many candles each place has inside its session."""
    ranges = _ranges(connection, places)
    inside = (
        select(func.count()).where(_starts_in(ranges, interval)).correlate(ranges).scalar_subquery()
    )
    counts = [0] * len(places)
    for place, stored in connection.execute(select(ranges.c.place, inside)):
        counts[place] += stored
    return counts


def _stored(
    connection: Connection, interval: CandleInterval, places: Sequence[_Place]
) -> Mapping[LedgerKey, _Stored]:
    """Which minutes of each place have a candle; nothing for a place without any."""
    found: Mapping[LedgerKey, _Stored] = {}
    if not places:
        return found
    ranges = _ranges(connection, places)
    query = (
        select(ranges.c.place, candles.c.timestamp, candles.c.is_final)
        .join_from(ranges, candles, _starts_in(ranges, interval))
        .order_by(ranges.c.place, candles.c.timestamp)
    )
    present: defaultdict[int, list[int]] = defaultdict(list)
    final: defaultdict[int, list[int]] = defaultdict(list)
    for place, timestamp, is_final in connection.execute(query):
        minute = minute_number(timestamp)
        present[place].append(minute)
        if is_final:
            final[place].append(minute)
    return {
        places[place].key: _Stored(spans_of(minutes), spans_of(final[place]))
        for place, minutes in present.items()
    }


def _ranges(connection: Connection, places: Sequence[_Place]) -> Ranges:
    """The sessions of *places* as a table: the number of the place, its key, first and end."""
    listed = [
        (number, place.instrument.instrument_key, first, end)
        for number, place in enumerate(places)
        for first, end in place.trading.spans
    ]
    if connection.dialect.name == "postgresql":
        document: Sequence[object] = [
            {"place": number, "key": key, "first": instant_of(first), "end": instant_of(end)}
            for number, key, first, end in listed
        ]
        told = func.json_to_recordset(cast(_bound(document), JSON)).table_valued(
            column("place", Integer()),
            column("key", String()),
            column("first", candles.c.timestamp.type),
            column("end", candles.c.timestamp.type),
        )
        return told.render_derived(name="ranges", with_types=True)
    document = [
        (number, key, first * MICROSECONDS, end * MICROSECONDS)
        for number, key, first, end in listed
    ]
    each = func.json_each(_bound(document)).table_valued("value")

    def item(place: int, name: str) -> ColumnElement[Any]:
        return func.json_extract(each.c.value, f"$[{place}]").label(name)

    return select(item(0, "place"), item(1, "key"), item(2, "first"), item(3, "end")).subquery(
        "ranges"
    )


def _bound(document: Sequence[object]) -> ColumnElement[str]:
    return bindparam("document", orjson.dumps(document).decode(), type_=Text())


def _starts_in(ranges: Ranges, interval: CandleInterval) -> ColumnElement[bool]:
    return and_(
        candles.c.instrument_key == ranges.c.key,
        candles.c.interval == interval.value,
        candles.c.timestamp >= ranges.c.first,
        candles.c.timestamp < ranges.c.end,
    )


def _in_parts(places: Sequence[_Place], size: int) -> Iterator[Sequence[_Place]]:
    for first in range(0, len(places), size):
        yield places[first : first + size]
