"""A day of one instrument as it is seen while it is traded: the last trade and its instant, the
day's average price, the minutes with trades, the closing auction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np

from data_fetch.paper_exchange.market.contracts import Contract
from data_fetch.paper_exchange.market.days import (
    BETWEEN_TRADES,
    FIRST_TRADE,
    LAST_TRADE,
    TRADES,
    Moment,
)
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.market import PaperMarket, Tradable, position_in
from data_fetch.paper_exchange.market.prices import Rows, to_tick
from data_fetch.paper_exchange.market.seeded_random import Floats, Ints, uniform

MINUTE = 60
# Orders of the auction are collected from its sixth minute on, 15:20.
BEFORE_ORDERS = 5 * MINUTE
# The indicative price moves towards that of the print, and strays from the way by this part.
STRAYS = 0.001

# Seconds between two states of the order book, by the share of minutes without a trade.
BOOK_SECONDS = ((0.0, 1), (0.5, 5))
LONGEST_BOOK_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Auction:
    """The closing auction before its print: prices in rupees, quantities in units.

    Before orders are collected the indicative price and the quantities are 0.
    """

    reference: float
    indicative: float
    quantity: int
    imbalance: int
    market_imbalance: int


@dataclass(frozen=True)
class LiveDay:
    """The session of one instrument on *day*. *tick* is the price step in rupees."""

    tradable: Tradable
    day: date
    rows: Rows
    tick: float

    @property
    def is_index(self) -> bool:
        return isinstance(self.tradable, Listing) and self.tradable.isin is None

    @property
    def is_future_on_index(self) -> bool:
        """Whether it is a future whose underlying is an index."""
        one = self.tradable
        return isinstance(one, Contract) and one.kind == "FUT" and one.underlying.isin is None

    def position(self, now: Moment) -> tuple[int, int]:
        """The last row with a trade, and its trade count; (-1, 0) before the first."""
        return position_in(self.rows, self.day, now)

    def is_during(self, since: float, now: Moment) -> bool:
        """Whether some of the time after *since* until *now* is between open and close."""
        hours = self.rows.hours
        return self.day == now.day and hours.first <= now.seconds and since < self.ends

    @cached_property
    def ends(self) -> int:
        """The end of the last minute in epoch seconds."""
        last: int = self.rows.hours.starts[-1].item()
        return last + MINUTE

    @cached_property
    def book_seconds(self) -> int:
        """Seconds between two states of the order book: liquid instruments change the most."""
        quiet = float(self.rows.quiet[: self.rows.hours.continuous].mean())
        return next(
            (seconds for share, seconds in BOOK_SECONDS if quiet <= share), LONGEST_BOOK_SECONDS
        )

    def average(self, row: int, trades: int) -> float:
        """The average price of the day's trades, weighted by volume; 0 before the first."""
        volume = self.rows.traded_by(row, trades) if row >= 0 else 0
        if not volume:
            return 0.0
        before = self._values[row - 1].item() if row > 0 else 0.0
        value = before + self.rows.price(row, trades) * self.rows.traded_in(row, trades)
        return round(value / volume, 2)

    def minutes_with_trades(self, row: int) -> Sequence[int]:
        """The last two rows up to *row* that have a trade, oldest first."""
        upto = int(np.searchsorted(self._traded, row, side="right"))
        found: list[int] = self._traded[max(0, upto - 2) : upto].tolist()
        return found

    def traded_at(self, row: int, trades: int) -> int | None:
        """The epoch second of the last trade; None before the day's first."""
        minutes = self.minutes_with_trades(row)
        if not minutes:
            return None
        last = minutes[-1]
        start: int = self.rows.hours.starts[last].item()
        return start + (trade_second(trades) if last == row else LAST_TRADE)

    @property
    def last_traded_at(self) -> int:
        """The epoch second of the session's last trade, or of an index's last level."""
        if self.is_index:
            return self.ends - 1
        start: int = self.rows.hours.starts[self._traded[-1]].item()
        return start + LAST_TRADE

    def computed_at(self, now: Moment) -> int:
        """The second at which an index, which has a level each second, was computed last."""
        hours = self.rows.hours
        if self.day != now.day:
            return self.last_traded_at
        start: int = hours.starts[hours.current_row(now.seconds)].item()
        return min(int(now.seconds), start + MINUTE - 1)

    def auction(self, now: Moment) -> Auction | None:
        """The closing auction at an instant; None outside of it, and from its print on."""
        rows = self.rows
        if self.is_index or not rows.hours.auction:
            return None
        begins: int = rows.hours.starts[rows.hours.continuous].item()
        printed = int(self._traded[-1])
        ends: int = rows.hours.starts[printed].item() + FIRST_TRADE
        if not begins <= now.seconds < ends:
            return None
        last = rows.close[rows.hours.continuous - 1].item()
        orders = (now.seconds - begins - BEFORE_ORDERS) / (ends - begins - BEFORE_ORDERS)
        if orders < 0:
            return Auction(last, 0.0, 0, 0, 0)
        second = int(now.seconds) // self.book_seconds
        strays = 1 + STRAYS * (2 * uniform("indicative", self.tradable.key, second) - 1)
        towards = last + (rows.close[printed].item() - last) * orders
        quantity = int(rows.volume[printed].item() * orders)
        imbalance = int(quantity * uniform("imbalance", self.tradable.key, second))
        return Auction(
            last, to_tick(towards * strays, self.tick), quantity, imbalance, imbalance // 3
        )

    @cached_property
    def _traded(self) -> Ints:
        """The rows with a trade; all of an index, which is computed in every minute."""
        return np.flatnonzero(~self.rows.quiet | self.is_index)

    @cached_property
    def _values(self) -> Floats:
        """The value traded from the open to the end of every minute, in rupees."""
        values: Floats = np.cumsum(self.rows.close * self.rows.volume)
        return values


