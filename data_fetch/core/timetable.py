"""What is due, as a pure function of an instant. Nothing here waits or remembers.

A rule knows the instants at which something is due; the timetable joins the rules under the
names of the jobs. Whether quotes are due is a question about the slot, not about now: slot
15:29 was in session, so it is due at 15:30:00 although the market is closed by then.
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
# Not on the timetable: what people ask for.
CHAIN_IMPORT, CHAIN_REPROCESS = "chain-import", "chain-rederive"
DAILY, FINALISE, WEEKLY = "daily", "finalise", "weekly"

SUNDAY = 6
# The provider rebuilds its instrument master at about 06:00; the first session opens later.
MORNING = time(8, 30)
# A minute's bar is out some seconds after the minute; its quotes have been asked for by then.
CANDLES_OFFSET = timedelta(seconds=70)
# The minute's quotes and bars are in by then; the checks look at them.
FRESHNESS_OFFSET = timedelta(seconds=20)
COVERAGE_OFFSET = timedelta(seconds=40)
# How soon a chain that is due is noticed.
CHAIN_BEAT_SECONDS = 5
# Longer than any stretch without trading that the exchange has had.
LONGEST_BREAK = timedelta(days=15)


class Rule(Protocol):
    """The instants at which something is due."""

    def on(self, day: date) -> Sequence[datetime]:
        """Every due instant of one IST day, in UTC, oldest first."""


@dataclass(frozen=True, slots=True)
class EverySlot:
    """When a slot of any of the venues is over: one minute after its name."""

    calendar: MarketCalendar
    groups: Collection[TradingGroup]

    def on(self, day: date) -> Sequence[datetime]:
        sessions = [self.calendar.session(day, group) for group in self.groups]
        slots = {slot for session in sessions for slot in session.slots()}
        return [slot + MINUTE for slot in sorted(slots)]


@dataclass(frozen=True, slots=True)
class EveryMinutes:
    """Every so many minutes of the hour, while any of the venues trades."""

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
    """Every so many seconds from the opening of each window of a venue to its close."""

    calendar: MarketCalendar
    group: TradingGroup
    seconds: int

    def on(self, day: date) -> Sequence[datetime]:
        return _beats(self.calendar.session(day, self.group), self.seconds)


@lru_cache(maxsize=8)
def _beats(session: Session, seconds: int) -> tuple[datetime, ...]:
    """Thousands, asked for thousands of times a day."""
    beat = timedelta(seconds=seconds)
    return tuple(
        instant_of(first) + count * beat
        for first, end in session.spans
        for count in range((end - first) * MINUTE // beat + 1)
    )


@dataclass(frozen=True, slots=True)
class DailyAt:
    """At one IST time of every day on which any of the venues trades."""

    calendar: MarketCalendar
    groups: Collection[TradingGroup]
    at: time

    def on(self, day: date) -> Sequence[datetime]:
        trades = any(self.calendar.session(day, group).open for group in self.groups)
        return [_instant(day, self.at)] if trades else []


@dataclass(frozen=True, slots=True)
class WeeklyAt:
    """At one IST time of one weekday, whether the market trades or not."""

    weekday: int
    at: time

    def on(self, day: date) -> Sequence[datetime]:
        return [_instant(day, self.at)] if day.weekday() == self.weekday else []


def _instant(day: date, at: time) -> datetime:
    return datetime.combine(day, at, IST).astimezone(UTC)


def next_due(rule: Rule, after: datetime) -> datetime | None:
    """The first instant later than *after* at which the rule is due.

    None when there is none within `LONGEST_BREAK`. Raises CalendarUnknown where the calendar
    ends before an answer was found.
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
    """When listings, calendar and venues are looked at anew: 08:30 IST of every day."""
    today = _instant(after.astimezone(IST).date(), MORNING)
    return today if today > after else today + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Timetable:
    """The rules by job name."""

    rules: Mapping[str, Rule]

    def due(self, at: datetime) -> list[str]:
        """The jobs that are due exactly at *at*."""
        day = at.astimezone(IST).date()
        return [job for job, rule in self.rules.items() if at in rule.on(day)]

    def next_after(self, job: str) -> Callable[[datetime], datetime | None]:
        """When the job is due next, as a function of an instant."""
        rule = self.rules[job]
        return lambda after: next_due(rule, after)


def standard_timetable(
    calendar: MarketCalendar,
    groups: Collection[TradingGroup],
    finalise_at: time = time(20, 0),
) -> Timetable:
    """What the platform does and when, for a universe that trades at *groups*.

    *finalise_at* is an IST time, late enough for the provider's history to have the day.
    """
    return Timetable(
        {
            QUOTES: EverySlot(calendar, groups),
            CHAINS: EverySeconds(calendar, FUTURES_AND_OPTIONS, CHAIN_BEAT_SECONDS),
            CANDLES: EveryMinutes(calendar, groups, 1, CANDLES_OFFSET),
            FRESHNESS: EveryMinutes(calendar, groups, 2, FRESHNESS_OFFSET),
            COVERAGE: EveryMinutes(calendar, groups, 5, COVERAGE_OFFSET),
            DAILY: DailyAt(calendar, groups, time(16, 0)),
            FINALISE: DailyAt(calendar, groups, finalise_at),
            WEEKLY: WeeklyAt(SUNDAY, time(10, 0)),
        }
    )
