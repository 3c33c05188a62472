"""Minute rows of futures and options, priced from the walk of their underlying."""

from datetime import date
from functools import lru_cache
from math import exp

import numpy as np

from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS
from data_fetch.paper_exchange.market.contracts import CALL, Contract
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.listings import CRORE, Listing
from data_fetch.paper_exchange.market.options import forward, premium, relative_activity, years_left
from data_fetch.paper_exchange.market.prices import (
    PriceModel,
    Rows,
    distribute_volume,
    make_rows,
    to_tick,
)
from data_fetch.paper_exchange.market.seeded_random import (
    Floats,
    Ints,
    fingerprint,
    fractal_walk,
    generator,
)

OPTION_TICK = 0.05
INDEX_FUTURE_TICKS = ((15_000, 0.05), (30_000, 0.10))
LARGEST_INDEX_FUTURE_TICK = 0.20

# An index has no turnover, but its contracts are by far the most traded.
INDEX_TURNOVER = 6_000 * CRORE
OPEN_INTEREST_DAYS = 4.0


class ContractPrices:
    """Prices, volumes and open interest of contracts, consistent with their underlying."""

    def __init__(self, prices: PriceModel) -> None:
        self._prices = prices
        self._days = prices.days
        self.rows = lru_cache(maxsize=512)(self.build_rows)
        self.close = lru_cache(maxsize=2048)(self._close)
        self.open_interest = lru_cache(maxsize=4096)(self._open_interest)

    def tick(self, contract: Contract, day: date) -> float:
        """The price step in rupees."""
        underlying = contract.underlying
        if contract.kind != "FUT":
            return OPTION_TICK
        if underlying.isin is not None:
            return self._prices.tick(underlying, day)
        level = self._prices.level(underlying, day.replace(day=1))
        ticks = (tick for up_to, tick in INDEX_FUTURE_TICKS if level <= up_to)
        return next(ticks, LARGEST_INDEX_FUTURE_TICK)

    def _open_interest(self, contract: Contract, day: date) -> int:
        """Open interest at the end of *day* in units, a whole number of lots."""
        root = fingerprint(self._prices.seed, "oi", contract.token)
        activity = exp(0.05 * fractal_walk(root, np.array([float(day.toordinal())])).item())
        lots = OPEN_INTEREST_DAYS * self._typical_lots(contract, day) * activity
        return int(lots) * contract.underlying.lot_size

    def spot(self, underlying: Listing, at: Moment) -> float:
        """The level of the underlying's walk at an instant of derivatives trading.

        It moves linearly from the first to the last trade of a minute.
        """
        hours = self._days.hours(at.day, FUTURES_AND_OPTIONS)
        row, fraction = hours.progress(at.seconds)
        starts = hours.starts[[max(row - 1, 0), row]]
        before, level = self._prices.walk(underlying, at.day).at(starts).tolist()
        spot: float = before + fraction * (level - before)
        return spot

    def build_rows(self, contract: Contract, day: date) -> Rows:
        """All rows of a trading day, not cached; `rows` caches them."""
        hours = self._days.hours(day, FUTURES_AND_OPTIONS)
        rng = generator(self._prices.seed, "contract", contract.token, day)
        spot = self._prices.walk(contract.underlying, day).at(hours.starts)
        prices = self._fair_prices(contract, spot, hours.starts + 60)
        activity = exp(0.4 * rng.standard_normal())
        lot = contract.underlying.lot_size
        lots = distribute_volume(self._typical_lots(contract, day) * activity, len(spot), rng)
        # A contract with fewer trades than minutes has minutes without a trade.
        quiet = rng.random(len(spot)) > self._typical_lots(contract, day) / len(spot)
        quiet[-1] = False
        lots[quiet] = 0
        before = self._days.before(day)
        return make_rows(
            hours,
            prices,
            lots * lot,
            quiet,
            rng,
            tick=self.tick(contract, day),
            previous_close=self.close(contract, before),
            spread=contract.underlying.daily / 40,
            trade_size=lot,
            lot=lot,
            oi=self._oi_by_minute(contract, before, day, len(spot)),
        )

    def _oi_by_minute(self, contract: Contract, before: date, day: date, minutes: int) -> Ints:
        """Open interest in units at the end of every minute, from yesterday's to today's."""
        lot = contract.underlying.lot_size
        old, new = self.open_interest(contract, before), self.open_interest(contract, day)
        return interpolated_lots(old // lot, new // lot, np.arange(1, minutes + 1), minutes) * lot

    def _close(self, contract: Contract, day: date) -> float:
        """The last price of a trading day."""
        hours = self._days.hours(day, FUTURES_AND_OPTIONS)
        spot = self._prices.walk(contract.underlying, day).at(hours.starts[-1:])
        fair = self._fair_prices(contract, spot, hours.starts[-1:] + 60)
        return to_tick(fair.item(), self.tick(contract, day))

    def _fair_prices(self, contract: Contract, spot: Floats, at: Ints) -> Floats:
        years = years_left(self._days.expires_at(contract.expiry), at)
        if contract.kind == "FUT":
            return forward(spot, years)
        call = contract.kind == CALL
        return premium(contract.underlying, contract.strike, call, spot, years)

    def _typical_lots(self, contract: Contract, day: date) -> float:
        """Lots traded on an ordinary day."""
        underlying = contract.underlying
        level = self._prices.level(underlying, day)
        turnover = underlying.turnover or INDEX_TURNOVER
        return turnover / (level * underlying.lot_size) * relative_activity(contract, level)


def interpolated_lots(old: Ints | int, new: Ints | int, done: Ints | int, minutes: int) -> Ints:
    """Whole lots after *done* of *minutes*, on the way from *old* to *new* in equal steps."""
    lots: Ints = old + (2 * np.multiply(new - old, done) + minutes) // (2 * minutes)
    return lots
