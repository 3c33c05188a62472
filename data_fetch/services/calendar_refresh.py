"""Updates the market calendar from the provider's holidays and timings."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from data_fetch.core.errors import CalendarUnknown
from data_fetch.core.market.calendar import (
    MarketCalendar,
    ProviderCalendar,
    Segment,
    Session,
    TradingGroup,
    TradingWindow,
)
from data_fetch.core.world import World
from data_fetch.sources.upstox.market_info import (
    Amendments,
    MarketInfo,
    calendar_file,
    fetch_amendments,
    read_calendar,
    save_calendar,
)

# Timings are requested for so many days, today included: changes are announced days ahead.
DAYS_AHEAD = 7


@dataclass(frozen=True, slots=True)
class Change:
    """A session that a refresh has changed. *before* is None if it was unknown."""

    day: date
    segment: Segment
    before: tuple[TradingWindow, ...] | None
    after: tuple[TradingWindow, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A day on which the calendar does not follow the provider."""

    session: Session
    provider_windows: tuple[TradingWindow, ...]


@dataclass(frozen=True, slots=True)
class Refresh:
    """The result of a refresh: the provider's calendar, the changed days, and the days on which
    the calendar does not follow it."""

    amendments: Amendments
    changes: tuple[Change, ...]
    conflicts: tuple[Conflict, ...]


def refresh_calendar(
    api: MarketInfo, calendar: MarketCalendar, data_folder: Path, world: World, today: date
) -> Refresh:
    """Fetch the provider's calendar, add it to the one on disk, and return the changes.

    *calendar* is the one in force. An empty response removes nothing. Raises what *api* raises
    and SetupError for a calendar on disk that cannot be read.
    """
    week = [today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD)]
    dates_without_hours = [day for day in calendar.dates_without_hours() if day.year == today.year]
    amendments = fetch_amendments(api, sorted({*week, *dates_without_hours}))
    fetched = amendments.calendar
    path = calendar_file(data_folder, world)
    save_calendar(path, read_calendar(path).with_newer(fetched))
    after = calendar.with_amendments(fetched)
    conflicts = [
        Conflict(session, fetched.days[session.day, session.group.segment].windows)
        for session in after.conflicts_with(fetched)
    ]
    return Refresh(amendments, tuple(_changes(calendar, after, fetched)), tuple(conflicts))


def _changes(
    before: MarketCalendar, after: MarketCalendar, fetched: ProviderCalendar
) -> Iterator[Change]:
    for day, segment in sorted(fetched.days):
        was, now = _windows(before, day, segment), _windows(after, day, segment)
        if now is not None and now != was:
            yield Change(day, segment, was, now, fetched.days[day, segment].note)


def _windows(
    calendar: MarketCalendar, day: date, segment: Segment
) -> tuple[TradingWindow, ...] | None:
    try:
        return calendar.session(day, TradingGroup(segment, auction=False)).windows
    except CalendarUnknown:
        return None
