"""Adds the rows of an Arrow table to a table, in the fastest way of the database.

Apart from other modules, because Arrow takes long to load.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pyarrow as pa
from psycopg2 import sql
from pyarrow import csv
from sqlalchemy import Connection, Table

from data_fetch.storage.database.arrow_rows import cover_rows
from data_fetch.storage.database.copying import run_copy
from data_fetch.storage.database.dialects import SQLITE
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.types import DECIMAL_PLACES


def insert_arrow(connection: Connection, into: Table, rows: pa.Table) -> int:
    """Add *rows*, whose columns have the names of the table's; returns how many.

    Raises IntegrityError for a row whose key is stored.
    """
    if not rows.num_rows:
        return 0
    if is_postgres(connection):
        copy_in(connection, into.name, rows)
        return int(rows.num_rows)
    named = into.insert().values(dict.fromkeys(rows.column_names))
    statement = str(named.compile(dialect=SQLITE))
    return connection.exec_driver_sql(statement, list(driver_rows(rows))).rowcount


def driver_rows(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Rows as SQLite's driver takes them."""
    return zip(*map(_driver_values, rows.columns), strict=True)


def _driver_values(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_boolean(kind):
        return list(column.cast(pa.int64()).to_pylist())
    if pa.types.is_date(kind):
        return list(column.cast(pa.string()).to_pylist())
    if pa.types.is_decimal(kind):
        return [
            None if value is None else int(value.scaleb(DECIMAL_PLACES))
            for value in column.to_pylist()
        ]
    return list(column.to_pylist())


def copy_in(connection: Connection, into: str, rows: pa.Table) -> None:
    """Add *rows* to the table *into* of PostgreSQL: their texts are those that its columns read.

    Raises as `run_copy` does.
    """
    cover_rows(connection, into, rows)
    written = BytesIO()
    csv.write_csv(rows, written, csv.WriteOptions(include_header=False))
    written.seek(0)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(into), sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
    )
    run_copy(connection, statement, written)
