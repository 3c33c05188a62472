"""The one statement that writes rows.

Rows are positional tuples beside their column names. A row whose key is already there is
replaced, but only if something in it differs, so that writing twice costs nothing and
changes nothing. SQLAlchemy's own ON CONFLICT path sends row by row on psycopg2; here the
statement is SQLAlchemy's and the sending is the driver's.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import lru_cache
from io import StringIO
from itertools import islice
from typing import Any, TypeVar

from psycopg2.extras import execute_values
from sqlalchemy import Column as SqlColumn
from sqlalchemy import (
    ColumnElement,
    Connection,
    MetaData,
    Table,
    case,
    false,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.postgresql import psycopg2
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement

from data_fetch.core.clock import stopwatch
from data_fetch.core.errors import BadRecord
from data_fetch.storage.database import driver_errors

# Placeholders are plain %s, as the driver's own helpers want them.
POSTGRES: Dialect = psycopg2.dialect(paramstyle="format")  # type: ignore[no-untyped-call]

Column = ColumnElement[Any]
Row = tuple[Any, ...]
_Offered = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
_Insert = TypeVar("_Insert", PostgresInsert, SqliteInsert)

# From here on PostgreSQL is faster with COPY into a temporary table.
COPY_FROM_ROWS = 2_000

# SQLite has one writer. A waiting one looks again after 25 ms at first, so it finds a pause
# of that length soon; the lock is never meant to be held for longer than 200 ms.
LOCK_SECONDS = 0.05
PAUSE_SECONDS = 0.025
FIRST_CHUNK = 500
LARGEST_CHUNK = 20_000


def earliest(old: Column, new: Column) -> Column:
    return case((new < old, new), else_=old)


def latest(old: Column, new: Column) -> Column:
    return case((new > old, new), else_=old)


def unchanged(old: Column, _new: Column) -> Column:
    """The value that is there."""
    return old


def last_known(old: Column, new: Column) -> Column:
    """The new value, unless it is null."""
    return func.coalesce(new, old)


@dataclass(frozen=True, eq=False)
class Rule:
    """What becomes of a row that is already there when another with its key is offered.

    The offered row replaces it. With a *ranking* it does so only if it ranks at least as
    high, compared column by column: ``("is_final", "fetched_at")`` reads "final beats
    provisional, then newer". *combined* columns are computed from the old and new value,
    whichever row wins.
    """

    ranking: tuple[str, ...] = ()
    combined: Mapping[str, Callable[[Column, Column], Column]] = field(default_factory=dict)


REPLACE = Rule()


def upsert(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[Row],
    rule: Rule = REPLACE,
) -> int:
    """Insert *rows*, or update those whose key is there; say how many were new or different.

    Of several rows with one key the last counts. Raises BadRecord for a row whose key is
    empty or whose values the column types refuse.
    """
    send = _SENDERS[connection.dialect.name]
    converted = _converted(connection.dialect, table, columns, _one_per_key(table, columns, rows))
    return send(connection, table, tuple(columns), converted, rule) if converted else 0


def bulk_upsert(
    begin: Callable[[], AbstractContextManager[Connection]],
    table: Table,
    columns: Sequence[str],
    rows: Iterable[Row],
    rule: Rule = REPLACE,
) -> int:
    """`upsert` for any number of rows: one transaction from *begin* per chunk.

    On SQLite a chunk is as large as fits a short write lock, with a pause for other writers
    between two chunks. What was written before an error stays written.
    """
    waiting = iter(rows)
    changed, size = 0, FIRST_CHUNK
    while chunk := list(islice(waiting, size)):
        with begin() as connection:
            one_writer = connection.dialect.name == "sqlite"
            started = stopwatch()
            changed += upsert(connection, table, columns, chunk, rule)
        if one_writer:
            size = next_chunk(len(chunk), stopwatch() - started)
            time.sleep(PAUSE_SECONDS)
        else:
            size = LARGEST_CHUNK
    return changed


def next_chunk(rows: int, seconds: float) -> int:
    """How many rows to write next, when *rows* held the write lock for *seconds*."""
    fitting = int(rows * LOCK_SECONDS / max(seconds, 1e-6))
    # Growing step by step: the first rows of a table are no measure for the next ones.
    return max(1, min(fitting, 2 * rows, LARGEST_CHUNK))


def _one_per_key(table: Table, columns: Sequence[str], rows: Sequence[Row]) -> list[Row]:
    key = [column.name for column in table.primary_key]
    if not key:
        raise ValueError(f"{table.name} has no key, so nothing can be upserted into it")
    at = [columns.index(name) for name in key]
    by_key = {tuple(row[i] for i in at): row for row in rows}
    for values in by_key:
        if None in values or "" in values:
            raise BadRecord(
                f"{table.name}: a row has no key ({dict(zip(key, values, strict=True))})"
            )
    return list(by_key.values())


def _converted(
    dialect: Dialect, table: Table, columns: Sequence[str], rows: list[Row]
) -> list[Row]:
    """The rows in the driver's words; only columns that need it are touched."""
    converters = [
        (at, convert)
        for at, name in enumerate(columns)
        if (convert := table.c[name].type.dialect_impl(dialect).bind_processor(dialect))
    ]
    if not converters:
        return rows
    by_column = list(zip(*rows, strict=True))
    for at, convert in converters:
        by_column[at] = tuple(map(convert, by_column[at]))
    return list(zip(*by_column, strict=True))


