"""On which days, and in which minutes, the paper exchange trades.

The market calendar decides. Beyond what it knows the paper exchange still answers: there
every Monday to Friday is an ordinary trading day, as the prices are invented anyway.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property, lru_cache

import numpy as np

from data_fetch.core.clock import IST
from data_fetch.core.errors import CalendarUnknown
from data_fetch.core.market import (
    FUTURES_AND_OPTIONS,
    OTHER_STOCK,
    MarketCalendar,
    Session,
    Venue,
)
from data_fetch.paper_exchange.chance import Ints

DAY = timedelta(days=1)
SATURDAY = 5

# On closing-auction days Upstox serves rows up to the old close (reference, section 7.1).
ROWS_END = time(15, 30)

# A minute's four trades come at 5, 20, 35 and 50 seconds, so that a question at the very
# end of a minute, or a little late, finds that minute's close and not the next one's open.
FIRST_TRADE, BETWEEN_TRADES, TRADES = 5, 15, 4


@dataclass(frozen=True)
class Hours:
    """The minutes of one venue on one day, as epoch seconds of their starts.

    The first *continuous* rows are trading; any after them are the rows that the provider
    fills in between the end of trading and the closing auction's print.
    """

    starts: Ints
    continuous: int

    @cached_property
    def _starts(self) -> list[int]:
        starts: list[int] = self.starts.tolist()
        return starts

    @property
    def first(self) -> int:
        return self._starts[0]

    @property
    def auction(self) -> bool:
        return self.continuous < len(self.starts)

    def position(self, at: float) -> tuple[int, int]:
        """The row whose trades were the last before *at* (-1: none yet), and how many came."""
        at -= FIRST_TRADE
        row = bisect_right(self._starts, at) - 1
        if row < 0:
            return -1, 0
        return row, min(TRADES, 1 + int(at - self._starts[row]) // BETWEEN_TRADES)

    def begun(self, at: float) -> int:
        """The row whose minute is running or was the last to begin; -1 before the open."""
        return bisect_right(self._starts, at) - 1


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as the exchange needs it: the trading date in India, and epoch seconds."""

    at: datetime
    day: date
    seconds: float

    @classmethod
    def of(cls, at: datetime) -> "Moment":
        return cls(at, at.astimezone(IST).date(), at.timestamp())


class TradingDays:
    """The calendar as the paper exchange sees it: without an end."""

    def __init__(self, calendar: MarketCalendar) -> None:
        self._calendar = calendar
        self.windows = lru_cache(maxsize=4096)(self._windows)
        self.hours = lru_cache(maxsize=4096)(self._hours)
        self.minutes = lru_cache(maxsize=1024)(self._union)

    def trades_on(self, day: date) -> bool:
        return bool(self.windows(day, OTHER_STOCK))

    def before(self, day: date) -> date:
        """The last trading day before *day*."""
        day -= DAY
        while not self.trades_on(day):
            day -= DAY
        return day

    def at_or_before(self, day: date) -> date:
        return self.before(day + DAY)

    def between(self, first: date, last: date) -> Iterator[date]:
        """Trading days from *first* to *last*, both included, oldest first."""
        while first <= last:
            if self.trades_on(first):
                yield first
            first += DAY

    def session(self, day: date, venue: Venue) -> Session | None:
        """The session of *day*, or of an ordinary day like it; None on an unknown weekend."""
        try:
            return self._calendar.session(day, venue)
        except CalendarUnknown:
            if day.weekday() >= SATURDAY:
                return None
            return self._calendar.session(self._ordinary_day(day), venue)

    def _windows(self, day: date, venue: Venue) -> tuple[tuple[time, time], ...]:
        """The windows of continuous trading, none when closed."""
        session = self.session(day, venue)
        if session is None:
            return ()
        return tuple((window.start, window.end) for window in session.windows)

    def has_auction(self, day: date, venue: Venue) -> bool:
        session = self.session(day, venue)
        return session is not None and session.auction is not None

    def _ordinary_day(self, day: date) -> date:
        """The first or last day of the calendar, whose hours a day beyond it has."""
        early = day < self._calendar.reviewed_from
        ordinary = self._calendar.reviewed_from if early else self._calendar.reviewed_until
        while ordinary.weekday() >= SATURDAY or not self._is_open(ordinary):
            ordinary += DAY if early else -DAY
        return ordinary

    def _is_open(self, day: date) -> bool:
        return self._calendar.session(day, FUTURES_AND_OPTIONS).open

    def _union(self, day: date, venue: Venue) -> Ints:
        """The minutes in which an instrument of *venue*, or contracts on it, have rows."""
        contracts = self.hours(day, FUTURES_AND_OPTIONS)
        return np.union1d(self.hours(day, venue).starts, contracts.starts)

    def _hours(self, day: date, venue: Venue) -> Hours:
        windows = self.windows(day, venue)
        minutes = [_minutes(day, *window) for window in windows]
        continuous = sum(map(len, minutes))
        if self.has_auction(day, venue):
            minutes.append(_minutes(day, windows[-1][1], ROWS_END))
        joined = np.concatenate(minutes) if minutes else np.empty(0, dtype=np.int64)
        return Hours(joined, continuous)


def _minutes(day: date, start: time, end: time) -> Ints:
    return np.arange(epoch(day, start), epoch(day, end), 60, dtype=np.int64)


def epoch(day: date, at: time) -> int:
    """Epoch seconds of a time of day in India."""
    return int(datetime.combine(day, at, IST).timestamp())
