"""From which runs and sources stored candles are."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.storage.candles.candles import candles, of_instrument
from data_fetch.storage.database.dialects import minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The *run_id* that stored a candle from *source* at *fetched_at*; *is_final*: confirmed."""

    source: str
    run_id: str
    fetched_at: datetime
    is_final: bool


def candle_origins(
    connection: Connection, instrument_key: str, interval: CandleInterval, first: int, end: int
) -> dict[int, Origin]:
    """Of each candle that starts in [first, end), minutes since 1970 UTC, its origin."""
    row = candles.c
    query = select(
        minutes(connection, row.timestamp), row.source, row.run_id, row.fetched_at, row.is_final
    ).where(of_instrument(candles, instrument_key, interval.value, first, end))
    return {
        minute: Origin(source=source, run_id=run_id, fetched_at=at, is_final=final)
        for minute, source, run_id, at, final in connection.execute(query)
    }
