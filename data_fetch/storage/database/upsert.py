"""Inserts rows or updates those that are stored.

Rows are tuples in the order of their column names. A row whose key is stored already is replaced,
but only if something in it differs, so that writing twice costs nothing and changes nothing.

SQLAlchemy's own ON CONFLICT path sends row by row on psycopg2. Here SQLAlchemy writes the
statement and the rows go to the driver in bulk: SQLite's `executemany`, for PostgreSQL one JSON
document that the server turns into rows.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    case,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement

from data_fetch.core.archive.days import day_of
from data_fetch.core.clock import stopwatch
from data_fetch.core.errors import BadRecord
from data_fetch.storage.database.dialects import (
    POSTGRES,
    POSTGRESQL,
    SQLITE,
    Converter,
    converters_of,
    document,
    rows_in_document,
)
from data_fetch.storage.database.partitions import TIME_COLUMNS, cover

Expression = ColumnElement[Any]
RowValues = tuple[Any, ...]
# The value of a column from its old and its new one.
Combine = Callable[[Expression, Expression], Expression]
_Offered = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
_Insert = TypeVar("_Insert", PostgresInsert, SqliteInsert)
Thing = TypeVar("Thing")

# A document of this size is a few megabytes; larger ones are no faster.
ROWS_PER_DOCUMENT = 10_000

# SQLite has one writer. A waiting one tries again after 25 ms at first, so it soon meets a pause
# of that length; the lock should never be held for longer than 200 ms.
LOCK_SECONDS = 0.05
PAUSE_SECONDS = 0.025
FIRST_CHUNK = 500
LARGEST_CHUNK = 20_000


def earliest(old: Expression, new: Expression) -> Expression:
    return case((or_(old.is_(None), new < old), new), else_=old)


def latest(old: Expression, new: Expression) -> Expression:
    return case((or_(old.is_(None), new > old), new), else_=old)


def unchanged(old: Expression, _new: Expression) -> Expression:
    """The stored value."""
    return old


def last_known(old: Expression, new: Expression) -> Expression:
    """The new value, unless it is null."""
    return func.coalesce(new, old)


@dataclass(frozen=True, eq=False)
class Rule:
    """What happens to a stored row when another with its key is offered.

    The offered row replaces it. With a *ranking* it does so only if it ranks at least as
    high, compared column by column: ``("is_final", "fetched_at")`` reads "final beats
    provisional, then newer". *combined* columns are computed from the old and new value,
    whichever row wins.
    """

    ranking: tuple[str, ...] = ()
    combined: Mapping[str, Callable[[Expression, Expression], Expression]] = field(
        default_factory=dict
    )


REPLACE = Rule()


def upsert(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[RowValues],
    rule: Rule = REPLACE,
) -> int:
    """Insert *rows*, or update those whose key is stored; returns how many were new or different.

    Of several rows with one key the last counts. Raises BadRecord for a row with an empty key
    or with a value that its column type rejects.
    """
    send = _SENDERS[connection.dialect.name]
    sent = _one_per_key(table, columns, rows)
    return send(connection, table, tuple(columns), sent, rule) if sent else 0


def bulk_upsert(
    begin: Callable[[], AbstractContextManager[Connection]],
    table: Table,
    columns: Sequence[str],
    rows: Iterable[RowValues],
    rule: Rule = REPLACE,
) -> int:
    """`upsert` for any number of rows: one transaction from *begin* per chunk.

    Rows written before an error remain.
    """

    def write(connection: Connection, chunk: Sequence[RowValues]) -> int:
        return upsert(connection, table, columns, chunk, rule)

    return bulk_write(begin, rows, write)


def bulk_write(
    begin: Callable[[], AbstractContextManager[Connection]],
    things: Iterable[Thing],
    write: Callable[[Connection, Sequence[Thing]], int],
    first: int = FIRST_CHUNK,
) -> int:
    """Call *write* chunk by chunk, each in a transaction from *begin*; returns the sum of its
    results.

    On SQLite a chunk, of *first* things to begin with, is small enough for a short write lock,
    with a pause for other writers between two chunks.
    """
    waiting = iter(things)
    changed, size = 0, first
    while chunk := list(islice(waiting, size)):
        with begin() as connection:
            one_writer = connection.dialect.name == "sqlite"
            started = stopwatch()
            changed += write(connection, chunk)
        if one_writer:
            size = next_chunk(len(chunk), stopwatch() - started)
            time.sleep(PAUSE_SECONDS)
        else:
            size = LARGEST_CHUNK
    return changed


def next_chunk(rows: int, seconds: float) -> int:
    """How many rows to write next, after *rows* took the write lock for *seconds*."""
    fitting = int(rows * LOCK_SECONDS / max(seconds, 1e-6))
    # Grows step by step, because the first rows of a table are written faster than the next ones.
    return max(1, min(fitting, 2 * rows, LARGEST_CHUNK))


def _one_per_key(
    table: Table, columns: Sequence[str], rows: Sequence[RowValues]
) -> list[RowValues]:
    key = [column.name for column in table.primary_key]
    if not key:
        raise ValueError(f"{table.name} has no key, so nothing can be upserted into it")
    keys = zip(*(map(itemgetter(columns.index(name)), rows) for name in key), strict=True)
    by_key = dict(zip(keys, rows, strict=True))
    for values in by_key:
        if None in values or "" in values:
            raise BadRecord(
                f"{table.name}: a row has no key ({dict(zip(key, values, strict=True))})"
            )
    return list(by_key.values())


def _send_to_sqlite(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: list[RowValues],
    rule: Rule,
) -> int:
    bound = _each_column(rows, _converters("sqlite", table, columns))
    statement = _sqlite_statement(table, columns, rule)
    return connection.exec_driver_sql(statement, bound).rowcount


def _send_to_postgres(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: list[RowValues],
    rule: Rule,
) -> int:
    checked = _each_column(rows, _converters(POSTGRESQL, table, columns))
    if table.name in TIME_COLUMNS:
        times = set(map(itemgetter(columns.index(TIME_COLUMNS[table.name])), rows))
        cover(connection, table.name, set(map(day_of, times)))
    statement = _postgres_statement(table, columns, rule)
    changed = 0
    for first in range(0, len(checked), ROWS_PER_DOCUMENT):
        several = checked[first : first + ROWS_PER_DOCUMENT]
        sent = connection.exec_driver_sql(statement, {"document": document(columns, several)})
        changed += sent.rowcount
    return changed


_SENDERS = {"sqlite": _send_to_sqlite, "postgresql": _send_to_postgres}


@lru_cache(maxsize=256)
def _converters(
    dialect: str, table: Table, columns: tuple[str, ...]
) -> tuple[Converter | None, ...]:
    return converters_of(dialect, (table.c[name].type for name in columns))


def _each_column(rows: list[RowValues], converters: Sequence[Converter | None]) -> list[RowValues]:
    by_column = zip(*rows, strict=True)
    return list(
        zip(
            *(
                values if convert is None else _each_value(values, convert)
                for values, convert in zip(by_column, converters, strict=True)
            ),
            strict=True,
        )
    )


def _each_value(values: RowValues, convert: Converter) -> Iterator[Any]:
    # All rows of a slot have the same instants: converted once, not 200 times.
    previous, converted = values[0], convert(values[0])
    for value in values:
        if value is not previous:
            previous, converted = value, convert(value)
        yield converted


@lru_cache(maxsize=256)
def _sqlite_statement(table: Table, columns: tuple[str, ...], rule: Rule) -> str:
    insert = sqlite.insert(table).values(dict.fromkeys(columns))
    return str(_resolved(insert, table, columns, rule).compile(dialect=SQLITE))


@lru_cache(maxsize=256)
def _postgres_statement(table: Table, columns: tuple[str, ...], rule: Rule) -> str:
    """With one placeholder: a document of rows."""
    types = {name: table.c[name].type for name in columns}
    offered = select(rows_in_document(POSTGRESQL, types, "offered"))
    insert = postgresql.insert(table).from_select(columns, offered)
    return str(_resolved(insert, table, columns, rule).compile(dialect=POSTGRES))


def _resolved(insert: _Insert, table: Table, columns: tuple[str, ...], rule: Rule) -> _Insert:
    """The insert, with what happens if the key is stored already."""
    key = [column.name for column in table.primary_key]
    outcomes = {
        name: _outcome(table, insert.excluded, name, rule) for name in columns if name not in key
    }
    if not outcomes:
        return insert.on_conflict_do_nothing(index_elements=key)
    differs = or_(*(table.c[name].is_distinct_from(new) for name, new in outcomes.items()))
    return insert.on_conflict_do_update(index_elements=key, set_=outcomes, where=differs)


def _outcome(table: Table, offered: _Offered, name: str, rule: Rule) -> Expression:
    old, new = table.c[name], offered[name]
    if name in rule.combined:
        return rule.combined[name](old, new)
    if not rule.ranking:
        return new
    ranks = tuple_(*(offered[by] for by in rule.ranking))
    standing = tuple_(*(table.c[by] for by in rule.ranking))
    return case((ranks >= standing, new), else_=old)
