"""Minutes and option legs as the streaming feed has them today, for other processes to read."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection, delete, func, select

from data_fetch.core.feed.live_prices import FeedCandle, FeedLeg
from data_fetch.core.feed.ticks import NO_BEST, NO_DETAIL, Greeks
from data_fetch.core.market.session import instant_of, midnight_number
from data_fetch.storage.database.store import Guard, Store
from data_fetch.storage.database.tables import FeedCandleRow, FeedLegRow, table
from data_fetch.storage.database.upsert import RowValues, upsert

feed_candles, feed_legs = table(FeedCandleRow), table(FeedLegRow)
CANDLE_COLUMNS = tuple(column.name for column in feed_candles.columns)
LEG_COLUMNS = tuple(column.name for column in feed_legs.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRow:
    """One row of `feed_legs`: rupees, shares, *iv* a fraction, the provider's greeks."""

    instrument_key: str
    underlying_key: str
    expiry: date
    strike: Decimal
    option_type: str
    ltp: float
    prev_close: float | None
    bid: float | None
    bid_qty: int | None
    ask: float | None
    ask_qty: int | None
    volume: int | None
    oi: int | None
    iv: float | None
    delta: float | None
    gamma: float | None
    theta: float | None
    vega: float | None
    rho: float | None
    traded_at: datetime | None
    received_at: datetime


class LivePrices:
    """Stores what is live. With a *guard* every write is checked against it."""

    def __init__(self, store: Store, guard: Guard | None = None) -> None:
        self._store = store
        self._guard = guard

    def record(self, candles: Iterable[FeedCandle], legs: Iterable[FeedLeg]) -> None:
        """Store *candles* and *legs* in the place of what is stored of the same minute or leg."""
        minutes = [_candle_row(each) for each in candles]
        contracts = [_leg_row(each) for each in legs]
        with self._store.writing(self._guard) as connection:
            upsert(connection, feed_candles, CANDLE_COLUMNS, minutes)
            upsert(connection, feed_legs, LEG_COLUMNS, contracts)

    def drop_before(self, day: date) -> None:
        """Delete what was received before midnight (IST) of *day*."""
        begin = instant_of(midnight_number(day))
        with self._store.writing(self._guard) as connection:
            for each in (feed_candles, feed_legs):
                connection.execute(delete(each).where(each.c.received_at < begin))


def live_candles(connection: Connection, instrument_key: str, since: datetime) -> list[FeedCandle]:
    """The minutes of the feed that start at *since* or later, oldest first."""
    columns = feed_candles.c
    query = (
        select(feed_candles)
        .where(columns.instrument_key == instrument_key, columns.timestamp >= since)
        .order_by(columns.timestamp)
    )
    return [
        FeedCandle(
            instrument_key=row.instrument_key,
            start=row.timestamp,
            open=row.open,
            high=row.high,
            low=row.low,
            close=row.close,
            volume=row.volume,
            is_whole=row.is_whole,
            received_at=row.received_at,
        )
        for row in connection.execute(query)
    ]


def live_legs(
    connection: Connection, underlying_keys: Collection[str], expiry: date | None, since: datetime
) -> list[LegRow]:
    """The legs of one expiry (None: of all) received at *since* or later, by expiry, strike and
    type."""
    columns = feed_legs.c
    query = (
        select(feed_legs)
        .where(columns.underlying_key.in_(underlying_keys), columns.received_at >= since)
        .order_by(columns.expiry, columns.strike, columns.option_type)
    )
    if expiry is not None:
        query = query.where(columns.expiry == expiry)
    return [LegRow(**row) for row in connection.execute(query).mappings()]


def last_candle_receipts(
    connection: Connection, instrument_keys: Collection[str], since: datetime
) -> dict[str, datetime]:
    """When the newest tick of each of *instrument_keys* was received; none of those that have no
    minute received at *since* or later."""
    columns = feed_candles.c
    query = (
        select(columns.instrument_key, func.max(columns.received_at).label("last"))
        .where(columns.instrument_key.in_(instrument_keys), columns.received_at >= since)
        .group_by(columns.instrument_key)
    )
    return {row.instrument_key: row.last for row in connection.execute(query)}


def last_leg_receipts(connection: Connection, since: datetime) -> dict[str, datetime]:
    """When the newest tick of any option on an underlying was received, at *since* or later, by the
    underlying's key."""
    columns = feed_legs.c
    query = (
        select(columns.underlying_key, func.max(columns.received_at).label("last"))
        .where(columns.received_at >= since)
        .group_by(columns.underlying_key)
    )
    return {row.underlying_key: row.last for row in connection.execute(query)}


def _candle_row(candle: FeedCandle) -> RowValues:
    return (
        candle.instrument_key,
        candle.start,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
        candle.is_whole,
        candle.received_at,
    )


def _leg_row(leg: FeedLeg) -> RowValues:
    contract, tick = leg.contract, leg.tick
    detail = tick.detail or NO_DETAIL
    return (
        contract.instrument_key,
        contract.underlying_key,
        contract.expiry,
        contract.strike,
        contract.instrument_type,
        tick.last_price,
        tick.prev_close,
        *(detail.best or NO_BEST),
        detail.volume,
        detail.open_interest,
        detail.iv,
        *_greeks(detail.greeks),
        tick.traded_at,
        tick.received_at,
    )


def _greeks(of: Greeks | None) -> tuple[float | None, ...]:
    return (None,) * 5 if of is None else (of.delta, of.gamma, of.theta, of.vega, of.rho)
