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
from data_fetch.storage.database.arrow_columns import arrow_columns
from data_fetch.storage.database.arrow_rows import INSTANT
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
# More rows than there are.
ALL = 2**62

IN_RANGE = (
    candles.c.instrument_key == bindparam("key"),
    candles.c.interval == bindparam("interval"),
    candles.c.timestamp >= bindparam("begin"),
    candles.c.timestamp < bindparam("end"),
)
# A price of the range.
EXAMPLE = select(candles.c.close).where(*IN_RANGE).limit(1)


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
    given: dict[str, Any] = {
        "kinds": [kind.value for kind in kinds],
        "key": instrument_key,
        "interval": interval.value,
        "begin": instant_of(first),
        "end": instant_of(end),
        "limit": ALL if limit is None else limit,
    }
    if as_of is None:
        query = _stored_query(connection.dialect.name, names)
    else:
        known = known_candles(instrument_key, interval, first, end, as_of).subquery()
        query = _columns(connection.dialect.name, known, names)
    schema = pa.schema([SCHEMA.field(name) for name in names])
    table = arrow_columns(connection, query, given, schema, EXAMPLE)
    source = table["source"].fill_null(USUAL_SOURCE)
    table = table.set_column(names.index("source"), "source", source)
    if len(kinds) > 1:
        return table
    [kind] = given["kinds"]
    return table.append_column("kind", pa.repeat(kind, len(table))).select(NAMES)


@cache
def _stored_query(dialect: str, names: Sequence[str]) -> Select[Any]:
    """The candles of a range as they are now; made once, which takes as long as a hundred rows."""
    return _columns(dialect, candles, names).where(*IN_RANGE)


def _columns(dialect: str, known: FromClause, names: Sequence[str]) -> Select[Any]:
    """The columns *names* of the candles *known* that are of the parameter `kinds`."""
    of: dict[str, ColumnElement[Any]] = {name: known.c[name] for name in names}
    of["timestamp"] = microseconds(dialect, known.c.timestamp)
    if dialect != POSTGRESQL:
        of["source"] = func.nullif(known.c.source, USUAL_SOURCE)
    of_kinds = known.c.kind.in_(bindparam("kinds", expanding=True))
    found = select(*of.values()).where(of_kinds).order_by(known.c.timestamp)
    return found.limit(bindparam("limit"))
