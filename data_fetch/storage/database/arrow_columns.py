"""Reads long ranges as Arrow tables: SQLite writes each column as one text.

Its driver makes an object for every value, which takes longer than all the rest. A JSON list of a
column is one object, and nothing of it holds the lock of the interpreter. SQLite writes doubles
with fifteen digits, which is too few; times a power of two they are whole numbers, which it
writes exactly. Apart from other modules, because Arrow takes long to load.
"""

from functools import lru_cache
from math import frexp
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Select,
    Text,
    bindparam,
    cast,
    func,
    select,
    type_coerce,
)

from data_fetch.storage.database.arrow_rows import Parameters, arrow_rows
from data_fetch.storage.database.engine import is_postgres

# Of 64 bits. A double has 53 digits in base two: from here on it has none behind the point.
WHOLE_FROM, TOO_LARGE = 2**52, 2**63 - 1
# Of the example, so that the values may be thirty times as large, or as small.
MIDDLE_BITS = 58
# A smaller one might need a power of two that is no double.
SMALLEST = 1e-6
# Queries that are made once, and a few that are made for one request.
QUERIES_KEPT = 16


def arrow_columns(
    connection: Connection,
    query: Select[Any],
    given: Parameters,
    schema: pa.Schema,
    example: Select[Any],
) -> pa.Table:
    """What `arrow_rows` reads, of many rows: sooner if the doubles are positive and of the
    magnitude of the one that *example* finds, with the same parameters. For a *schema* without
    dates and exact numbers."""
    if is_postgres(connection):
        return arrow_rows(connection, query, given, schema)
    usual = connection.scalar(example, given)
    if usual is None or usual < SMALLEST:
        return arrow_rows(connection, query, given, schema)
    digits = MIDDLE_BITS - frexp(usual)[1]
    scaled = {**given, "scale": 2.0**digits}
    written = connection.execute(_lists(query, schema), scaled).one()
    columns = []
    for text, field in zip(written, schema, strict=True):
        column = _column(text, field.type, digits)
        if column is None:
            return arrow_rows(connection, query, given, schema)
        columns.append(column)
    return pa.table(columns, schema=schema)


@lru_cache(maxsize=QUERIES_KEPT)
def _lists(query: Select[Any], schema: pa.Schema) -> Select[Any]:
    """A JSON list of each column of *query*, doubles times the parameter `scale`."""
    named = zip(schema.names, query.selected_columns, strict=True)
    rows = query.with_only_columns(*(column.label(name) for name, column in named)).subquery()
    scale: ColumnElement[float] = bindparam("scale", type_=Double())

    def listed(field: pa.Field) -> ColumnElement[str]:
        column = rows.c[field.name]
        if pa.types.is_floating(field.type):
            column = cast(column * scale, BigInteger)
        return type_coerce(func.json_group_array(column), Text())

    columns: list[ColumnElement[Any]] = list(map(listed, schema))
    return select(*columns)


def _column(text: str, kind: pa.DataType, digits: int) -> pa.Array | None:
    """The values of a JSON list; None for doubles that may have lost digits."""
    if pa.types.is_floating(kind):
        return _doubles(text, digits)
    if pa.types.is_string(kind) or "null" in text:
        return pa.array(orjson.loads(text), kind)
    whole = _whole_numbers(text)
    return pa.array(whole != 0 if pa.types.is_boolean(kind) else whole, kind)


def _doubles(text: str, digits: int) -> pa.Array | None:
    """The doubles whose products with two to the power of *digits* the list has."""
    if "null" in text:
        return None
    whole = _whole_numbers(text)
    if len(whole) and (whole.min() < WHOLE_FROM or whole.max() >= TOO_LARGE):
        return None
    return pa.array(np.ldexp(whole.astype(np.float64), -digits), pa.float64())


def _whole_numbers(text: str) -> Any:
    listed = text[1:-1]
    return np.fromstring(listed, np.int64, sep=",") if listed else np.empty(0, np.int64)
