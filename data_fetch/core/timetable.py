"""The jobs that are due, as a pure function of an instant. Nothing here waits or has state.

A schedule rule returns the instants at which a job is due; the timetable has one rule per job
name. Whether quotes are due depends on the slot, not on the present instant: slot 15:29 is in
session, so its quotes are due at 15:30:00 although the market is closed then.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Protocol

from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.market.calendar import (
    FUTURES_AND_OPTIONS,
    MarketCalendar,
    Session,
    TradingGroup,
)
from data_fetch.core.market.session import instant_of

QUOTES, CANDLES, FRESHNESS, COVERAGE = "quotes", "candles", "freshness", "coverage"
CHAINS = "chains"
# These jobs are not on the timetable: users start them.
CHAIN_IMPORT, CHAIN_REPROCESS = "chain-import", "chain-rederive"
ARCHIVE_VERIFY, ARCHIVE_RESTORE = "archive-verify", "archive-restore"
# Not jobs, but rows of the audit: the clock was set back, and slots that were recorded before.
CLOCK, WITHDRAWN = "clock", "withdrawn"
DAILY, FINALISE, WEEKLY = "daily", "finalise", "weekly"
CALENDAR = "calendar"
# Units of work for other processes: sent to them every minute, and what people do with dead ones.
UNITS, UNITS_REPLAYED, UNITS_DROPPED = "units", "units-replayed", "units-dropped"
READINESS = "readiness"
FEED, FEED_CLOSE = "feed", "feed-close"
# These jobs have a process of their own: `data-fetch archive run`, which a collector starts.
ARCHIVE_MINUTES, ARCHIVE_LOAD = "archive-minutes", "archive-load"
ARCHIVE_DAYS = "archive-days"
# So has this one: `data-fetch alerts watch`.
ALERTS = "alerts"

SUNDAY = 6
# The provider rebuilds its instrument master at about 06:00; the first session opens later.
MORNING = time(8, 30)
# After the listings of the day are read, and early enough to log in before the open.
READY_AT = time(8, 55)
# The candle of a minute is published some seconds after it, and its quotes are requested before.
CANDLES_OFFSET = timedelta(seconds=70)
# The quotes and candles of the minute are stored before these checks read them.
FRESHNESS_OFFSET = timedelta(seconds=20)
COVERAGE_OFFSET = timedelta(seconds=40)
# When no other job of the minute is due.
CALENDAR_OFFSET = timedelta(seconds=50)
UNITS_OFFSET = timedelta(seconds=30)
# Between the ticks of chains.
FEED_OFFSET = timedelta(seconds=12)
# The time between two looks for chains that are due.
CHAIN_TICK_SECONDS = 5
# Open interest and last prices are corrected after the close: on 19 June 2026 those of 132 legs
# out of 206. An expired contract is not polled then, but the next expiry is.
LOOKS_AFTER_CLOSE = (timedelta(minutes=5), timedelta(minutes=30))
# Longer than any period without trading so far.
LONGEST_BREAK = timedelta(days=15)


class ScheduleRule(Protocol):
    """The instants at which a job is due."""

    def on(self, day: date) -> Sequence[datetime]:
        """Every due instant of one IST day, in UTC, oldest first."""


@dataclass(frozen=True, slots=True)
class EverySlot:
    """Due when a slot of any of *groups* is over: one minute after its name."""

    calendar: MarketCalendar
    groups: Collection[TradingGroup]

    def on(self, day: date) -> Sequence[datetime]:
        sessions = [self.calendar.session(day, group) for group in self.groups]
        slots = {slot for session in sessions for slot in session.slots()}
        return [slot + MINUTE for slot in sorted(slots)]


@dataclass(frozen=True, slots=True)
class EveryMinutes:
    """Due every so many minutes of the hour, while any of *groups* trades."""

    calendar: MarketCalendar
    groups: Collection[TradingGroup]
    minutes: int
    offset: timedelta

    def on(self, day: date) -> Sequence[datetime]:
        sessions = [self.calendar.session(day, group) for group in self.groups]
        trading = {minute for session in sessions for minute in session.minutes()}
        return [
            minute + self.offset for minute in sorted(trading) if minute.minute % self.minutes == 0
        ]


@dataclass(frozen=True, slots=True)
class EverySeconds:
    """Due every so many seconds, from the opening of each window of *group* to its close, and
    at the instants *afterwards* of the day's last close."""

    calendar: MarketCalendar
    group: TradingGroup
    seconds: int
    afterwards: tuple[timedelta, ...] = ()

    def on(self, day: date) -> Sequence[datetime]:
        return _ticks(self.calendar.session(day, self.group), self.seconds, self.afterwards)


