"""Reads candles as Arrow tables. Apart from `columns`, because Arrow takes long to load."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, FromClause, Select, bindparam, func, select

from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.market.session import instant_of
from data_fetch.storage.candles.candles import candles, known_candles
from data_fetch.storage.database.arrow_rows import INSTANT, arrow_rows
from data_fetch.storage.database.dialects import POSTGRESQL, microseconds

SCHEMA = pa.schema(
    {
        "timestamp": INSTANT,
        **dict.fromkeys(("open", "high", "low", "close"), pa.float64()),
        **dict.fromkeys(("volume", "oi"), pa.int64()),
        "kind": pa.string(),
        "is_final": pa.bool_(),
        "source": pa.string(),
    }
)
NAMES = tuple(SCHEMA.names)
WITHOUT_KIND = tuple(name for name in NAMES if name != "kind")
# SQLite's driver takes longest for texts: this one travels as null.
USUAL_SOURCE = "upstox"


def candle_table(
    connection: Connection,
    instrument_key: str,
    interval: CandleInterval,
    first: int,
    end: int,
    kinds: Collection[Kind],
    *,
    as_of: datetime | None = None,
    limit: int | None = None,
) -> pa.Table:
    """The candles of *kinds* that start in [first, end), oldest first: a table of SCHEMA.

    With *as_of*: as known at that instant; with a *limit* the first of them.
    """
    # A text in every row costs as much as two numbers.
    names = NAMES if len(kinds) > 1 else WITHOUT_KIND
    given: dict[str, Any] = {"kinds": [kind.value for kind in kinds]}
    if as_of is None:
        query = _stored_query(connection.dialect.name, names)
        given |= {
            "key": instrument_key,
            "interval": interval.value,
            "begin": instant_of(first),
            "end": instant_of(end),
        }
    else:
        known = known_candles(instrument_key, interval, first, end, as_of).subquery()
        query = _columns(connection.dialect.name, known, names)
    if limit is not None:
        query = query.limit(limit)
    schema = pa.schema([SCHEMA.field(name) for name in names])
    table = arrow_rows(connection, query, given, schema)
    source = table["source"].fill_null(USUAL_SOURCE)
    table = table.set_column(names.index("source"), "source", source)
    if len(kinds) > 1:
        return table
    [kind] = given["kinds"]
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
    if dialect != POSTGRESQL:
        of["source"] = func.nullif(known.c.source, USUAL_SOURCE)
    of_kinds = known.c.kind.in_(bindparam("kinds", expanding=True))
    return select(*of.values()).where(of_kinds).order_by(known.c.timestamp)
