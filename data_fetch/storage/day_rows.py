"""The rows of one table and Indian day: read in portions, deleted, and put back.

Rows are found by their keys, never by reading a table, and every portion has a short transaction
of its own: a day may have millions of rows, and a collector writes meanwhile. Which days may be
deleted, the ledger of the archive decides. Apart from other modules, because Arrow takes long to
load.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, select

from data_fetch.core.archive.days import TABLES, ArchivedSeries, bounds_of
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.storage.chains.rows import legs_table, receipts, snapshots, summaries
from data_fetch.storage.database.arrow_inserts import driver_rows, insert_arrow
from data_fetch.storage.database.dialects import SQLITE
from data_fetch.storage.database.distinct import distinct_values
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.partitions import cover
from data_fetch.storage.database.tables import Base
from data_fetch.storage.database.upsert import bulk_write
from data_fetch.storage.table_rows import table_rows

Begin = Callable[[], AbstractContextManager[Connection]]
Conditions = tuple[ColumnElement[bool], ...]

TIMES = {name: time for tables in TABLES.values() for name, time in tables.items()}
# Some ten megabytes.
LEGS_AT_ONCE = 40_000
# The rows of which columns' values are deleted at once; of a snapshot those of its instant. The
# other tables: those of a series on the day.
DELETED_BY = {
    legs_table.name: ("underlying", "expiry", "timestamp"),
    summaries.name: ("underlying", "expiry", "timestamp"),
    "ltp_data": ("timestamp",),
}
FIRST_PIECES = 20
SERIES = ("underlying", "expiry", "source")
NO_CONTENTS = {"snapshots": 0, "legs": 0, "first": None, "last": None}
# Columns that begin the key of a table without a look-up for each of their values.
FEW_VALUES: dict[str, list[Any]] = {"interval": sorted(each.value for each in CandleInterval)}


def stored_table(name: str) -> Table:
    """The table of this name."""
    return Base.metadata.tables[name]


def chain_series(begin: Begin, day: date) -> list[ArchivedSeries]:
    """The chains of a day, counted by underlying, expiry and source."""
    instant, received_at = snapshots.c.timestamp, receipts.c.received_at
    contents = select(
        *(snapshots.c[name] for name in SERIES),
        func.count().label("snapshots"),
        func.sum(snapshots.c.legs).label("legs"),
        func.min(instant).label("first"),
        func.max(instant).label("last"),
    )
    of_day = contents.where(*_in_day(snapshots, day)).group_by(
        *(snapshots.c[name] for name in SERIES)
    )
    received = select(
        func.count().label("receipts"),
        func.min(received_at).label("first_received"),
        func.max(received_at).label("last_received"),
    ).where(*_in_day(receipts, day))
    found = []
    with begin() as connection:
        stored = {tuple(row[:3]): row._mapping for row in connection.execute(of_day)}
        for series in _distinct_values(connection, receipts, SERIES, day):
            own = _equal(receipts, SERIES, series)
            counted = connection.execute(received.where(*own)).one()._mapping
            if counted["receipts"]:
                named = dict(zip(SERIES, series, strict=True))
                known = stored.get(series, {**NO_CONTENTS, **named})
                known = {**known, **counted, "legs": int(known["legs"])}
                found.append(ArchivedSeries(trading_date=day, **known))
    return found


def day_portions(
    begin: Begin, of: Table, day: date, columns: pa.Schema, order: Sequence[str]
) -> Iterator[pa.Table]:
    """The rows of *of* on an Indian date, as tables of *columns*, in the *order* of these names:
    those of the series first, then the instant.

    The text of a JSON column is canonical: sorted keys, no spaces. Each portion is read in a
    transaction from *begin*, so that rows that change meanwhile may be in the result or not.
    """
    series = tuple(order[: order.index(TIMES[of.name])])
    with begin() as connection:
        parts = list(_parts(connection, of, day, series))
    for part in parts:
        with begin() as connection:
            portion = table_rows(connection, of, part, columns, order[len(series) :])
        if portion.num_rows:
            yield portion


def _parts(
    connection: Connection, of: Table, day: date, series: Sequence[str]
) -> Iterator[Conditions]:
    """Conditions for the portions of a day, in the order of the series."""
    if of in {snapshots, legs_table, summaries}:
        heads = _heads(connection, day, series)
        at_once = LEGS_AT_ONCE if of is legs_table else len(heads) * LEGS_AT_ONCE
        for some in _runs(heads, series, at_once):
            stamp = of.c.timestamp.between(some[0].timestamp, some[-1].timestamp)
            yield *(of.c[name] == getattr(some[0], name) for name in series), stamp
        return
    for values in _distinct_values(connection, of, series, day):
        yield *_equal(of, series, values), *_in_day(of, day)


def _heads(connection: Connection, day: date, series: Sequence[str]) -> list[Row[Any]]:
    names = [*series, "timestamp", "legs"]
    query = select(*(snapshots.c[name] for name in names)).where(*_in_day(snapshots, day))
    return sorted(connection.execute(query), key=attrgetter(*names))


def _runs(
    heads: Sequence[Row[Any]], series: Sequence[str], legs_at_once: int
) -> Iterator[list[Row[Any]]]:
    """Consecutive heads of one series, with about *legs_at_once* legs together."""
    for _, of_series in groupby(heads, attrgetter(*series)):
        run: list[Row[Any]] = []
        legs = 0
        for head in of_series:
            run.append(head)
            legs += head.legs
            if legs >= legs_at_once:
                yield run
                run, legs = [], 0
        if run:
            yield run


def _distinct_values(
    connection: Connection, of: Table, names: Sequence[str], day: date
) -> list[tuple[Any, ...]]:
    """The distinct values of the columns *names*, which begin a key, in order; of the column of
    the instant those on *day*."""
    found: list[tuple[Any, ...]] = [()]
    begin, end = bounds_of(day)
    for place, name in enumerate(names):
        column, is_instant = of.c[name], name == TIMES[of.name]
        first, before = (begin, (column < end,)) if is_instant else (None, ())
        found = [
            (*known, value)
            for known in found
            for value in FEW_VALUES.get(name)
            or distinct_values(
                connection, column, *_equal(of, names[:place], known), *before, first=first
            )
        ]
    return found


def _equal(of: Table, names: Sequence[str], values: Sequence[Any]) -> Conditions:
    return tuple(of.c[name] == value for name, value in zip(names, values, strict=True))


def _in_day(of: Table, day: date) -> Conditions:
    first, end = bounds_of(day)
    instant = of.c[TIMES[of.name]]
    return instant >= first, instant < end


def delete_rows(begin: Begin, of: Table, day: date) -> int:
    """Delete the rows of *of* on an Indian date; returns how many.

    In transactions from *begin* that are short for SQLite's write lock. To be repeated after one
    that was killed.
    """
    names = DELETED_BY.get(of.name) or _series_of(of)
    with begin() as connection:
        pieces = _distinct_values(connection, of, names, day)
    # Of an instant no day: with a range beside it SQLite reads all of the range.
    within = () if TIMES[of.name] in names else _in_day(of, day)

    def write(connection: Connection, some: Sequence[tuple[Any, ...]]) -> int:
        return sum(
            connection.execute(delete(of).where(*_equal(of, names, values), *within)).rowcount
            for values in some
        )

    return bulk_write(begin, pieces, write, FIRST_PIECES)


def _series_of(of: Table) -> tuple[str, ...]:
    """The columns of the key, without the instant and those that follow from it."""
    if of is snapshots:
        return SERIES
    key = [column.name for column in of.primary_key]
    return tuple(key[: key.index(TIMES[of.name])])


def add_rows(begin: Begin, of: Table, day: date, portions: Iterable[pa.Table]) -> int:
    """Add rows of an Indian date that are not stored; returns how many.

    Transactions as of `delete_rows`. Raises IntegrityError for a row whose key is stored.
    """
    with begin() as connection:
        copies = is_postgres(connection)
        cover(connection, of.name, [day])
    if not copies:
        rows = (row for portion in portions for row in driver_rows(portion))
        statement = str(of.insert().compile(dialect=SQLITE))
        return bulk_write(begin, rows, partial(_insert, statement))
    added = 0
    for portion in portions:
        with begin() as connection:
            added += insert_arrow(connection, of, portion)
    return added


def _insert(statement: str, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    return connection.exec_driver_sql(statement, list(rows)).rowcount
