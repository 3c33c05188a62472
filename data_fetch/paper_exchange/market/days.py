"""Trading days and trading minutes of the paper exchange.

They follow the market calendar. Before its first day every Monday to Friday is an ordinary
trading day, so that the paper exchange serves any date.
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
from data_fetch.paper_exchange.market.seeded_random import Ints

DAY = timedelta(days=1)
DAY_SECONDS = 86_400
IST_SECONDS = 19_800
EPOCH_DAY = date(1970, 1, 1).toordinal()
MIDNIGHT = time(0)
SATURDAY = 5

# On closing-auction days Upstox serves rows up to the old close (reference, section 7.1).
ROWS_END = time(15, 30)

# A minute's four trades are at 5, 20, 35 and 50 seconds, so that a request at the end of a
# minute, or shortly after, gets that minute's close and not the next one's open.
FIRST_TRADE, BETWEEN_TRADES, TRADES = 5, 15, 4
LAST_TRADE = FIRST_TRADE + (TRADES - 1) * BETWEEN_TRADES

Window = tuple[time, time]


@dataclass(frozen=True, slots=True)
class DaySchedule:
    """The day of a trading group: continuous trading, closing auction, and the calendar's note."""

    windows: tuple[Window, ...]
    auction: bool
    note: str


@dataclass(frozen=True)
class SessionMinutes:
    """The minutes of one trading group on one day, as epoch seconds of their starts.

    The first *continuous* rows are continuous trading; the others are the rows that the
    provider adds from the end of trading to the closing auction's print.
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
        """The row of the last trade up to *at*, and its trade count; (-1, 0) before the first."""
        at -= FIRST_TRADE
        row = bisect_right(self._starts, at) - 1
        if row < 0:
            return -1, 0
        return row, min(TRADES, 1 + int(at - self._starts[row]) // BETWEEN_TRADES)

    def current_row(self, at: float) -> int:
        """The row of the minute in progress, else of the last one before; -1 before the open."""
        return bisect_right(self._starts, at) - 1

    def progress(self, at: float) -> tuple[int, float]:
        """The current row, and the fraction of its trades that has passed.

        0 up to the minute's first trade, where the price is that of the minute before; 1 from
        its last trade on.
        """
        row = max(self.current_row(at), 0)
        fraction = (at - self._starts[row] - FIRST_TRADE) / (LAST_TRADE - FIRST_TRADE)
        return row, min(max(fraction, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant with its date in India and its epoch seconds."""

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
    """The market calendar, extended into the years before it."""

    def __init__(self, calendar: MarketCalendar) -> None:
        self._calendar = calendar
        self.schedule = lru_cache(maxsize=4096)(self._schedule)
        self.hours = lru_cache(maxsize=4096)(self._hours)
        self.minutes = lru_cache(maxsize=1024)(self._minutes)

    def windows(self, day: date, group: TradingGroup) -> tuple[Window, ...]:
        """The windows of continuous trading, empty on a closed day."""
        return self.schedule(day, group).windows

    def has_auction(self, day: date, group: TradingGroup) -> bool:
        return self.schedule(day, group).auction

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
        """The close of derivatives trading on *expiry*, in epoch seconds.

        15:30, from 2026-08-03 on 15:40; the end of a special session.
        """
        return epoch(expiry, self.windows(expiry, FUTURES_AND_OPTIONS)[-1][1])

    def last_traded(self, at: Moment) -> Moment:
        """*at* during derivatives trading, else the close before it.

        In the evening that is the close of the day, in the morning that of the day before.
        """
        for start, end in reversed(self.windows(at.day, FUTURES_AND_OPTIONS)):
            if at.seconds >= epoch(at.day, start):
                return Moment.of_seconds(min(int(at.seconds), epoch(at.day, end)))
        return Moment.of_seconds(self.expires_at(self.before(at.day)))

    def _schedule(self, day: date, group: TradingGroup) -> DaySchedule:
        """The calendar's session on *day*; before its first day, that of an ordinary day."""
        try:
            session = self._calendar.session(day, group)
        except CalendarUnknown:
            if day.weekday() >= SATURDAY:
                return DaySchedule((), False, "")
            session = self._calendar.session(self._first_ordinary_day(), group)
        windows = tuple((window.start, window.end) for window in session.windows)
        return DaySchedule(windows, session.auction is not None, session.note)

    def _first_ordinary_day(self) -> date:
        ordinary = self._calendar.reviewed_from
        while ordinary.weekday() >= SATURDAY or not self._is_open(ordinary):
            ordinary += DAY
        return ordinary

    def _is_open(self, day: date) -> bool:
        return self._calendar.session(day, FUTURES_AND_OPTIONS).open

    def _hours(self, day: date, group: TradingGroup) -> SessionMinutes:
        windows = self.windows(day, group)
        continuous = _offsets(windows)
        added = (windows[-1][1], ROWS_END) if self.has_auction(day, group) else None
        served = _offsets((*windows, added)) if added else continuous
        return SessionMinutes(epoch(day, MIDNIGHT) + served, len(continuous))

    def _minutes(self, day: date, group: TradingGroup) -> Ints:
        """The minutes with rows of an instrument of *group* or of contracts on it."""
        cash, contracts = (
            self.hours(day, group).starts,
            self.hours(day, FUTURES_AND_OPTIONS).starts,
        )
        # The contracts' minutes nearly always include the others, and a union is slow.
        if _is_contiguous(contracts) and contracts[0] <= cash[0] and cash[-1] <= contracts[-1]:
            return contracts
        return np.union1d(cash, contracts)


def _is_contiguous(starts: Ints) -> bool:
    return bool(starts[-1] - starts[0] == 60 * (len(starts) - 1))


@lru_cache(maxsize=256)
def _offsets(windows: tuple[Window, ...]) -> Ints:
    """The minutes of *windows*, in seconds from midnight."""
    minutes = [np.arange(_seconds(start), _seconds(end), 60) for start, end in windows]
    return np.concatenate([np.empty(0, dtype=np.int64), *minutes])


def _seconds(at: time) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second


def epoch(day: date, at: time) -> int:
    """Epoch seconds of a time of day in India, which has no daylight saving time."""
    return (day.toordinal() - EPOCH_DAY) * DAY_SECONDS - IST_SECONDS + _seconds(at)
