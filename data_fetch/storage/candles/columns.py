"""Which minutes and days had candles at an instant."""

from datetime import date, datetime, timedelta

from sqlalchemy import Connection, select

from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.market.session import day_of, midnight_number
from data_fetch.core.spans import Spans, spans_of
from data_fetch.storage.candles.candles import known_candles
from data_fetch.storage.database.dialects import minutes


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
