"""The price model of stocks and indices.

`PriceModel` computes any day of any listing independently of all others: closes follow a
fractal noise over the calendar, and within a day the price walks from a gap at the open to
that day's close. Rows are the minutes that the provider would store.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from math import exp, log
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from data_fetch.core.market.calendar import INDIA_VIX
from data_fetch.paper_exchange.market.days import TRADES, SessionMinutes, TradingDays
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.seeded_random import (
    Floats,
    Ints,
    fingerprint,
    fractal_walk,
    generator,
    uniform,
)

# Cash ticks by price since 2025-04-15, reviewed monthly (option-chain notes, section 9).
STOCK_TICKS = ((250, 0.01), (1_000, 0.05), (5_000, 0.10), (10_000, 0.50), (20_000, 1.00))
LARGEST_TICK = 5.00
TICKS_BY_PRICE_FROM = date(2025, 4, 15)
OLD_TICK = INDEX_TICK = 0.05
VIX_TICK = 0.01

AUCTION_SHARE = 0.12
# An illiquid stock trades in each minute with this probability.
ILLIQUID_TRADES = 0.7

Count = TypeVar("Count", int, Ints)


@dataclass(frozen=True, slots=True)
class Rows:
    """One instrument's day, minute by minute.

    *volume* is the minute's, *cumulative* the day's up to its end. A *quiet* minute has no
    trade: price and cumulative volume do not change. *oi* is empty for stocks and indices.
    Volumes are always multiples of *lot*.
    """

    hours: SessionMinutes
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
        """The price after *trades* of the four trades of *row*."""
        if trades == TRADES:
            close: float = self.close[row].item()
            return close
        return self.trades(row)[trades - 1]

    def trades(self, row: int) -> tuple[float, float, float, float]:
        """The four trades of a minute, in order of time."""
        first, last = self.open[row].item(), self.close[row].item()
        low, high = self.low[row].item(), self.high[row].item()
        return (first, low, high, last) if last >= first else (first, high, low, last)

    def traded_by(self, row: int, trades: int) -> int:
        """The day's volume after *trades* of the four trades of *row*."""
        cumulative: int = self.cumulative[row].item()
        minute: int = self.volume[row].item()
        return cumulative - minute + self.traded_in(row, trades)

    def traded_in(self, row: int, trades: int) -> int:
        """The volume of *row* after *trades* of its four trades."""
        lots: int = self.volume[row].item() // self.lot
        return traded_part(lots, trades) * self.lot

    def trades_in_order(self) -> Floats:
        """The four trades of every minute, one row per minute."""
        rising = self.close >= self.open
        second = np.where(rising, self.low, self.high)
        third = np.where(rising, self.high, self.low)
        return np.stack([self.open, second, third, self.close], axis=1)


@dataclass(frozen=True, slots=True)
class PriceWalk:
    """The price at the end of every minute of a day, for the listing and its contracts."""

    starts: Ints
    levels: Floats

    def at(self, starts: Ints) -> Floats:
        """The levels at the end of the minutes that begin at *starts*."""
        found: Floats = self.levels[np.searchsorted(self.starts, starts)]
        return found


