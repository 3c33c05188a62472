"""The rows of one minute, and for each minute of a day the state of its rows.

Everything is found by keys and indexes. Apart from other modules, because Arrow takes long to
load.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    case,
    cast,
    func,
    literal,
    select,
)

from data_fetch.core.archive.days import bounds_of, day_of
from data_fetch.core.archive.minutes import TableMinute
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import MINUTE
from data_fetch.storage.candles.candles import candles
from data_fetch.storage.candles.evidence import coverage
from data_fetch.storage.chains.rows import legs_table, snapshots, summaries
from data_fetch.storage.database.dialects import MICROSECONDS_PER_MINUTE
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.quotes import ltp_data
from data_fetch.storage.table_rows import table_rows

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OF_SNAPSHOT = {table.name: table for table in (snapshots, legs_table, summaries)}
SNAPSHOT_KEY = ("underlying", "expiry", "timestamp", "source")
INTERVALS = [each.value for each in CandleInterval]
Conditions = tuple[ColumnElement[bool], ...]


def minute_states(connection: Connection, day: date) -> dict[TableMinute, str]:
    """For each table and minute of an Indian date that has rows: a text that differs when they do.

    A snapshot, its legs and its summary belong to the minute it was received first, a quote to
    that of its slot. The final candles of an instrument and date belong to the minute in which the
    coverage ledger last changed for them; after the date that is its last minute.
    """
    return {
        TableMinute(EPOCH + number * MINUTE, table): "/".join(map(str, state))
        for tables, query in _state_queries(connection, day)
        for number, *state in connection.execute(query)
        for table in tables
    }


def _state_queries(
    connection: Connection, day: date
) -> Iterator[tuple[tuple[str, ...], Select[Any]]]:
    bounds = bounds_of(day)
    head, quote, known = snapshots.c, ltp_data.c, coverage.c
    of_heads, in_day = _minute(connection, head.timestamp), _within(head.timestamp, *bounds)
    legs = [func.count(), func.sum(head.legs), func.min(head.run_id), func.max(head.run_id)]
    heads = [*legs, func.sum(head.confirmations), _latest(connection, head.last_confirmed)]
    yield (snapshots.name,), _by_minute(of_heads, heads, in_day)
    yield (legs_table.name, summaries.name), _by_minute(of_heads, legs, in_day)
    slots, in_day = _minute(connection, quote.timestamp), _within(quote.timestamp, *bounds)
    # Counted in the index alone: anything else would read every quote of the day each minute. A
    # quote that is replaced by one of the same slot is seen when the day is sealed.
    yield (ltp_data.name,), _by_minute(slots, [func.count()], in_day)
    finals = [
        func.sum(known.present - known.provisional),
        func.sum(known.attempts),
        _latest(connection, known.changed_at),
    ]
    yield (
        (candles.name,),
        _by_minute(_change_minute(connection, day), finals, _with_finals(day)),
    )


def _by_minute(
    minute: ColumnElement[int], state: Sequence[ColumnElement[Any]], conditions: Conditions
) -> Select[Any]:
    query: Select[Any] = select(minute, *state)
    return query.where(*conditions).group_by(minute)


def minute_rows(connection: Connection, of: TableMinute, columns: pa.Schema) -> pa.Table:
    """The rows of a table in a minute as a table of *columns*, in no order."""
    first, end = of.minute, of.minute + MINUTE
    if of.table in OF_SNAPSHOT:
        target, conditions = OF_SNAPSHOT[of.table], _within(snapshots.c.timestamp, first, end)
        if target is not snapshots:
            same = (target.c[name] == snapshots.c[name] for name in SNAPSHOT_KEY)
            conditions = (*conditions, *same)
        return table_rows(connection, target, conditions, columns)
    if of.table == ltp_data.name:
        return table_rows(connection, ltp_data, _within(ltp_data.c.timestamp, first, end), columns)
    day = day_of(of.minute)
    number = (of.minute - EPOCH) // MINUTE
    finals = (
        *_with_finals(day),
        _change_minute(connection, day) == number,
        candles.c.instrument_key == coverage.c.instrument_key,
        candles.c.interval == coverage.c.interval,
        *_within(candles.c.timestamp, *bounds_of(day)),
        candles.c.is_final,
    )
    return table_rows(connection, candles, finals, columns)


def _with_finals(day: date) -> Conditions:
    """The instruments that have final candles on a day, by the ledger."""
    return (
        coverage.c.interval.in_(INTERVALS),
        coverage.c.trading_date == day,
        coverage.c.present > coverage.c.provisional,
    )


def _change_minute(connection: Connection, day: date) -> ColumnElement[int]:
    """The minute of *day* in which the ledger changed last, or the one of that day next to it."""
    first, end = bounds_of(day)
    changed = coverage.c.changed_at
    return case(
        (changed < first, literal((first - EPOCH) // MINUTE)),
        (changed >= end, literal((end - EPOCH) // MINUTE - 1)),
        else_=_minute(connection, changed),
    )


def _within(column: ColumnElement[Any], first: datetime, end: datetime) -> Conditions:
    return column >= first, column < end


def _minute(connection: Connection, of: ColumnElement[Any]) -> ColumnElement[int]:
    """The minute of an instant, in minutes since 1970 UTC."""
    if is_postgres(connection):
        return cast(func.floor(func.date_part("epoch", of) / 60), BigInteger())
    return cast(of, BigInteger()) // MICROSECONDS_PER_MINUTE


def _latest(connection: Connection, of: ColumnElement[Any]) -> ColumnElement[int]:
    """The latest of some instants, in microseconds since 1970 UTC."""
    if is_postgres(connection):
        return cast(func.max(func.date_part("epoch", of)) * 1_000_000, BigInteger())
    return cast(func.max(of), BigInteger())