def trade_second(trades: int) -> int:
    """The second of its minute at which trade number *trades* of `TRADES` is made."""
    return FIRST_TRADE + (min(trades, TRADES) - 1) * BETWEEN_TRADES


@dataclass(frozen=True)
class _OfDate:
    """What was found on one date, by instrument key."""

    date: date
    sessions: dict[str, LiveDay] = field(default_factory=dict)
    traded_before: dict[str, int] = field(default_factory=dict)


class LiveDays:
    """The latest sessions of the instruments that are asked for; those of one date are kept."""

    def __init__(self, market: PaperMarket) -> None:
        self._market = market
        self._kept = _OfDate(date.min)

    def at(self, tradable: Tradable, now: Moment) -> LiveDay:
        """The session of the day of *now*, else the last one before it."""
        sessions = self._of(now.day).sessions
        found = sessions.get(tradable.key)
        if found is None:
            day = self._market.session_day(tradable, now)
            found = sessions[tradable.key] = self._session(tradable, day)
        return found

    def traded_before(self, tradable: Tradable, now: Moment) -> int:
        """The epoch second of the last trade in the session before that of *now*."""
        traded_before = self._of(now.day).traded_before
        found = traded_before.get(tradable.key)
        if found is None:
            day = self._market.days.before(self._market.session_day(tradable, now))
            found = self._session(tradable, day).last_traded_at
            traded_before[tradable.key] = found
        return found

    def open_interest(self, live: LiveDay, row: int) -> int:
        """Open interest in units after *row*; 0 for stocks and indices."""
        if not isinstance(live.tradable, Contract):
            return 0
        if row >= 0:
            return int(live.rows.oi[row].item())
        before = self._market.days.before(live.day)
        return self._market.contract_prices.open_interest(live.tradable, before)

    def _of(self, day: date) -> _OfDate:
        # Two connections may be on both sides of midnight for a moment.
        kept = self._kept
        if kept.date != day:
            kept = self._kept = _OfDate(day)
        return kept

    def _session(self, tradable: Tradable, day: date) -> LiveDay:
        tick = (
            self._market.contract_prices.tick(tradable, day)
            if isinstance(tradable, Contract)
            else self._market.prices.tick(tradable, day)
        )
        return LiveDay(tradable, day, self._market.rows(tradable, day), tick)