class PriceModel:
    """Prices of stocks and indices, determined by *seed*.

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
        """The price step in rupees, by the price at the start of the month."""
        if listing.isin is None:
            return VIX_TICK if listing.group == INDIA_VIX else INDEX_TICK
        if day < TICKS_BY_PRICE_FROM:
            return OLD_TICK
        price = self.level(listing, day.replace(day=1))
        return next((tick for below, tick in STOCK_TICKS if price < below), LARGEST_TICK)

    def is_illiquid(self, listing: Listing) -> bool:
        return listing.isin is not None and uniform("illiquid", listing.symbol) < self._illiquid

    def _level(self, listing: Listing, day: date) -> float:
        root = fingerprint(self.seed, "level", listing.symbol)
        displacement = fractal_walk(root, np.array([float(day.toordinal())]))
        return listing.base * exp(listing.daily * displacement.item())

    def _walk(self, listing: Listing, day: date) -> PriceWalk:
        cash = self.days.hours(day, listing.group).starts
        starts = self.days.minutes(day, listing.group)
        rng = generator(self.seed, "walk", listing.symbol, day)
        gap = 0.3 * listing.daily * rng.standard_normal()
        first = log(self.level(listing, self.days.before(day))) + gap
        last = log(self.level(listing, day))
        pace = listing.daily / np.sqrt(len(starts)) * _intraday_profile(len(starts)) / 1.4
        displacement = np.cumsum(pace * rng.standard_normal(len(starts)))
        # The walk is pulled to the day's close at the last cash row; after that it is free.
        last_row = int(np.searchsorted(starts, cash[-1]))
        pull = np.minimum(np.arange(1, len(starts) + 1) / (last_row + 1), 1.0)
        levels = np.exp(first + displacement + pull * (last - first - displacement[last_row]))
        return PriceWalk(starts, levels)

    def _rows(self, listing: Listing, day: date) -> Rows:
        """The rows of a trading day as the provider serves them."""
        hours = self.days.hours(day, listing.group)
        rng = generator(self.seed, "rows", listing.symbol, day)
        quiet = self._quiet(listing, hours, rng)
        volume = self._volume(listing, hours, rng)
        levels = self.walk(listing, day).at(hours.starts)
        if hours.auction:
            # The print is in the last row or the one before: the auction ends at random.
            printed = len(hours.starts) - 1 - int(rng.integers(2))
            levels[printed] = levels[-1]
            quiet[printed] = False
            volume[hours.continuous :] = 0
            volume[printed] = round(AUCTION_SHARE * volume.sum().item())
        volume[quiet] = 0
        return make_rows(
            hours,
            levels,
            volume,
            quiet,
            rng,
            tick=self.tick(listing, day),
            previous_close=self.close(listing, self.days.before(day)),
            spread=listing.daily / 40,
            trade_size=0 if listing.turnover == 0 else 1 + int(200_000 / listing.base),
        )

    def _quiet(
        self, listing: Listing, hours: SessionMinutes, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        trades = ILLIQUID_TRADES if self.is_illiquid(listing) else 1.0
        quiet = rng.random(len(hours.starts)) >= trades
        quiet[hours.continuous - 1] = False
        quiet[hours.continuous :] = True
        return quiet

    def _volume(self, listing: Listing, hours: SessionMinutes, rng: np.random.Generator) -> Ints:
        activity = exp(0.4 * rng.standard_normal())
        units = listing.turnover / listing.base * activity
        return distribute_volume(units, len(hours.starts), rng)


def make_rows(
    hours: SessionMinutes,
    levels: Floats,
    volume: Ints,
    quiet: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    tick: float,
    previous_close: float,
    spread: float,
    trade_size: int,
    lot: int = 1,
    oi: Ints | None = None,
) -> Rows:
    """Minute rows on tick, with trades near *levels*; the price does not change when *quiet*."""
    count = len(levels)
    close = np.maximum(np.rint(levels / tick), 1)
    opened = np.maximum(np.rint(_open_levels(levels) / tick), 1)
    reach = np.abs(rng.standard_normal((2, count))) * spread * levels / tick
    high = np.maximum(opened, close) + np.floor(reach[0])
    low = np.maximum(np.minimum(opened, close) - np.floor(reach[1]), 1)
    # Rows after continuous trading are filler or the auction's print, with one price each.
    for column in (opened, high, low):
        column[hours.continuous :] = close[hours.continuous :]
    last_traded = np.maximum.accumulate(np.where(quiet, -1, np.arange(count)))
    unchanged = np.where(last_traded < 0, previous_close, _rupees(close, tick)[last_traded])
    prices = (
        np.where(quiet, unchanged, _rupees(column, tick)) for column in (opened, high, low, close)
    )
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


def distribute_volume(total: float, minutes: int, rng: np.random.Generator) -> Ints:
    """*total* units by minute: most at both ends of the day, at least 1 in each."""
    if total == 0:
        return np.zeros(minutes, dtype=np.int64)
    weights = _intraday_profile(minutes) * rng.gamma(2.0, size=minutes)
    units: Ints = np.maximum(total * weights / weights.sum(), 1).astype(np.int64)
    return units


def traded_part(lots: Count, trades: int) -> Count:
    """The part of a minute's *lots* in its first *trades*, rounded up."""
    return -(-lots * trades // TRADES)


def to_tick(price: float, tick: float) -> float:
    """The multiple of *tick* nearest to *price*, at least one tick."""
    return round(max(round(price / tick), 1) * tick, 2)


def _open_levels(levels: Floats) -> Floats:
    """Opening levels: each minute opens where the one before ended."""
    return np.concatenate([levels[:1], levels[:-1]])


@lru_cache(maxsize=64)
def _intraday_profile(minutes: int) -> Floats:
    """Activity by minute, U-shaped over the day, with mean 1."""
    position = np.linspace(-1, 1, minutes)
    shape = 0.5 + 1.5 * position**2
    profile: Floats = shape / shape.mean()
    return profile


def _rupees(ticks: Floats, tick: float) -> Floats:
    return np.round(ticks * tick, 2)