def _send_to_sqlite(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: list[Row], rule: Rule
) -> int:
    return connection.exec_driver_sql(_sqlite_statement(table, columns, rule), rows).rowcount


def _send_to_postgres(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: list[Row], rule: Rule
) -> int:
    send = _send_values if len(rows) < COPY_FROM_ROWS else _send_copied
    with driver_errors(connection.engine):
        return send(connection, table, columns, rows, rule)


def _send_values(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: list[Row], rule: Rule
) -> int:
    with closing(connection.connection.cursor()) as cursor:
        statement = _values_statement(table, columns, rule)
        execute_values(cursor, statement, rows, page_size=len(rows))
        return int(cursor.rowcount)


def _send_copied(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: list[Row], rule: Rule
) -> int:
    create, copy, insert, drop = _copy_statements(table, columns, rule)
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(create)
        cursor.copy_expert(copy, StringIO("".join(_copy_lines(rows))))
        cursor.execute(insert)
        changed = int(cursor.rowcount)
        cursor.execute(drop)
        return changed


_SENDERS = {"sqlite": _send_to_sqlite, "postgresql": _send_to_postgres}
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copy_lines(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        yield "\t".join([_copy_text(value) for value in row]) + "\n"


def _copy_text(value: Any) -> str:
    if value is None:
        return "\\N"
    return value.translate(_COPY_ESCAPES) if isinstance(value, str) else str(value)


@lru_cache(maxsize=256)
def _sqlite_statement(table: Table, columns: tuple[str, ...], rule: Rule) -> str:
    insert = sqlite.insert(table).values(dict.fromkeys(columns))
    return str(_resolved(insert, table, columns, rule).compile(dialect=sqlite.dialect()))


@lru_cache(maxsize=256)
def _values_statement(table: Table, columns: tuple[str, ...], rule: Rule) -> str:
    """As `execute_values` wants it: one placeholder for all rows."""
    insert = postgresql.insert(table).values(dict.fromkeys(columns))
    compiled = str(_resolved(insert, table, columns, rule).compile(dialect=POSTGRES))
    one_row = "(" + ", ".join(["%s"] * len(columns)) + ")"
    return compiled.replace(one_row, "%s", 1)


@lru_cache(maxsize=256)
def _copy_statements(
    table: Table, columns: tuple[str, ...], rule: Rule
) -> tuple[str, str, str, str]:
    """Create the temporary table, copy into it, insert from it, drop it."""
    incoming = Table(
        f"incoming_{table.name}",
        MetaData(),
        *(SqlColumn(name, table.c[name].type) for name in columns),
    )
    quote = POSTGRES.identifier_preparer.quote
    temporary = quote(incoming.name)
    names = ", ".join(map(quote, columns))
    nothing = select(*(table.c[name] for name in columns)).where(false())
    insert = postgresql.insert(table).from_select(columns, select(incoming))
    return (
        f"CREATE TEMPORARY TABLE {temporary} ON COMMIT DROP AS {nothing}",
        f"COPY {temporary} ({names}) FROM STDIN",
        str(_resolved(insert, table, columns, rule).compile(dialect=POSTGRES)),
        f"DROP TABLE {temporary}",
    )


def _resolved(insert: _Insert, table: Table, columns: tuple[str, ...], rule: Rule) -> _Insert:
    """The insert, with what happens when the key is there."""
    key = [column.name for column in table.primary_key]
    outcomes = {
        name: _outcome(table, insert.excluded, name, rule) for name in columns if name not in key
    }
    if not outcomes:
        return insert.on_conflict_do_nothing(index_elements=key)
    differs = or_(*(table.c[name].is_distinct_from(new) for name, new in outcomes.items()))
    return insert.on_conflict_do_update(index_elements=key, set_=outcomes, where=differs)


def _outcome(table: Table, offered: _Offered, name: str, rule: Rule) -> Column:
    old, new = table.c[name], offered[name]
    if name in rule.combined:
        return rule.combined[name](old, new)
    if not rule.ranking:
        return new
    ranks = tuple_(*(offered[by] for by in rule.ranking))
    standing = tuple_(*(table.c[by] for by in rule.ranking))
    return case((ranks >= standing, new), else_=old)
