"""Minute rows of futures and options, priced off the walk of their underlying."""

from datetime import date
from functools import lru_cache
from math import exp

import numpy as np

from data_fetch.core.market import FUTURES_AND_OPTIONS
from data_fetch.paper_exchange.chance import Floats, Ints, fingerprint, generator, wander
from data_fetch.paper_exchange.contracts import Contract
from data_fetch.paper_exchange.listings import CRORE
from data_fetch.paper_exchange.options import forward, interest, premium, years_left
from data_fetch.paper_exchange.prices import PriceModel, Rows, rows_of, spread_volume, to_tick

OPTION_TICK = 0.05
INDEX_FUTURE_TICKS = ((15_000, 0.05), (30_000, 0.10))
DEAREST_INDEX_FUTURE_TICK = 0.20

# An index has no turnover of its own; its contracts are by far the busiest.
INDEX_TURNOVER = 6_000 * CRORE
OPEN_INTEREST_DAYS = 4.0


class ContractPrices:
    """Prices, volumes and open interest of contracts, consistent with their underlying."""

    def __init__(self, prices: PriceModel) -> None:
        self._prices = prices
        self._days = prices.days
        self.rows = lru_cache(maxsize=512)(self._rows)
        self.close = lru_cache(maxsize=8192)(self._close)
        self.open_interest = lru_cache(maxsize=16384)(self._open_interest)

    def tick(self, contract: Contract, day: date) -> float:
        """The price step in rupees."""
        underlying = contract.underlying
        if contract.kind != "FUT":
            return OPTION_TICK
        if underlying.isin is not None:
            return self._prices.tick(underlying, day)
        level = self._prices.level(underlying, day.replace(day=1))
        ticks = (tick for up_to, tick in INDEX_FUTURE_TICKS if level <= up_to)
        return next(ticks, DEAREST_INDEX_FUTURE_TICK)

    def _open_interest(self, contract: Contract, day: date) -> int:
        """Units open at the end of *day*, a whole number of lots."""
        root = fingerprint(self._prices.seed, "oi", contract.token)
        mood = exp(0.05 * wander(root, np.array([float(day.toordinal())])).item())
        lots = OPEN_INTEREST_DAYS * self._usual_lots(contract, day) * mood
        return int(lots) * contract.underlying.lot_size

    def _rows(self, contract: Contract, day: date) -> Rows:
        hours = self._days.hours(day, FUTURES_AND_OPTIONS)
        chance = generator(self._prices.seed, "contract", contract.token, day)
        spot = self._prices.walk(contract.underlying, day).at(hours.starts)
        prices = self._fair(contract, spot, hours.starts + 60)
        mood = exp(0.4 * chance.standard_normal())
        lot = contract.underlying.lot_size
        lots = spread_volume(self._usual_lots(contract, day) * mood, len(spot), chance)
        # A contract that changes hands less than once a minute has quiet minutes.
        quiet = chance.random(len(spot)) > self._usual_lots(contract, day) / len(spot)
        quiet[-1] = False
        lots[quiet] = 0
        before = self._days.before(day)
        return rows_of(
            hours,
            prices,
            lots * lot,
            quiet,
            chance,
            tick=self.tick(contract, day),
            previous_close=self.close(contract, before),
            spread=contract.underlying.daily / 40,
            trade_size=lot,
            oi=self._oi_through(contract, before, day, len(spot)),
        )

    def _oi_through(self, contract: Contract, before: date, day: date, minutes: int) -> Ints:
        """Open interest at the end of every minute: from yesterday's to today's, in lots."""
        lot = contract.underlying.lot_size
        old, new = self.open_interest(contract, before), self.open_interest(contract, day)
        lots = np.linspace(old / lot, new / lot, minutes + 1)[1:]
        return np.rint(lots).astype(np.int64) * lot

    def _close(self, contract: Contract, day: date) -> float:
        """The last price of a trading day."""
        hours = self._days.hours(day, FUTURES_AND_OPTIONS)
        spot = self._prices.walk(contract.underlying, day).at(hours.starts[-1:])
        fair = self._fair(contract, spot, hours.starts[-1:] + 60)
        return to_tick(fair.item(), self.tick(contract, day))

    def _fair(self, contract: Contract, spot: Floats, at: Ints) -> Floats:
        years = years_left(contract.expiry, at)
        if contract.kind == "FUT":
            return forward(spot, years)
        return premium(contract, spot, years)

    def _usual_lots(self, contract: Contract, day: date) -> float:
        """Lots that change hands on an ordinary day."""
        underlying = contract.underlying
        level = self._prices.level(underlying, day)
        turnover = underlying.turnover or INDEX_TURNOVER
        return turnover / (level * underlying.lot_size) * interest(contract, level)
