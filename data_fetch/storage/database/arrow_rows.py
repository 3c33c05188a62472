"""Reads rows as Arrow tables, without an object of ours for each value.

PostgreSQL writes the rows as CSV, which Arrow reads; SQLite's driver makes tuples, and nothing is
made of them but arrays. For queries that select instants in microseconds. Apart from other
modules, because Arrow takes long to load.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from pyarrow import csv
from sqlalchemy import Connection, Select

from data_fetch.core.market.session import EPOCH_DAY, IST_AHEAD, MINUTES_OF_DAY
from data_fetch.storage.database.copying import run_copy, session_of
from data_fetch.storage.database.dialects import MICROSECONDS_PER_MINUTE
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.partitions import TIME_COLUMNS, cover
from data_fetch.storage.database.refusals import database_error

INSTANT = pa.timestamp("us", "UTC")
# As many fit into the caches of a processor: with all at once it takes a tenth longer.
ROWS_AT_ONCE = 1_000
Parameters = Mapping[str, Any]


def arrow_rows(
    connection: Connection, query: Select[Any], given: Parameters, schema: pa.Schema
) -> pa.Table:
    """The rows of *query*, with the parameters *given*, as a table of *schema*: its columns in
    that order, instants in microseconds since 1970 UTC.

    Raises as a query does that SQLAlchemy reads.
    """
    read = _copied if is_postgres(connection) else _fetched
    return read(connection, query, given, schema)


def _fetched(
    connection: Connection, query: Select[Any], given: Parameters, schema: pa.Schema
) -> pa.Table:
    kinds = [_fetched_type(field.type) for field in schema]
    chunks: list[list[Any]] = [[] for _ in kinds]
    for rows in fetched_portions(connection, query, given, ROWS_AT_ONCE):
        for own, values, kind in zip(chunks, zip(*rows, strict=True), kinds, strict=True):
            own.append(pa.array(values, kind))
    columns = [pa.chunked_array(own, kind) for own, kind in zip(chunks, kinds, strict=True)]
    fetched = pa.table(columns, schema.names).combine_chunks()
    for place, field in enumerate(schema):
        if pa.types.is_decimal(field.type):
            exact = _ten_thousandths(fetched.column(place).combine_chunks(), field.type)
            fetched = fetched.set_column(place, field.name, exact)
    # To cast all of them takes as long as to make them, though most are as they should be.
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(fetched.columns, schema, strict=True)
    ]
    return pa.table(columns, schema=schema)


def fetched_portions(
    connection: Connection, query: Select[Any], given: Parameters, rows_at_once: int
) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The rows as SQLite's driver has them, which reads them as they are fetched."""
    cursor = connection.execute(query, given).cursor
    try:
        while rows := cursor.fetchmany(rows_at_once):
            yield rows
    except sqlite3.Error as problem:
        ours = database_error(connection.engine.url, problem, lost=False)
        if ours is None:
            raise
        raise ours from problem


def _fetched_type(kind: pa.DataType) -> pa.DataType:
    """What the values of SQLite's driver are: a flag is 0 or 1, a date is text, and an exact
    number counts ten-thousandths."""
    if pa.types.is_boolean(kind):
        return pa.int8()
    if pa.types.is_decimal(kind):
        return pa.int64()
    return pa.string() if pa.types.is_date(kind) else kind


def _ten_thousandths(whole: pa.Array, kind: pa.DataType) -> pa.Array:
    """Exact numbers from how many ten-thousandths they are. There is none without a value."""
    halves = np.empty((len(whole), 2), np.int64)
    halves[:, 0] = whole.to_numpy(zero_copy_only=False)
    halves[:, 1] = halves[:, 0] >> 63
    return pa.Array.from_buffers(kind, len(whole), [None, pa.py_buffer(halves)])


def _copied(
    connection: Connection, query: Select[Any], given: Parameters, schema: pa.Schema
) -> pa.Table:
    written = BytesIO()
    copied_out(connection, query, given, written)
    content = written.getvalue()
    if not content:
        return schema.empty_table()
    in_one_block = csv.ReadOptions(
        column_names=schema.names, use_threads=False, block_size=len(content) + 1
    )
    as_copied = csv.ConvertOptions(
        column_types={field.name: _copied_type(field.type) for field in schema},
        true_values=["t"],
        false_values=["f"],
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    read = csv.read_csv(pa.py_buffer(content), in_one_block, convert_options=as_copied)
    return read.cast(schema)


def _copied_type(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


class Sink(Protocol):
    """What PostgreSQL writes rows to, one after another."""

    def write(self, row: bytes, /) -> object: ...


def copied_out(connection: Connection, query: Select[Any], given: Parameters, to: Sink) -> None:
    """Write the rows to *to* as CSV without a heading: a null is empty, a flag is t or f."""
    if not connection.in_transaction():
        # What bypasses SQLAlchemy does not begin one by itself, with its limits of time.
        connection.begin()
    expanded = query.compile(dialect=connection.dialect).construct_expanded_state(given)
    with session_of(connection).cursor() as cursor:
        rows = cursor.mogrify(expanded.statement, expanded.parameters).decode()
    run_copy(connection, f"COPY ({rows}) TO STDOUT (FORMAT csv)", to)


def cover_rows(connection: Connection, of: str, rows: pa.Table) -> None:
    """Make the partitions that *rows* of the table *of* need."""
    if of not in TIME_COLUMNS:
        return
    minutes = rows[TIME_COLUMNS[of]].cast(pa.int64()).to_numpy() // MICROSECONDS_PER_MINUTE
    days = np.unique((minutes + IST_AHEAD) // MINUTES_OF_DAY)
    cover(connection, of, (date.fromordinal(EPOCH_DAY + int(day)) for day in days))
