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
from data_fetch.core.market.calendar import (
    FUTURES_AND_OPTIONS,
    OTHER_STOCK,
    MarketCalendar,
    TradingGroup,
)
from data_fetch.paper_exchange.market.chance import Ints

DAY = timedelta(days=1)
DAY_SECONDS = 86_400
IST_SECONDS = 19_800
EPOCH_DAY = date(1970, 1, 1).toordinal()
MIDNIGHT = time(0)
SATURDAY = 5

# On closing-auction days Upstox serves rows up to the old close (reference, section 7.1).
ROWS_END = time(15, 30)

# A minute's four trades come at 5, 20, 35 and 50 seconds, so that a question at the very
# end of a minute, or a little late, finds that minute's close and not the next one's open.
FIRST_TRADE, BETWEEN_TRADES, TRADES = 5, 15, 4
LAST_TRADE = FIRST_TRADE + (TRADES - 1) * BETWEEN_TRADES

Span = tuple[time, time]


@dataclass(frozen=True, slots=True)
class Plan:
    """A venue's day: windows of continuous trading, whether an auction follows, and why."""

    windows: tuple[Span, ...]
    auction: bool
    note: str


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

    def along(self, at: float) -> tuple[int, float]:
        """The row whose minute is running or was the last to begin, and how far its trades are.

        0 up to the minute's first trade, which is where the minute before ended; 1 from its
        last one on.
        """
        row = max(self.begun(at), 0)
        way = (at - self._starts[row] - FIRST_TRADE) / (LAST_TRADE - FIRST_TRADE)
        return row, min(max(way, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as the exchange needs it: the trading date in India, and epoch seconds."""

    at: datetime
    day: date
    seconds: float

    @classmethod
    def of(cls, at: datetime) -> "Moment":
        return cls(at, at.astimezone(IST).date(), at.timestamp())

    @classmethod
    def of_seconds(cls, seconds: int) -> "Moment":
        return cls.of(datetime.fromtimestamp(seconds, IST))


class TradingDays:
    """The calendar as the paper exchange sees it: without an end."""

    def __init__(self, calendar: MarketCalendar) -> None:
        self._calendar = calendar
        self.plan = lru_cache(maxsize=4096)(self._plan)
        self.hours = lru_cache(maxsize=4096)(self._hours)
        self.minutes = lru_cache(maxsize=1024)(self._minutes)

    def windows(self, day: date, group: TradingGroup) -> tuple[Span, ...]:
        """The windows of continuous trading, none when closed."""
        return self.plan(day, group).windows

    def has_auction(self, day: date, group: TradingGroup) -> bool:
        return self.plan(day, group).auction

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

    def expires_at(self, expiry: date) -> int:
        """When contracts of that day expire, in epoch seconds: as derivatives close on it.

        15:30, from 2026-08-03 on 15:40; the end of a special session; beyond the calendar
        what is in force at its end.
        """
        return epoch(expiry, self.windows(expiry, FUTURES_AND_OPTIONS)[-1][1])

    def last_traded(self, at: Moment) -> Moment:
        """The last second of derivatives trading reached; *at*, while there is trading.

        In the evening, that is the close; in the morning, the close of the day before.
        """
        for start, end in reversed(self.windows(at.day, FUTURES_AND_OPTIONS)):
            if at.seconds >= epoch(at.day, start):
                return Moment.of_seconds(min(int(at.seconds), epoch(at.day, end)))
        return Moment.of_seconds(self.expires_at(self.before(at.day)))

    def _plan(self, day: date, group: TradingGroup) -> Plan:
        """What the calendar says of *day*; beyond it, what it says of an ordinary day."""
        try:
            session = self._calendar.session(day, group)
        except CalendarUnknown:
            if day.weekday() >= SATURDAY:
                return Plan((), False, "")
            session = self._calendar.session(self._ordinary_day(day), group)
        windows = tuple((window.start, window.end) for window in session.windows)
        return Plan(windows, session.auction is not None, session.note)

    def _ordinary_day(self, day: date) -> date:
        """The first or last day of the calendar, whose hours a day beyond it has."""
        early = day < self._calendar.reviewed_from
        ordinary = self._calendar.reviewed_from if early else self._calendar.reviewed_until
        while ordinary.weekday() >= SATURDAY or not self._is_open(ordinary):
            ordinary += DAY if early else -DAY
        return ordinary

    def _is_open(self, day: date) -> bool:
        return self._calendar.session(day, FUTURES_AND_OPTIONS).open

    def _hours(self, day: date, group: TradingGroup) -> Hours:
        windows = self.windows(day, group)
        continuous = _offsets(windows)
        filled_in = (windows[-1][1], ROWS_END) if self.has_auction(day, group) else None
        served = _offsets((*windows, filled_in)) if filled_in else continuous
        return Hours(epoch(day, MIDNIGHT) + served, len(continuous))

    def _minutes(self, day: date, group: TradingGroup) -> Ints:
        """The minutes in which an instrument of *group*, or contracts on it, have rows."""
        cash, contracts = (
            self.hours(day, group).starts,
            self.hours(day, FUTURES_AND_OPTIONS).starts,
        )
        # Almost always the contracts' minutes hold the others, and joining them is dear.
        if _unbroken(contracts) and contracts[0] <= cash[0] and cash[-1] <= contracts[-1]:
            return contracts
        return np.union1d(cash, contracts)


def _unbroken(starts: Ints) -> bool:
    return bool(starts[-1] - starts[0] == 60 * (len(starts) - 1))


@lru_cache(maxsize=256)
def _offsets(windows: tuple[Span, ...]) -> Ints:
    """The minutes of these windows, in seconds from midnight."""
    minutes = [np.arange(_seconds(start), _seconds(end), 60) for start, end in windows]
    return np.concatenate([np.empty(0, dtype=np.int64), *minutes])


def _seconds(at: time) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second


def epoch(day: date, at: time) -> int:
    """Epoch seconds of a time of day in India, which never changes its clocks."""
    return (day.toordinal() - EPOCH_DAY) * DAY_SECONDS - IST_SECONDS + _seconds(at)
