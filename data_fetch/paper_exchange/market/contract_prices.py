"""Minute rows of futures and options, priced off the walk of their underlying."""

from datetime import date
from functools import lru_cache
from math import exp

import numpy as np

from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS
from data_fetch.paper_exchange.market.chance import Floats, Ints, fingerprint, generator, wander
from data_fetch.paper_exchange.market.contracts import CALL, Contract
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.listings import CRORE, Listing
from data_fetch.paper_exchange.market.options import forward, interest, premium, years_left
from data_fetch.paper_exchange.market.prices import (
    PriceModel,
    Rows,
    rows_of,
    spread_volume,
    to_tick,
)

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
        self.rows = lru_cache(maxsize=512)(self.fresh_rows)
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
        return next(ticks, DEAREST_INDEX_FUTURE_TICK)

    def _open_interest(self, contract: Contract, day: date) -> int:
        """Units open at the end of *day*, a whole number of lots."""
        root = fingerprint(self._prices.seed, "oi", contract.token)
        mood = exp(0.05 * wander(root, np.array([float(day.toordinal())])).item())
        lots = OPEN_INTEREST_DAYS * self._usual_lots(contract, day) * mood
        return int(lots) * contract.underlying.lot_size

    def spot(self, underlying: Listing, at: Moment) -> float:
        """Where the underlying's walk stands at an instant of derivatives trading.

        It moves with the trades of a minute: from the first to the last one, evenly.
        """
        hours = self._days.hours(at.day, FUTURES_AND_OPTIONS)
        row, along = hours.along(at.seconds)
        starts = hours.starts[[max(row - 1, 0), row]]
        before, level = self._prices.walk(underlying, at.day).at(starts).tolist()
        walked: float = before + along * (level - before)
        return walked

    def fresh_rows(self, contract: Contract, day: date) -> Rows:
        """All rows of a trading day, for those who keep them in a form of their own."""
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
            lot=lot,
            oi=self._oi_through(contract, before, day, len(spot)),
        )

    def _oi_through(self, contract: Contract, before: date, day: date, minutes: int) -> Ints:
        """Open interest at the end of every minute: from yesterday's to today's, in lots."""
        lot = contract.underlying.lot_size
        old, new = self.open_interest(contract, before), self.open_interest(contract, day)
        return on_the_way(old // lot, new // lot, np.arange(1, minutes + 1), minutes) * lot

    def _close(self, contract: Contract, day: date) -> float:
        """The last price of a trading day."""
        hours = self._days.hours(day, FUTURES_AND_OPTIONS)
        spot = self._prices.walk(contract.underlying, day).at(hours.starts[-1:])
        fair = self._fair(contract, spot, hours.starts[-1:] + 60)
        return to_tick(fair.item(), self.tick(contract, day))

    def _fair(self, contract: Contract, spot: Floats, at: Ints) -> Floats:
        years = years_left(self._days.expires_at(contract.expiry), at)
        if contract.kind == "FUT":
            return forward(spot, years)
        call = contract.kind == CALL
        return premium(contract.underlying, contract.strike, call, spot, years)

    def _usual_lots(self, contract: Contract, day: date) -> float:
        """Lots that change hands on an ordinary day."""
        underlying = contract.underlying
        level = self._prices.level(underlying, day)
        turnover = underlying.turnover or INDEX_TURNOVER
        return turnover / (level * underlying.lot_size) * interest(contract, level)


def on_the_way(old: Ints | int, new: Ints | int, done: Ints | int, minutes: int) -> Ints:
    """From *old* to *new* in equal steps, after *done* of so many *minutes*: whole lots."""
    reached: Ints = old + (2 * np.multiply(new - old, done) + minutes) // (2 * minutes)
    return reached
