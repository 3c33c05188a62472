"""Reads candles as columns: years of minutes, without an object for each."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.market.session import day_of, midnight_number
from data_fetch.core.spans import Spans, spans_of
from data_fetch.storage.candles.candles import known_candles
from data_fetch.storage.database.dialects import microseconds, minutes

# After the column `timestamp`, as the candles table names them.
REST = ("open", "high", "low", "close", "volume", "oi", "kind", "is_final", "source")


def candle_columns(
    connection: Connection,
    instrument_key: str,
    interval: CandleInterval,
    first: int,
    end: int,
    kinds: Collection[Kind],
    as_of: datetime | None = None,
) -> dict[str, Sequence[Any]]:
    """The candles of *kinds* that start in [first, end), oldest first.

    `timestamp` in microseconds since 1970 UTC, then the columns REST. With *as_of*: as known at
    that instant.
    """
    known = known_candles(instrument_key, interval, first, end, as_of).subquery()
    query = (
        select(microseconds(connection, known.c.timestamp), *(known.c[name] for name in REST))
        .where(known.c.kind.in_([kind.value for kind in kinds]))
        .order_by(known.c.timestamp)
    )
    rows = connection.execute(query).all()
    names = ("timestamp", *REST)
    return dict(zip(names, zip(*rows, strict=True) if rows else ((),) * len(names), strict=True))


def known_minutes(
    connection: Connection,
    instrument_key: str,
    interval: CandleInterval,
    first: int,
    end: int,
    as_of: datetime,
) -> tuple[Spans, Spans]:
    """The minutes in [first, end) that had a candle of any kind at *as_of*, and those of them
    whose candle is confirmed."""
    known = known_candles(instrument_key, interval, first, end, as_of).subquery()
    query = select(minutes(connection, known.c.timestamp), known.c.is_final).order_by(
        known.c.timestamp
    )
    rows = connection.execute(query).all()
    present = [minute for minute, _ in rows]
    return spans_of(present), spans_of([minute for minute, final in rows if final])


def days_with_candles(
    connection: Connection,
    instrument_key: str,
    interval: CandleInterval,
    first: date,
    last: date,
    as_of: datetime,
) -> set[date]:
    """The days from *first* to *last* that had a candle of continuous trading at *as_of*."""
    begin, end = midnight_number(first), midnight_number(last + timedelta(days=1))
    known = known_candles(instrument_key, interval, begin, end, as_of).subquery()
    query = select(minutes(connection, known.c.timestamp)).where(known.c.kind == Kind.TRADED.value)
    return set(map(day_of, connection.scalars(query)))
