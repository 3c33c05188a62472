"""What the streaming feed has of today and no request has brought yet: minutes and option legs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import END_OF_TIME, utc_text
from data_fetch.core.feed.live_prices import FeedCandle
from data_fetch.core.feed.slot_quotes import SOURCE
from data_fetch.core.settings import Settings
from data_fetch.reading.instants import midnight_before
from data_fetch.reading.records import clock_of, records_for
from data_fetch.storage.chains.heads import newest_head
from data_fetch.storage.chains.lineage import chain_lineage
from data_fetch.storage.database.tables import CandleRow, table
from data_fetch.storage.instruments.contracts import underlying_keys
from data_fetch.storage.live_prices import LegRow, live_candles, live_legs

stored_candles = table(CandleRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCandles:
    """The minutes of today (IST) that the feed has of *symbol* and the store has no candle of,
    oldest first. The last one may be running."""

    symbol: str
    instrument_key: str
    candles: Sequence[FeedCandle]

    @property
    def newest(self) -> datetime | None:
        """When the newest of them was received."""
        return max((each.received_at for each in self.candles), default=None)

    def rows(self) -> list[dict[str, Any]]:
        """The candles in types of JSON: `timestamp` is the start (UTC), prices are rupees."""
        return [
            {
                "timestamp": utc_text(each.start),
                "open": each.open,
                "high": each.high,
                "low": each.low,
                "close": each.close,
                "volume": each.volume,
                "is_whole": each.is_whole,
                "is_final": False,
                "source": SOURCE,
                "received_at": utc_text(each.received_at),
            }
            for each in self.candles
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLegs:
    """The options of one *expiry* that the feed has newer than the last stored snapshot, by strike
    and type. *snapshot* is when that was received last; None without one.

    *expiry* is None when the feed has no option of the underlying.
    """

    symbol: str
    expiry: date | None
    snapshot: datetime | None
    legs: Sequence[LegRow]

    @property
    def newest(self) -> datetime | None:
        """When the newest of them was received."""
        return max((each.received_at for each in self.legs), default=None)

    def rows(self) -> list[dict[str, Any]]:
        """The legs in types of JSON: rupees, shares, iv a fraction, the provider's greeks."""
        return [
            {
                "instrument_key": each.instrument_key,
                "strike": float(each.strike),
                "option_type": each.option_type,
                "ltp": each.ltp,
                "prev_close": each.prev_close,
                "bid": each.bid,
                "bid_qty": each.bid_qty,
                "ask": each.ask,
                "ask_qty": each.ask_qty,
                "volume": each.volume,
                "oi": each.oi,
                "iv": each.iv,
                "delta": each.delta,
                "gamma": each.gamma,
                "theta": each.theta,
                "vega": each.vega,
                "rho": each.rho,
                "traded_at": None if each.traded_at is None else utc_text(each.traded_at),
                "received_at": utc_text(each.received_at),
            }
            for each in self.legs
        ]


def live_minutes(settings: Settings, symbol: str, at: datetime | None = None) -> LiveCandles:
    """The live candles of *symbol*, without those received after *at*.

    Raises UnknownSymbol, SetupError for a store without instruments, StoreUnreachable.
    """
    with records_for(settings, [symbol]) as records, records.store.reading() as connection:
        (instrument,) = records.instruments
        key, since = instrument.instrument_key, midnight_before(records.expectation.now)
        found = live_candles(connection, key, since)
        known = _minutes_with_candles(connection, key, since, at)
    return LiveCandles(
        symbol=instrument.symbol,
        instrument_key=key,
        candles=[
            each
            for each in found
            if each.start not in known and (at is None or each.received_at <= at)
        ],
    )


def live_options(
    settings: Settings, symbol: str, expiry: date | None = None, at: datetime | None = None
) -> LiveLegs:
    """The live legs of *symbol*: of *expiry*, else of the nearest one; without those received after
    *at*.

    Raises UnknownSymbol, StoreUnreachable.
    """
    since = midnight_before(clock_of(settings).now())
    with records_for(settings, [symbol]) as records, records.store.reading() as connection:
        (underlying,) = records.instruments
        named = underlying.symbol
        keys = underlying_keys(connection, [named])[named]
        rows = [
            row
            for row in live_legs(connection, keys, expiry, since)
            if at is None or row.received_at <= at
        ]
        day = expiry if expiry is not None else min((row.expiry for row in rows), default=None)
        head = newest_head(connection, chain_lineage(connection, named), day, at)
    snapshot = head.stored.last_confirmed if day is not None and head is not None else None
    return LiveLegs(
        symbol=named,
        expiry=day,
        snapshot=snapshot,
        legs=[
            row
            for row in rows
            if row.expiry == day and (snapshot is None or row.received_at > snapshot)
        ],
    )


def _minutes_with_candles(
    connection: Connection, instrument_key: str, since: datetime, at: datetime | None
) -> set[datetime]:
    """The minutes from *since* on that had a stored candle at the instant *at*."""
    columns = stored_candles.c
    query = select(columns.timestamp).where(
        columns.instrument_key == instrument_key,
        columns.interval == CandleInterval.MINUTE.value,
        columns.timestamp >= since,
        columns.fetched_at <= (END_OF_TIME if at is None else at),
    )
    return set(connection.scalars(query))
