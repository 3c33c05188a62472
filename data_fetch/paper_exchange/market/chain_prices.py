"""An option chain's prices, all legs at once: what was traded, what is bid, what is fair.

A day of a chain is kept as a few small arrays, minutes by legs, so that an answer costs some
array operations and not some for every leg. They are filled from the contracts' own rows,
which is why a leg's last price is the one that its quote tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS
from data_fetch.paper_exchange.market.chance import Bools, Floats, Ints, Seeds, fingerprint, shares
from data_fetch.paper_exchange.market.contract_prices import OPTION_TICK, ContractPrices, on_the_way
from data_fetch.paper_exchange.market.contracts import CALL, Contract, ContractBook
from data_fetch.paper_exchange.market.days import Hours, Moment, TradingDays
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.options import Greeks, forward, greeks, premium, years_left
from data_fetch.paper_exchange.market.prices import Rows, part_of

# A chain of 62 legs takes half a megabyte a day.
CHAIN_DAYS_KEPT = 24
DEEPEST_LOTS = 20
# Bids and offers further from the fair premium, against those next to it.
BEHIND_THE_BEST = 30

Small = NDArray[np.int32]


# Compared by identity: there is one for each chain and day, and it keys the days kept.
@dataclass(frozen=True, slots=True, eq=False)
class Legs:
    """The options of one expiry: lowest strike first, the call before the put."""

    underlying: Listing
    expiry: date
    contracts: tuple[Contract, ...]
    strikes: Floats
    calls: Bools
    names: Seeds

    @property
    def lot(self) -> int:
        return self.underlying.lot_size


@dataclass(frozen=True, slots=True)
class Trades:
    """What was traded of every leg, at an instant. Counts are in lots, prices in rupees."""

    last: Floats
    previous_close: Floats
    volume: Ints
    open_interest: Ints
    previous_open_interest: Ints


@dataclass(frozen=True, slots=True)
class Book:
    """The best bid and offer of every leg, and all of them together; counts are in lots."""

    bid: Floats
    bid_lots: Ints
    ask: Floats
    ask_lots: Ints
    buyers_lots: Ints
    sellers_lots: Ints


@dataclass(frozen=True, slots=True)
class Fair:
    """What the legs are worth at an instant of trading, before any rounding."""

    at: Moment
    spot: float
    forward: float
    years: float
    expires_at: int
    premium: Floats
    greeks: Greeks


@dataclass(frozen=True, slots=True)
class ChainDay:
    """A trading day of a chain: *ticks* are trades by minute, trade and leg."""

    hours: Hours
    ticks: Small
    cumulative: Small
    previous_close: Floats
    opening_interest: Ints
    closing_interest: Ints

    def trades(self, row: int, trades: int) -> Trades:
        """What was traded when *trades* of the four trades of *row* had come; -1: none yet."""
        minutes = len(self.cumulative)
        if row < 0:
            last, volume = self.previous_close, np.zeros(len(self.previous_close), dtype=np.int64)
        else:
            last = np.round(self.ticks[row, trades - 1] * OPTION_TICK, 2)
            volume = self._volume(row, trades)
        return Trades(
            last=last,
            previous_close=self.previous_close,
            volume=volume,
            open_interest=on_the_way(
                self.opening_interest, self.closing_interest, row + 1, minutes
            ),
            previous_open_interest=self.opening_interest,
        )

    def _volume(self, row: int, trades: int) -> Ints:
        through = self.cumulative[row].astype(np.int64)
        before = self.cumulative[row - 1].astype(np.int64) if row else np.zeros_like(through)
        volume: Ints = before + part_of(through - before, trades)
        return volume


class ChainPrices:
    """Chains of a paper market."""

    def __init__(
        self, days: TradingDays, contracts: ContractBook, contract_prices: ContractPrices
    ) -> None:
        self._days = days
        self._contracts = contracts
        self._prices = contract_prices
        self.legs = lru_cache(maxsize=CHAIN_DAYS_KEPT)(self._legs)
        self._day = lru_cache(maxsize=CHAIN_DAYS_KEPT)(self._chain_day)

    def trades(self, legs: Legs, at: Moment) -> Trades:
        """The quotes of the legs at an instant, which is on a trading day or after it.

        As everywhere, a new day begins at midnight: until its first trade the previous close
        is told, with volume 0 and the open interest of the day before.
        """
        traded = bool(self._days.windows(at.day, FUTURES_AND_OPTIONS))
        day = at.day if traded else self._days.before(at.day)
        chain = self._day(legs, day)
        return chain.trades(*chain.hours.position(at.seconds))

    def fair(self, legs: Legs, at: Moment) -> Fair:
        """What the legs are worth; *at* is a second of derivatives trading, or their close."""
        expires_at = self._days.expires_at(legs.expiry)
        spot = np.array(self._prices.spot(legs.underlying, at))
        years = years_left(expires_at, at.seconds)
        asked = (legs.underlying, legs.strikes, legs.calls, spot, years)
        return Fair(
            at=at,
            spot=spot.item(),
            forward=forward(spot, years).item(),
            years=float(years),
            expires_at=expires_at,
            premium=premium(*asked),
            greeks=greeks(*asked),
        )

    def _legs(self, underlying: Listing, expiry: date, day: date) -> Legs:
        """The legs listed on *day*; none for an expiry without contracts."""
        contracts = self._contracts.options(underlying, expiry, day)
        return Legs(
            underlying=underlying,
            expiry=expiry,
            contracts=contracts,
            strikes=np.array([contract.strike for contract in contracts]),
            calls=np.array([contract.kind == CALL for contract in contracts], dtype=np.bool_),
            names=np.array(
                [fingerprint("depth", contract.token) for contract in contracts], dtype=np.uint64
            ),
        )

    def _chain_day(self, legs: Legs, day: date) -> ChainDay:
        contracts, before = legs.contracts, self._days.before(day)
        rows = [self._prices.fresh_rows(contract, day) for contract in contracts]
        return ChainDay(
            hours=self._days.hours(day, FUTURES_AND_OPTIONS),
            ticks=np.stack([_ticks(each) for each in rows], axis=-1),
            cumulative=np.stack([_lots(each) for each in rows], axis=-1),
            previous_close=np.array([each.previous_close for each in rows]),
            opening_interest=self._open_interest(contracts, before),
            closing_interest=self._open_interest(contracts, day),
        )

    def _open_interest(self, contracts: Sequence[Contract], day: date) -> Ints:
        told = self._prices.open_interest
        return np.array([told(each, day) // each.underlying.lot_size for each in contracts])


def book(legs: Legs, fair: Fair) -> Book:
    """One tick wide around the fair premium; nobody bids for what is worth less than a tick."""
    # A premium that lies on a tick but for the last bit of a float belongs to that tick.
    ticks = np.floor(fair.premium / OPTION_TICK + 1e-9)
    minute = int(fair.at.seconds) // 60
    depth = [
        1 + (shares(legs.names + np.uint64(side), minute) * DEEPEST_LOTS).astype(np.int64)
        for side in range(4)
    ]
    bid_lots, ask_lots, bids_behind, asks_behind = depth
    wanted = ticks > 0
    return Book(
        bid=np.round(ticks * OPTION_TICK, 2),
        bid_lots=bid_lots * wanted,
        ask=np.round((ticks + 1) * OPTION_TICK, 2),
        ask_lots=ask_lots,
        buyers_lots=(bid_lots + BEHIND_THE_BEST * bids_behind) * wanted,
        sellers_lots=ask_lots + BEHIND_THE_BEST * asks_behind,
    )


def _ticks(rows: Rows) -> Small:
    return np.rint(rows.in_order() / OPTION_TICK).astype(np.int32)


def _lots(rows: Rows) -> Small:
    return (rows.cumulative // rows.lot).astype(np.int32)
