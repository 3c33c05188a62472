"""Rows of one table as Arrow, with the columns of the archive's files.

Apart from other modules, because Arrow takes long to load.
"""

from collections.abc import Sequence

import orjson
import pyarrow as pa
from sqlalchemy import JSON, ColumnElement, Connection, Table, select

from data_fetch.storage.database.arrow_rows import INSTANT, arrow_rows
from data_fetch.storage.database.dialects import microseconds


def table_rows(
    connection: Connection,
    of: Table,
    conditions: Sequence[ColumnElement[bool]],
    columns: pa.Schema,
    order: Sequence[str] = (),
) -> pa.Table:
    """The rows of *of* that meet all *conditions*, as a table of *columns*, by the columns *order*.

    The text of a JSON column is canonical: sorted keys, no spaces.
    """
    dialect = connection.dialect.name
    selected = (
        microseconds(dialect, of.c[field.name]) if field.type == INSTANT else of.c[field.name]
        for field in columns
    )
    query = select(*selected).where(*conditions).order_by(*(of.c[name] for name in order))
    rows = arrow_rows(connection, query, {}, columns)
    for place, field in enumerate(columns):
        if isinstance(of.c[field.name].type, JSON):
            rows = rows.set_column(place, field, _canonical(rows.column(place)))
    return rows


def _canonical(texts: pa.ChunkedArray) -> pa.Array:
    """The text that each database has for a JSON value of its own, as one text for both."""
    return pa.array(
        (
            None if text is None else orjson.dumps(orjson.loads(text), None, orjson.OPT_SORT_KEYS)
            for text in texts.to_pylist()
        ),
        pa.binary(),
    ).cast(pa.string())
