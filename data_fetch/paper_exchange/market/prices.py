"""How invented prices move.

`PriceModel` answers for any listing and any day without having been asked for another:
closes follow a fractal noise over the calendar, and within a day the price walks from a
gap at the open to that day's close. Rows are what the provider would keep of the day.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from math import exp, log
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from data_fetch.core.market.calendar import INDIA_VIX
from data_fetch.paper_exchange.market.chance import (
    Floats,
    Ints,
    fingerprint,
    generator,
    share,
    wander,
)
from data_fetch.paper_exchange.market.days import TRADES, Hours, TradingDays
from data_fetch.paper_exchange.market.listings import Listing

# Cash ticks by price since 2025-04-15, reviewed monthly (option-chain notes, section 9).
STOCK_TICKS = ((250, 0.01), (1_000, 0.05), (5_000, 0.10), (10_000, 0.50), (20_000, 1.00))
DEAREST_TICK = 5.00
TICKS_BY_PRICE_FROM = date(2025, 4, 15)
OLD_TICK = INDEX_TICK = 0.05
VIX_TICK = 0.01

AUCTION_SHARE = 0.12
# In each minute an illiquid name trades with this probability.
ILLIQUID_TRADES = 0.7

Count = TypeVar("Count", int, Ints)


@dataclass(frozen=True, slots=True)
class Rows:
    """One instrument's day, minute by minute, with all that hangs on it.

    *volume* is the minute's, *cumulative* the day's including it. A *quiet* minute had no
    trade: price and cumulative volume stand still. *oi* is empty for cash. Volumes are whole
    numbers of *lot* units at any time.
    """

    hours: Hours
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Ints
    cumulative: Ints
    quiet: NDArray[np.bool_]
    oi: Ints
    previous_close: float
    trade_size: int
    lot: int

    def price(self, row: int, trades: int) -> float:
        """The price when *trades* of the four trades of *row* have come."""
        if trades == TRADES:
            close: float = self.close[row].item()
            return close
        return self.trades(row)[trades - 1]

    def trades(self, row: int) -> tuple[float, float, float, float]:
        """The four trades of a minute, in the order they came."""
        first, last = self.open[row].item(), self.close[row].item()
        low, high = self.low[row].item(), self.high[row].item()
        return (first, low, high, last) if last >= first else (first, high, low, last)

    def traded_by(self, row: int, trades: int) -> int:
        """The day's volume when *trades* of the four trades of *row* have come."""
        cumulative: int = self.cumulative[row].item()
        minute: int = self.volume[row].item()
        return cumulative - minute + self.traded_in(row, trades)

    def traded_in(self, row: int, trades: int) -> int:
        """The volume of *row* when *trades* of its four trades have come."""
        lots: int = self.volume[row].item() // self.lot
        return part_of(lots, trades) * self.lot

    def in_order(self) -> Floats:
        """The four trades of every minute, a row for each."""
        rising = self.close >= self.open
        second = np.where(rising, self.low, self.high)
        third = np.where(rising, self.high, self.low)
        return np.stack([self.open, second, third, self.close], axis=1)


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a price stood at the end of every minute of a day, whoever may trade then."""

    starts: Ints
    levels: Floats

    def at(self, starts: Ints) -> Floats:
        """The levels at the end of those minutes."""
        found: Floats = self.levels[np.searchsorted(self.starts, starts)]
        return found


class PriceModel:
    """Prices of the cash side, from a *seed*.

    *illiquid* is the share of stocks that trade only in some minutes.
    """

    def __init__(self, days: TradingDays, seed: int, illiquid: float) -> None:
        self.days = days
        self.seed = seed
        self._illiquid = illiquid
        self.level = lru_cache(maxsize=4096)(self._level)
        self.walk = lru_cache(maxsize=1024)(self._walk)
        self.rows = lru_cache(maxsize=1024)(self._rows)

    def close(self, listing: Listing, day: date) -> float:
        """The official close of a trading day."""
        return to_tick(self.level(listing, day), self.tick(listing, day))

    def tick(self, listing: Listing, day: date) -> float:
        """The price step in force, in rupees: by the price at the last month's end."""
        if listing.isin is None:
            return VIX_TICK if listing.group == INDIA_VIX else INDEX_TICK
        if day < TICKS_BY_PRICE_FROM:
            return OLD_TICK
        price = self.level(listing, day.replace(day=1))
        return next((tick for below, tick in STOCK_TICKS if price < below), DEAREST_TICK)

    def is_illiquid(self, listing: Listing) -> bool:
        return listing.isin is not None and share("illiquid", listing.symbol) < self._illiquid

    def _level(self, listing: Listing, day: date) -> float:
        root = fingerprint(self.seed, "level", listing.symbol)
        strayed = wander(root, np.array([float(day.toordinal())]))
        return listing.base * exp(listing.daily * strayed.item())

    def _walk(self, listing: Listing, day: date) -> Walk:
        cash = self.days.hours(day, listing.group).starts
        starts = self.days.minutes(day, listing.group)
        chance = generator(self.seed, "walk", listing.symbol, day)
        gap = 0.3 * listing.daily * chance.standard_normal()
        first = log(self.level(listing, self.days.before(day))) + gap
        last = log(self.level(listing, day))
        pace = listing.daily / np.sqrt(len(starts)) * _busy(len(starts)) / 1.4
        strayed = np.cumsum(pace * chance.standard_normal(len(starts)))
        # Up to the last cash row the walk is tied to the day's close; after it, it is free.
        tied = int(np.searchsorted(starts, cash[-1]))
        pull = np.minimum(np.arange(1, len(starts) + 1) / (tied + 1), 1.0)
        levels = np.exp(first + strayed + pull * (last - first - strayed[tied]))
        return Walk(starts, levels)

    def _rows(self, listing: Listing, day: date) -> Rows:
        """The rows of a trading day as the provider serves them."""
        hours = self.days.hours(day, listing.group)
        chance = generator(self.seed, "rows", listing.symbol, day)
        quiet = self._quiet(listing, hours, chance)
        volume = self._volume(listing, hours, chance)
        levels = self.walk(listing, day).at(hours.starts)
        if hours.auction:
            # The print comes in the last row or the one before: the auction ends at random.
            printed = len(hours.starts) - 1 - int(chance.integers(2))
            levels[printed] = levels[-1]
            quiet[printed] = False
            volume[hours.continuous :] = 0
            volume[printed] = round(AUCTION_SHARE * volume.sum().item())
        volume[quiet] = 0
        return rows_of(
            hours,
            levels,
            volume,
            quiet,
            chance,
            tick=self.tick(listing, day),
            previous_close=self.close(listing, self.days.before(day)),
            spread=listing.daily / 40,
            trade_size=0 if listing.turnover == 0 else 1 + int(200_000 / listing.base),
        )

    def _quiet(
        self, listing: Listing, hours: Hours, chance: np.random.Generator
    ) -> NDArray[np.bool_]:
        trades = ILLIQUID_TRADES if self.is_illiquid(listing) else 1.0
        quiet = chance.random(len(hours.starts)) >= trades
        quiet[hours.continuous - 1] = False
        quiet[hours.continuous :] = True
        return quiet

    def _volume(self, listing: Listing, hours: Hours, chance: np.random.Generator) -> Ints:
        mood = exp(0.4 * chance.standard_normal())
        wanted = listing.turnover / listing.base * mood
        return spread_volume(wanted, len(hours.starts), chance)


