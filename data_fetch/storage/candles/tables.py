"""Reads candles as Arrow tables: years of minutes, without an object of ours for each value.

PostgreSQL writes the rows as CSV, which Arrow reads; SQLite's driver makes tuples, and nothing is
made of them but arrays. Apart from `columns`, because Arrow takes long to load.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import pyarrow as pa
from pyarrow import csv
from sqlalchemy import ColumnElement, Connection, FromClause, Select, bindparam, func, select

from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.market.session import instant_of
from data_fetch.storage.candles.candles import candles, known_candles
from data_fetch.storage.database.csv_copy import copy_out
from data_fetch.storage.database.dialects import microseconds
from data_fetch.storage.database.engine import is_postgres, raw_portions

SCHEMA = pa.schema(
    {
        "timestamp": pa.timestamp("us", "UTC"),
        **dict.fromkeys(("open", "high", "low", "close"), pa.float64()),
        **dict.fromkeys(("volume", "oi"), pa.int64()),
        "kind": pa.string(),
        "is_final": pa.bool_(),
        "source": pa.string(),
    }
)
NAMES = SCHEMA.names
WITHOUT_KIND = tuple(name for name in NAMES if name != "kind")
SQLITE = "sqlite"
# SQLite's driver takes longest for texts: this one travels as null.
USUAL_SOURCE = "upstox"
# SQLite has flags as 0 and 1.
FETCHED = SCHEMA.set(NAMES.index("is_final"), pa.field("is_final", pa.int8()))
# As many fit into the caches of a processor: with all at once it takes a tenth longer.
ROWS_AT_ONCE = 500
COPIED = csv.ConvertOptions(
    # An instant is read as microseconds.
    column_types=SCHEMA.set(0, pa.field("timestamp", pa.int64())),
    true_values=["t"],
    false_values=["f"],
    null_values=[""],
    strings_can_be_null=False,
)


def candle_table(
    connection: Connection,
    instrument_key: str,
    interval: CandleInterval,
    first: int,
    end: int,
    kinds: Collection[Kind],
    as_of: datetime | None = None,
) -> Any:
    """The candles of *kinds* that start in [first, end), oldest first: a table of SCHEMA.

    With *as_of*: as known at that instant.
    """
    # A text in every row costs as much as two numbers.
    names = tuple(NAMES) if len(kinds) > 1 else WITHOUT_KIND
    chosen: dict[str, Any] = {"kinds": [kind.value for kind in kinds]}
    given = chosen
    if as_of is None:
        query = _stored_query(connection.dialect.name, names)
        given = {
            "key": instrument_key,
            "interval": interval.value,
            "begin": instant_of(first),
            "end": instant_of(end),
            **chosen,
        }
    else:
        known = known_candles(instrument_key, interval, first, end, as_of).subquery()
        query = _columns(connection.dialect.name, known, names)
    read = _copied if is_postgres(connection) else _fetched
    table = read(connection, query, given, names)
    if len(kinds) > 1:
        return table
    [kind] = chosen["kinds"]
    return table.append_column("kind", pa.repeat(kind, len(table))).select(NAMES)


@cache
def _stored_query(dialect: str, names: Sequence[str]) -> Select[Any]:
    """The candles of a range as they are now; made once, which takes as long as a hundred rows."""
    of = candles.c
    return _columns(dialect, candles, names).where(
        of.instrument_key == bindparam("key"),
        of.interval == bindparam("interval"),
        of.timestamp >= bindparam("begin"),
        of.timestamp < bindparam("end"),
    )


def _columns(dialect: str, known: FromClause, names: Sequence[str]) -> Select[Any]:
    """The columns *names* of the candles *known* that are of the parameter `kinds`."""
    of: dict[str, ColumnElement[Any]] = {name: known.c[name] for name in names}
    of["timestamp"] = microseconds(dialect, known.c.timestamp)
    if dialect == SQLITE:
        of["source"] = func.nullif(known.c.source, USUAL_SOURCE)
    of_kinds = known.c.kind.in_(bindparam("kinds", expanding=True))
    return select(*of.values()).where(of_kinds).order_by(known.c.timestamp)


def _fetched(
    connection: Connection, query: Select[Any], given: Mapping[str, Any], names: Sequence[str]
) -> Any:
    fetched = [FETCHED.field(name).type for name in names]
    chunks: list[list[Any]] = [[] for _ in names]
    for rows in raw_portions(connection, query, given, ROWS_AT_ONCE):
        for column, values, kind in zip(chunks, zip(*rows, strict=True), fetched, strict=True):
            column.append(pa.array(values, kind))
    columns = [pa.chunked_array(own, kind) for own, kind in zip(chunks, fetched, strict=True)]
    table = pa.table(columns, list(names)).combine_chunks().cast(_schema(names))
    place = names.index("source")
    return table.set_column(place, "source", table["source"].fill_null(USUAL_SOURCE))


def _copied(
    connection: Connection, query: Select[Any], given: Mapping[str, Any], names: Sequence[str]
) -> Any:
    content = copy_out(connection, query, given)
    schema = _schema(names)
    if not content:
        return schema.empty_table()
    in_one_block = csv.ReadOptions(
        column_names=names, use_threads=False, block_size=len(content) + 1
    )
    return csv.read_csv(pa.py_buffer(content), in_one_block, convert_options=COPIED).cast(schema)


def _schema(names: Sequence[str]) -> Any:
    return pa.schema([SCHEMA.field(name) for name in names])