@lru_cache(maxsize=8)
def _ticks(
    session: Session, seconds: int, afterwards: tuple[timedelta, ...]
) -> tuple[datetime, ...]:
    # There are thousands of them, and the timetable needs them thousands of times a day.
    tick = timedelta(seconds=seconds)
    trading = [
        instant_of(first) + count * tick
        for first, end in session.spans
        for count in range((end - first) * MINUTE // tick + 1)
    ]
    return (*trading, *(trading[-1] + wait for wait in afterwards if trading))


@dataclass(frozen=True, slots=True)
class DailyAt:
    """Due at one IST time of every day on which any of *groups* trades."""

    calendar: MarketCalendar
    groups: Collection[TradingGroup]
    at: time

    def on(self, day: date) -> Sequence[datetime]:
        trades = any(self.calendar.session(day, group).open for group in self.groups)
        return [_instant(day, self.at)] if trades else []


@dataclass(frozen=True, slots=True)
class AroundTheClock:
    """Due every so many minutes of every day, *offset* after the minute begins."""

    minutes: int
    offset: timedelta

    def on(self, day: date) -> Sequence[datetime]:
        first = _instant(day, time(0)) + self.offset
        return [first + minute * MINUTE for minute in range(0, 24 * 60, self.minutes)]


@dataclass(frozen=True, slots=True)
class WeeklyAt:
    """Due at one IST time of one weekday, whether the market trades or not."""

    weekday: int
    at: time

    def on(self, day: date) -> Sequence[datetime]:
        return [_instant(day, self.at)] if day.weekday() == self.weekday else []


def _instant(day: date, at: time) -> datetime:
    return datetime.combine(day, at, IST).astimezone(UTC)


def next_due(rule: ScheduleRule, after: datetime) -> datetime | None:
    """The first instant later than *after* at which the rule is due.

    None when there is none within `LONGEST_BREAK`.
    """
    day = after.astimezone(IST).date()
    last = day + LONGEST_BREAK
    while day <= last:
        instants = rule.on(day)
        following = bisect_right(instants, after)
        if following < len(instants):
            return instants[following]
        day += timedelta(days=1)
    return None


def next_morning(after: datetime) -> datetime:
    """The next reload of listings, calendar and trading groups: 08:30 IST of every day."""
    today = _instant(after.astimezone(IST).date(), MORNING)
    return today if today > after else today + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Job:
    """Recurring *work*, due at the instants of *rule*.

    A job that is due *at_start* also runs when the scheduler starts, for what passed before.
    """

    name: str
    rule: ScheduleRule
    work: Callable[[], object]
    at_start: bool = False

    def next_after(self, at: datetime) -> datetime | None:
        """When it is due next."""
        return next_due(self.rule, at)


@dataclass(frozen=True, slots=True)
class Timetable:
    """The schedule rules by job name."""

    rules: Mapping[str, ScheduleRule]

    def due(self, at: datetime) -> list[str]:
        """The jobs that are due exactly at *at*."""
        day = at.astimezone(IST).date()
        return [job for job, rule in self.rules.items() if at in rule.on(day)]

    def job(self, name: str, work: Callable[[], object], *, at_start: bool = False) -> Job:
        """*work* under the rule of the job *name*."""
        return Job(name, self.rules[name], work, at_start)


def standard_timetable(
    calendar: MarketCalendar,
    groups: Collection[TradingGroup],
    finalise_at: time = time(20, 0),
) -> Timetable:
    """The timetable of all recurring jobs, for a universe of the trading *groups*.

    *finalise_at* is an IST time at which the provider's history has the day.
    """
    return Timetable(
        {
            QUOTES: EverySlot(calendar, groups),
            CHAINS: EverySeconds(
                calendar, FUTURES_AND_OPTIONS, CHAIN_TICK_SECONDS, LOOKS_AFTER_CLOSE
            ),
            CANDLES: EveryMinutes(calendar, groups, 1, CANDLES_OFFSET),
            FRESHNESS: EveryMinutes(calendar, groups, 2, FRESHNESS_OFFSET),
            COVERAGE: EveryMinutes(calendar, groups, 5, COVERAGE_OFFSET),
            DAILY: DailyAt(calendar, groups, time(16, 0)),
            FINALISE: DailyAt(calendar, groups, finalise_at),
            WEEKLY: WeeklyAt(SUNDAY, time(10, 0)),
            CALENDAR: AroundTheClock(15, CALENDAR_OFFSET),
            UNITS: AroundTheClock(1, UNITS_OFFSET),
            READINESS: DailyAt(calendar, groups, READY_AT),
            FEED: AroundTheClock(1, FEED_OFFSET),
            FEED_CLOSE: EverySlot(calendar, groups),
        }
    )
