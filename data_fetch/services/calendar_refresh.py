"""Keeps the market calendar up to date: holidays and timings from providers, each morning.

When a refresh changes the hours of a day, the sessions, the coverage ledger and the slots of
quotes follow: what turned out to be closed is not expected and has the reason.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from threading import Event

from data_fetch.core.clock import IST
from data_fetch.core.errors import CalendarUnknown, DataFetchError, OutsideError, RequestRefused
from data_fetch.core.market.calendar import (
    MarketCalendar,
    Segment,
    Session,
    TradingGroup,
    TradingWindow,
)
from data_fetch.core.market.provider import ProviderCalendar, PublishedCalendar
from data_fetch.core.ports import CalendarSource, Clock
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import CALENDAR, Job, Timetable
from data_fetch.core.world import World
from data_fetch.services.recurring import RecurringService
from data_fetch.sources.calendar_files import calendar_file, read_calendar, save_calendar
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.quotes import QuoteStore

log = logging.getLogger(__name__)

# Timings are requested for so many days, today included: changes are announced days ahead.
DAYS_AHEAD = 7
# Before the listings of the morning are read, and after the last announcements of a day.
REFRESHED_AT = (time(8, 15), time(20, 30))
# What is stored of the last days is compared with the calendar at every refresh.
DAYS_BACK = 7
COMPARED_AHEAD = 366
REPORTED_CHANGES = 5


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """The result of a refresh: what was published, the calendar with it, the changed days, and
    the days on which the calendar does not follow it. *problem* is why a source that comes
    before was not used."""

    published: PublishedCalendar
    calendar: MarketCalendar
    changes: tuple[Change, ...]
    conflicts: tuple[Conflict, ...]
    problem: DataFetchError | None


def refresh_calendar(
    sources: Sequence[CalendarSource],
    calendar: MarketCalendar,
    data_folder: Path,
    world: World,
    now: datetime,
    stop: Event,
) -> Refresh:
    """Fetch a calendar, add it to the one on disk, and return the changes.

    *calendar* is the one in force. The first of *sources* that responds is used; an empty
    response removes nothing. Raises the problem of the first source when none responds, and
    SetupError for a calendar on disk that cannot be read.
    """
    today = now.astimezone(IST).date()
    week = [today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD)]
    dates_without_hours = [day for day in calendar.dates_without_hours() if day.year == today.year]
    days = sorted({*week, *dates_without_hours})
    published, problem = _first_published(sources, days, stop)
    path = calendar_file(data_folder, world)
    provider = read_calendar(path).with_newer(published.calendar)
    save_calendar(path, provider)
    after = calendar.with_provider(provider)
    return Refresh(
        published=published,
        calendar=after,
        changes=tuple(_changes(calendar, after, today)),
        conflicts=tuple(_conflicts(after, published.calendar)),
        problem=problem,
    )


class CalendarRefresh(RecurringService):
    """Refreshes *calendar* at the start, each morning and each evening.

    A failed refresh is repeated every quarter of an hour and reported once. *report* receives
    lines for people. `changed` is set when the hours of today or tomorrow are not those of
    *calendar* any more: the collector has to be planned anew.
    """

    def __init__(
        self,
        *,
        sources: Callable[[], Sequence[CalendarSource]],
        calendar: MarketCalendar,
        data_folder: Path,
        world: World,
        clock: Clock,
        running_since: datetime,
        candles: CandleRepository,
        quotes: QuoteStore,
        report: Callable[[str], None],
        stop: Event,
    ) -> None:
        self._sources = sources
        self._calendar = calendar
        self._data_folder = data_folder
        self._world = world
        self._clock = clock
        self._running_since = running_since
        self._candles = candles
        self._quotes = quotes
        self._report = report
        self._stop = stop
        self._failing = False
        self.changed = Event()

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        return [timetable.job(CALENDAR, self.refresh_when_due, at_start=True)]

    def refresh_when_due(self) -> None:
        """Refresh unless that was done since the last instant at which it was due."""
        now, refreshed = self._clock.now(), self._calendar.refreshed_at
        due = max(self._running_since, last_due(now))
        # A clock that was set back makes it due as well.
        if refreshed is None or not due <= refreshed <= now:
            self._refresh(now)

    def _refresh(self, now: datetime) -> None:
        try:
            found = refresh_calendar(
                self._sources(), self._calendar, self._data_folder, self._world, now, self._stop
            )
        except (OutsideError, RequestRefused) as problem:
            log.warning("calendar_not_refreshed", extra={"problem": str(problem)})
            if not self._failing:
                self._report(
                    f"Warning: the calendar was not refreshed: {problem} Sessions stay as they "
                    "are known; the refresh is repeated every 15 minutes."
                )
            self._failing = True
            return
        if self._failing:
            self._report("The calendar is refreshed again.")
        self._failing = False
        self._calendar = found.calendar
        self._report_result(found)
        self._follow(found, now)

    def _report_result(self, found: Refresh) -> None:
        if found.problem is not None:
            self._report(
                f"Warning: the calendar is that of {found.published.source}: {found.problem}"
            )
        for reason in found.published.rejected:
            log.warning("calendar_row_rejected", extra={"reason": reason})
        facts = {"source": found.published.source, "changes": len(found.changes)}
        log.info("calendar_refreshed", extra=facts)
        lines = change_lines(found.changes)
        for line in lines[:REPORTED_CHANGES]:
            self._report(f"Calendar: {line}")
        if len(lines) > REPORTED_CHANGES:
            more = len(lines) - REPORTED_CHANGES
            self._report(f"Calendar: {more} more changes: data-fetch calendar show DATE")

    def _follow(self, found: Refresh, now: datetime) -> None:
        """Have the plan, the ledger and the slots follow the calendar."""
        today = now.astimezone(IST).date()
        changed = {change.day for change in found.changes}
        # Every morning everything is planned anew.
        if changed & {today, today + timedelta(days=1)}:
            self.changed.set()
        recent = {today - timedelta(days=back) for back in range(DAYS_BACK)}
        follow_calendar(
            found.calendar,
            [day for day in {*changed, *recent} if day <= today],
            self._candles,
            self._quotes,
            now,
        )


def last_due(now: datetime) -> datetime:
    """The last instant, not after *now*, at which a refresh was due."""
    today = now.astimezone(IST).date()
    return max(
        due
        for day in (today - timedelta(days=1), today)
        for at in REFRESHED_AT
        if (due := datetime.combine(day, at, IST)) <= now
    )


def follow_calendar(
    calendar: MarketCalendar,
    days: Collection[date],
    candles: CandleRepository,
    quotes: QuoteStore,
    now: datetime,
) -> None:
    """Expect nothing of *days* and slots without trading, in the ledger and among the quotes."""
    begun = [day for day in days if day >= calendar.reviewed_from]
    sessions = [
        calendar.session(day, TradingGroup(segment, auction=False))
        for day in begun
        for segment in Segment
    ]
    run = SyncRun.begin(CALENDAR, now).finish(now, Outcome.COMPLETED)
    candles.close_days(sessions, run)
    for day in begun:
        note = calendar.session(day, TradingGroup(Segment.CASH, auction=False)).note
        reason = f"no trading by the calendar of {now.astimezone(IST):%Y-%m-%d %H:%M}"
        quotes.follow_calendar(
            day,
            {segment: calendar.slots_on(day, segment) for segment in Segment},
            f"{reason} ({note})" if note else reason,
        )


def change_lines(changes: Sequence[Change]) -> list[str]:
    """A line for each day and hours; segments with the same hours are together."""
    alike: dict[tuple[date, str], list[str]] = {}
    for one in changes:
        before = "unknown" if one.before is None else hours_text(one.before)
        what = f"{before} -> {hours_text(one.after)}  {one.note}".rstrip()
        alike.setdefault((one.day, what), []).append(str(one.segment))
    return [f"{day} {', '.join(segments)}: {what}" for (day, what), segments in alike.items()]


def hours_text(windows: Iterable[TradingWindow]) -> str:
    """*windows* for people."""
    return " and ".join(map(str, windows)) or "closed"


def _first_published(
    sources: Sequence[CalendarSource], days: Sequence[date], stop: Event
) -> tuple[PublishedCalendar, DataFetchError | None]:
    """The calendar of the first source that responds, and the problem of the one before."""
    first_problem: DataFetchError | None = None
    for source in sources:
        try:
            return source.published(days, stop), first_problem
        except (OutsideError, RequestRefused) as problem:
            first_problem = first_problem or problem
    assert first_problem is not None, "there is always a source"
    raise first_problem


def _changes(before: MarketCalendar, after: MarketCalendar, today: date) -> Iterator[Change]:
    """The changed sessions among the published days and those of the coming year."""
    published = {day for one in (before, after) for day, _, _ in one.provider.days()}
    coming = {today + timedelta(days=ahead) for ahead in range(COMPARED_AHEAD)}
    for day in sorted(published | coming):
        for segment in Segment:
            was, now = _session(before, day, segment), _session(after, day, segment)
            if now is not None and (was is None or now.windows != was.windows):
                yield Change(day, segment, was.windows if was else None, now.windows, now.note)


def _conflicts(calendar: MarketCalendar, published: ProviderCalendar) -> Iterator[Conflict]:
    windows = {(day, segment): hours.windows for day, segment, hours in published.days()}
    for session in calendar.conflicts_with(published):
        yield Conflict(session, windows[session.day, session.group.segment])


def _session(calendar: MarketCalendar, day: date, segment: Segment) -> Session | None:
    try:
        return calendar.session(day, TradingGroup(segment, auction=False))
    except CalendarUnknown:
        return None
