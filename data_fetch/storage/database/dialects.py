"""What SQLite and PostgreSQL express differently, for the queries of every room.

Many values travel in one parameter: a JSON document that the database turns into rows. The fast
ways to add rows are modules of their own: `binary_copy` (PostgreSQL), `wide_insert` (SQLite).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    String,
    Text,
    TypeDecorator,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal,
    make_url,
    select,
    type_coerce,
)
from sqlalchemy.types import TypeEngine

from data_fetch.storage.database.engine import is_postgres

POSTGRESQL = "postgresql"
SQLITE = make_url("sqlite://").get_dialect()()
POSTGRES = make_url("postgresql+psycopg2://").get_dialect()()

MICROSECONDS_PER_MINUTE = 60_000_000

Types = Mapping[str, TypeEngine[Any]]
Converter = Callable[[Any], Any]


def wait_for_turn(connection: Connection, lock: int) -> None:
    """Let one transaction at a time go on, until it ends; *lock* is the number of the lock."""
    # SQLite has one writer anyway.
    if is_postgres(connection):
        connection.execute(select(func.pg_advisory_xact_lock(lock)))


def wait_while_alone(connection: Connection, lock: int) -> None:
    """Wait while a transaction has the turn of `wait_for_turn`; it gets none until this one ends.

    Any number of transactions may be in this state.
    """
    if is_postgres(connection):
        connection.execute(select(func.pg_advisory_xact_lock_shared(lock)))


def only_reads(connection: Connection) -> bool:
    """Whether its transaction cannot make so much as a temporary table: a replica of PostgreSQL,
    or a database that was made read-only."""
    if not is_postgres(connection):
        return False
    setting = func.current_setting("transaction_read_only", type_=String())
    return connection.scalar(select(setting)) == "on"


def rows_in_document(dialect: str, types: Types, name: str) -> FromClause:
    """The rows of a JSON document as a table: the parameter `document`, by `document_of`."""
    document = bindparam("document", type_=Text())
    if dialect == POSTGRESQL:
        listed = func.json_to_recordset(cast(document, JSON))
        rows = listed.table_valued(*(column(each, kind) for each, kind in types.items()))
        return rows.render_derived(name=name, with_types=True)
    one = func.json_each(document).table_valued("value", name="one")
    values = (
        type_coerce(func.json_extract(one.c.value, f"$.{each}"), kind).label(each)
        for each, kind in types.items()
    )
    return select(*values).subquery(name)


def document_of(dialect: str, types: Types, rows: Iterable[Sequence[Any]]) -> str:
    """*rows*, their values in the order of *types*, as a document for `rows_in_document`."""
    converters = converters_of(dialect, types.values())
    converted = (
        [
            value if convert is None else convert(value)
            for value, convert in zip(row, converters, strict=True)
        ]
        for row in rows
    )
    return document(tuple(types), converted)


def document(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows of converted values as a document."""
    return orjson.dumps([dict(zip(names, row, strict=True)) for row in rows], str).decode()


def converters_of(dialect: str, types: Iterable[TypeEngine[Any]]) -> tuple[Converter | None, ...]:
    """For each type, the function that prepares a value; None where none is needed.

    On SQLite for the driver, on PostgreSQL for a JSON document.
    """
    if dialect == POSTGRESQL:
        return tuple(map(_postgres_converter, types))
    return tuple(kind.dialect_impl(SQLITE).bind_processor(SQLITE) for kind in types)


def _postgres_converter(kind: TypeEngine[Any]) -> Converter | None:
    # Our own types refuse invalid values; JSON represents the values of the others unchanged.
    if isinstance(kind, TypeDecorator):
        return partial(kind.process_bind_param, dialect=POSTGRES)
    return None


def is_among(
    connection: Connection, of: ColumnElement[str], values: Collection[str]
) -> ColumnElement[bool]:
    """Whether a text is one of *values*: thousands, so they go in one parameter."""
    if is_postgres(connection):
        return of == any_(literal(list(values), ARRAY(String())))
    one = func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
    return of.in_(select(one.c.value))


def microseconds(dialect: str, of: ColumnElement[Any]) -> ColumnElement[int]:
    """An `Instant` on a whole minute, in microseconds since 1970 UTC: no datetime for each row."""
    if dialect == POSTGRESQL:
        # A double represents every whole minute until the year 2255.
        return cast(func.date_part("epoch", of) * 1_000_000, BigInteger())
    return type_coerce(of, BigInteger())


def minutes(connection: Connection, of: ColumnElement[Any]) -> ColumnElement[int]:
    """An `Instant` on a whole minute, in minutes since 1970 UTC."""
    if is_postgres(connection):
        return cast(func.date_part("epoch", of) / 60, BigInteger())
    return type_coerce(of, BigInteger()) // MICROSECONDS_PER_MINUTE


def instant(connection: Connection, minute: ColumnElement[int]) -> ColumnElement[Any]:
    """From whole minutes since 1970 UTC, as the column type `Instant` has it."""
    if is_postgres(connection):
        return func.to_timestamp(minute * 60)
    return minute * MICROSECONDS_PER_MINUTE


def list_of(dialect: str, of: ColumnElement[int]) -> ColumnElement[Any]:
    """The numbers of a group as one JSON text; null or an empty list for none."""
    if dialect == POSTGRESQL:
        return cast(func.json_agg(of), Text())
    return func.json_group_array(of)