def rows_of(
    hours: Hours,
    levels: Floats,
    volume: Ints,
    quiet: NDArray[np.bool_],
    chance: np.random.Generator,
    *,
    tick: float,
    previous_close: float,
    spread: float,
    trade_size: int,
    lot: int = 1,
    oi: Ints | None = None,
) -> Rows:
    """Minute rows on tick: trades near *levels*, and a price that stands still when *quiet*."""
    count = len(levels)
    close = np.maximum(np.rint(levels / tick), 1)
    opened = np.maximum(np.rint(_opening(levels) / tick), 1)
    reach = np.abs(chance.standard_normal((2, count))) * spread * levels / tick
    high = np.maximum(opened, close) + np.floor(reach[0])
    low = np.maximum(np.minimum(opened, close) - np.floor(reach[1]), 1)
    # What follows continuous trading is filled in or the auction's print: one price each.
    for bars in (opened, high, low):
        bars[hours.continuous :] = close[hours.continuous :]
    last_traded = np.maximum.accumulate(np.where(quiet, -1, np.arange(count)))
    standing = np.where(last_traded < 0, previous_close, _rupees(close, tick)[last_traded])
    prices = (np.where(quiet, standing, _rupees(bars, tick)) for bars in (opened, high, low, close))
    first, top, bottom, last = prices
    return Rows(
        hours=hours,
        open=first,
        high=top,
        low=bottom,
        close=last,
        volume=volume,
        cumulative=np.cumsum(volume),
        quiet=quiet,
        oi=np.empty(0, dtype=np.int64) if oi is None else oi,
        previous_close=previous_close,
        trade_size=trade_size,
        lot=lot,
    )


def spread_volume(wanted: float, minutes: int, chance: np.random.Generator) -> Ints:
    """*wanted* units over the day: much at both ends, little at noon, at least 1 a minute."""
    if wanted == 0:
        return np.zeros(minutes, dtype=np.int64)
    weights = _busy(minutes) * chance.gamma(2.0, size=minutes)
    units: Ints = np.maximum(wanted * weights / weights.sum(), 1).astype(np.int64)
    return units


def part_of(lots: Count, trades: int) -> Count:
    """How many of a minute's *lots* its first *trades* moved; the very first moves one, if any."""
    return -(-lots * trades // TRADES)


def to_tick(price: float, tick: float) -> float:
    """The price on *tick* nearest to *price*; never 0."""
    return round(max(round(price / tick), 1) * tick, 2)


def _opening(levels: Floats) -> Floats:
    """Each minute opens where the one before it ended."""
    return np.concatenate([levels[:1], levels[:-1]])


@lru_cache(maxsize=64)
def _busy(minutes: int) -> Floats:
    """The U shape of a trading day, 1 on average."""
    along = np.linspace(-1, 1, minutes)
    shape = 0.5 + 1.5 * along**2
    busy: Floats = shape / shape.mean()
    return busy


def _rupees(ticks: Floats, tick: float) -> Floats:
    return np.round(ticks * tick, 2)
