"""Prices of an option chain, all legs at once: trades, order book, fair values.

A day of a chain is stored as a few small arrays, minutes by legs, so that a response costs a
few array operations instead of a few per leg. They are filled from the contracts' own rows,
so a leg's last price equals that of its quote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS
from data_fetch.paper_exchange.market.contract_prices import (
    OPTION_TICK,
    ContractPrices,
    interpolated_lots,
)
from data_fetch.paper_exchange.market.contracts import CALL, Contract, ListedContracts
from data_fetch.paper_exchange.market.days import Moment, SessionMinutes, TradingDays
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.options import Greeks, forward, greeks, premium, years_left
from data_fetch.paper_exchange.market.prices import Rows, traded_part
from data_fetch.paper_exchange.market.seeded_random import (
    Bools,
    Floats,
    Ints,
    Seeds,
    fingerprint,
    uniforms,
)

# A day of a chain with 62 legs takes half a megabyte.
CHAIN_DAYS_CACHED = 24
MAX_LEVEL_LOTS = 20
# The lots behind the best price are this many times a random depth.
DEPTH_MULTIPLE = 30

Small = NDArray[np.int32]


# Compared by identity: there is one per chain and day, and it is the key of the day cache.
@dataclass(frozen=True, slots=True, eq=False)
class ChainLegs:
    """The options of one expiry: lowest strike first, the call before the put."""

    underlying: Listing
    expiry: date
    contracts: tuple[Contract, ...]
    strikes: Floats
    calls: Bools
    seeds: Seeds

    @property
    def lot(self) -> int:
        return self.underlying.lot_size


@dataclass(frozen=True, slots=True)
class LegTrades:
    """The trades of every leg up to an instant. Counts are in lots, prices in rupees."""

    last: Floats
    previous_close: Floats
    volume: Ints
    open_interest: Ints
    previous_open_interest: Ints


@dataclass(frozen=True, slots=True)
class OrderBook:
    """The best bid and offer of every leg, and the totals of both sides; counts are in lots."""

    bid: Floats
    bid_lots: Ints
    ask: Floats
    ask_lots: Ints
    total_bid_lots: Ints
    total_ask_lots: Ints


@dataclass(frozen=True, slots=True)
class FairValues:
    """Fair values of the legs at an instant of trading, unrounded."""

    at: Moment
    spot: float
    forward: float
    years: float
    expires_at: int
    premium: Floats
    greeks: Greeks


@dataclass(frozen=True, slots=True)
class ChainDay:
    """A trading day of a chain: *ticks* are trade prices by minute, trade and leg."""

    hours: SessionMinutes
    ticks: Small
    cumulative: Small
    previous_close: Floats
    opening_interest: Ints
    closing_interest: Ints

    def trades(self, row: int, trades: int) -> LegTrades:
        """The trades up to number *trades* of the four in *row*; row -1 is before the first."""
        minutes = len(self.cumulative)
        if row < 0:
            last, volume = self.previous_close, np.zeros(len(self.previous_close), dtype=np.int64)
        else:
            last = np.round(self.ticks[row, trades - 1] * OPTION_TICK, 2)
            volume = self._volume(row, trades)
        return LegTrades(
            last=last,
            previous_close=self.previous_close,
            volume=volume,
            open_interest=interpolated_lots(
                self.opening_interest, self.closing_interest, row + 1, minutes
            ),
            previous_open_interest=self.opening_interest,
        )

    def _volume(self, row: int, trades: int) -> Ints:
        through = self.cumulative[row].astype(np.int64)
        before = self.cumulative[row - 1].astype(np.int64) if row else np.zeros_like(through)
        volume: Ints = before + traded_part(through - before, trades)
        return volume


class ChainPrices:
    """Option chains of a paper market."""

    def __init__(
        self, days: TradingDays, contracts: ListedContracts, contract_prices: ContractPrices
    ) -> None:
        self._days = days
        self._contracts = contracts
        self._prices = contract_prices
        self.legs = lru_cache(maxsize=CHAIN_DAYS_CACHED)(self._legs)
        self._day = lru_cache(maxsize=CHAIN_DAYS_CACHED)(self._chain_day)

    def trades(self, legs: ChainLegs, at: Moment) -> LegTrades:
        """The trades of the legs at an instant, on a trading day or after it.

        A new day begins at midnight: until its first trade the last price is the previous
        close, with volume 0 and the open interest of the day before.
        """
        traded = bool(self._days.windows(at.day, FUTURES_AND_OPTIONS))
        day = at.day if traded else self._days.before(at.day)
        chain = self._day(legs, day)
        return chain.trades(*chain.hours.position(at.seconds))

    def fair(self, legs: ChainLegs, at: Moment) -> FairValues:
        """Fair values of the legs; *at* is within derivatives trading hours, or their close."""
        expires_at = self._days.expires_at(legs.expiry)
        spot = np.array(self._prices.spot(legs.underlying, at))
        years = years_left(expires_at, at.seconds)
        inputs = (legs.underlying, legs.strikes, legs.calls, spot, years)
        return FairValues(
            at=at,
            spot=spot.item(),
            forward=forward(spot, years).item(),
            years=float(years),
            expires_at=expires_at,
            premium=premium(*inputs),
            greeks=greeks(*inputs),
        )

    def _legs(self, underlying: Listing, expiry: date, day: date) -> ChainLegs:
        """The legs listed on *day*, empty for an expiry without contracts."""
        contracts = self._contracts.options(underlying, expiry, day)
        return ChainLegs(
            underlying=underlying,
            expiry=expiry,
            contracts=contracts,
            strikes=np.array([contract.strike for contract in contracts]),
            calls=np.array([contract.kind == CALL for contract in contracts], dtype=np.bool_),
            seeds=np.array(
                [fingerprint("depth", contract.token) for contract in contracts], dtype=np.uint64
            ),
        )

    def _chain_day(self, legs: ChainLegs, day: date) -> ChainDay:
        contracts, before = legs.contracts, self._days.before(day)
        rows = [self._prices.build_rows(contract, day) for contract in contracts]
        return ChainDay(
            hours=self._days.hours(day, FUTURES_AND_OPTIONS),
            ticks=np.stack([_ticks(each) for each in rows], axis=-1),
            cumulative=np.stack([_lots(each) for each in rows], axis=-1),
            previous_close=np.array([each.previous_close for each in rows]),
            opening_interest=self._open_interest(contracts, before),
            closing_interest=self._open_interest(contracts, day),
        )

    def _open_interest(self, contracts: Sequence[Contract], day: date) -> Ints:
        units = self._prices.open_interest
        return np.array([units(each, day) // each.underlying.lot_size for each in contracts])


def order_book(legs: ChainLegs, fair: FairValues) -> OrderBook:
    """An order book one tick wide around the fair premium; no bid when that is below a tick."""
    # A premium that misses a tick only by a rounding error counts as on that tick.
    ticks = np.floor(fair.premium / OPTION_TICK + 1e-9)
    minute = int(fair.at.seconds) // 60
    depth = [
        1 + (uniforms(legs.seeds + np.uint64(side), minute) * MAX_LEVEL_LOTS).astype(np.int64)
        for side in range(4)
    ]
    bid_lots, ask_lots, bids_behind, asks_behind = depth
    has_bid = ticks > 0
    return OrderBook(
        bid=np.round(ticks * OPTION_TICK, 2),
        bid_lots=bid_lots * has_bid,
        ask=np.round((ticks + 1) * OPTION_TICK, 2),
        ask_lots=ask_lots,
        total_bid_lots=(bid_lots + DEPTH_MULTIPLE * bids_behind) * has_bid,
        total_ask_lots=ask_lots + DEPTH_MULTIPLE * asks_behind,
    )


def _ticks(rows: Rows) -> Small:
    return np.rint(rows.trades_in_order() / OPTION_TICK).astype(np.int32)


def _lots(rows: Rows) -> Small:
    return (rows.cumulative // rows.lot).astype(np.int32)
