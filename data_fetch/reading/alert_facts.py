"""What the rules of alerts look at, from the store and the machine; nothing from a collector's
memory, so that one that has ended is noticed."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from datetime import date, datetime, time, timedelta
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from sqlalchemy import func, select

from data_fetch.alerts.facts import (
    AlertFacts,
    BackfillFacts,
    CalendarFacts,
    ChainSourceFacts,
    DataClassFacts,
    DeadUnits,
    DiskFacts,
    FailingJob,
    FeedFacts,
    MarketFacts,
    MissedSlot,
    ReadinessFacts,
    StandInFacts,
    TokenFacts,
)
from data_fetch.alerts.rules import DRIFT_WINDOW
from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.errors import DataFetchError, StoreFailure
from data_fetch.core.freshness import STALE
from data_fetch.core.market.calendar import MarketCalendar, TradingGroup
from data_fetch.core.provider_tokens import TokenKind
from data_fetch.core.runs import MOST_NAMED, Outcome
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import (
    ALERTS,
    ARCHIVE_DAYS,
    ARCHIVE_LOAD,
    ARCHIVE_MINUTES,
    CHAINS,
)
from data_fetch.core.work import UnitKind
from data_fetch.core.world import World
from data_fetch.reading.calendar_status import calendar_status
from data_fetch.reading.collector_facts import session_before, trades_on
from data_fetch.reading.coverage_days import DayRange, coverage_grid
from data_fetch.reading.feed_status import feed_summary
from data_fetch.reading.freshness_classes import CHAINS as CHAIN_CLASS
from data_fetch.reading.freshness_classes import ClassFreshness, freshness_by_class
from data_fetch.reading.market_day import SlotState, market_day, trading_groups
from data_fetch.reading.readiness import recorded_readiness
from data_fetch.reading.records import clock_of, store_of
from data_fetch.runtime.archive import archive_folder_for
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.limits import first_chain_source
from data_fetch.runtime.provider_token import token_of
from data_fetch.runtime.stores import store_for, waiting_rows
from data_fetch.storage.alerts import FREE_BYTES
from data_fetch.storage.database.leadership import is_led
from data_fetch.storage.runs import sync_runs
from data_fetch.storage.work_units import WorkUnits

T = TypeVar("T")
DAY = timedelta(days=1)
# The slots whose quotes are looked at: a fault of some minutes ago is over when they are collected.
RECENT_SLOTS = 5
RECORDED = frozenset({SlotState.COLLECTED, SlotState.INCOMPLETE, SlotState.MISSED})
# The final check asks for every symbol; with a slow provider it takes a while.
TIME_TO_FINALISE = timedelta(hours=1)
DATES_AHEAD = timedelta(days=7)
GROWTH_OF, SHORTEST_GROWTH = timedelta(days=7), timedelta(days=1)
# Rows of an hour each, and those of messages among them.
MOST_SAMPLES = 50
ARCHIVE_JOBS = (ARCHIVE_MINUTES, ARCHIVE_LOAD, ARCHIVE_DAYS)


def alert_facts(settings: Settings) -> AlertFacts:
    """The facts at the present instant. What cannot be found out is None, with its reason, and
    never raised: the other rules need the rest."""
    parts = _Parts(settings)
    return AlertFacts(
        at=parts.at,
        market=parts.known("market", market_facts),
        freshness=parts.known("freshness", freshness_facts),
        token=parts.known("token", token_facts),
        chain_source=parts.known("chain source", lambda of: chain_source_facts(of, parts.at)),
        backfill=parts.known("coverage", lambda of: backfill_facts(of, parts.at)),
        disks=parts.known("disks", lambda of: disk_facts(of, parts.at)),
        calendar=parts.known("calendar", lambda of: calendar_facts(of, parts.at)),
        stand_in=parts.known("embedded store", stand_in_facts),
        dead_units=parts.known("work units", dead_unit_facts),
        readiness=parts.known("readiness", readiness_facts),
        feed=parts.known("feed", feed_facts),
        archive=parts.known("archive", lambda of: archive_facts(of, parts.at)),
        store_problem=parts.store_problem,
        unknown=parts.unknown,
    )


class _Parts:
    """Finds out one part after the other, and why one is not known."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.unknown: dict[str, str] = {}
        self.store_problem: str | None = None
        now = self.known("clock", lambda of: clock_of(of).now())
        self.at = SystemClock().now() if now is None else now
        self.known("store", _try_store)

    def known(self, name: str, find: Callable[[Settings], T]) -> T | None:
        try:
            return find(self._settings)
        except StoreFailure as problem:
            self.store_problem = problem.message
        except DataFetchError as problem:
            self.unknown[name] = problem.message
        except OSError as problem:
            # A folder that is gone or closed, for example: the system's message names it.
            self.unknown[name] = str(problem)
        return None


def _try_store(settings: Settings) -> None:
    store_for(settings).close()


def market_facts(settings: Settings) -> MarketFacts:
    """The slots of the day, and whether a collector runs."""
    day = market_day(settings)
    over = [each for each in day.slots if each.state is not SlotState.PENDING]
    unrecorded = list(takewhile(lambda each: each.state not in RECORDED, reversed(over)))
    missed = [each for each in over[-RECENT_SLOTS:] if each.state is SlotState.MISSED]
    with store_of(settings) as store:
        collects = is_led(store)
    return MarketFacts(
        is_open=day.is_open,
        next_open=day.next_open,
        missed=[MissedSlot(each.slot, each.reason) for each in missed],
        unrecorded=[each.slot for each in reversed(unrecorded)],
        collects=collects,
    )


def freshness_facts(settings: Settings) -> list[DataClassFacts]:
    """The classes of data with the symbols that are late."""
    return [
        DataClassFacts(
            name=each.name,
            symbols=sum(each.counts.values()),
            late=_late(each),
            newest=each.newest,
        )
        for each in freshness_by_class(settings)
    ]


def _late(data: ClassFreshness) -> list[str]:
    """The symbols without recent data. A chain that stands still is late, a quote is not."""
    if data.name == CHAIN_CLASS or any(data.counts[state] for state in STALE):
        return list(data.notable)
    return []


def token_facts(settings: Settings) -> TokenFacts:
    """The end of the access token; nothing is known of it in the paper world."""
    if settings.world is World.PAPER:
        return TokenFacts(expires_at=None, lasts_long=False)
    token = token_of(settings).in_use
    return TokenFacts(expires_at=token.expires_at, lasts_long=token.kind is TokenKind.ANALYTICS)


def chain_source_facts(settings: Settings, now: datetime) -> ChainSourceFacts:
    """The polls of the last minutes."""
    runs = sync_runs.c
    query = (
        select(runs.rejected, runs.details)
        .where(runs.job == CHAINS, runs.due_slot > now - DRIFT_WINDOW, runs.due_slot <= now)
        .order_by(runs.due_slot)
    )
    with store_of(settings) as store, store.reading() as connection:
        rows = connection.execute(query).all()
    failures: Counter[str] = Counter()
    for row in rows:
        failures.update(row.details.get("fault_counts", {}))
    remarks = [remark for row in rows for remark in row.details.get("remarks", [])]
    return ChainSourceFacts(
        remarks=list(dict.fromkeys(remarks))[:MOST_NAMED],
        rejected=sum(row.rejected for row in rows),
        answering=rows[-1].details.get("answering") if rows else None,
        first=first_chain_source(settings).value,
        failures=failures,
    )


def backfill_facts(settings: Settings, now: datetime) -> BackfillFacts | None:
    """The coverage of the last day whose final check is over; None for a store that is younger."""
    calendar = calendar_for(settings)
    with store_of(settings) as store:
        groups = trading_groups(settings, store, now)
        with store.reading() as connection:
            began = connection.scalar(select(func.min(sync_runs.c.started_at)))
    day = _finalised(calendar, groups, settings.finalise_at, now)
    if day is None or began is None or day < began.astimezone(IST).date():
        return None
    totals = coverage_grid(settings, DayRange(first=day, last=day)).totals
    return BackfillFacts(
        day=day,
        expected=totals.expected,
        missed=totals.missed,
        unknown=totals.unknown_instrument,
        pending=totals.pending,
    )


def _finalised(
    calendar: MarketCalendar, groups: Collection[TradingGroup], finalise_at: time, now: datetime
) -> date | None:
    """The last trading day whose final check has had its time."""
    today = now.astimezone(IST).date()
    over = datetime.combine(today, finalise_at, IST) + TIME_TO_FINALISE <= now
    if over and trades_on(calendar, groups, today):
        return today
    return session_before(calendar, groups, today)


def disk_facts(settings: Settings, now: datetime) -> list[DiskFacts]:
    """The space of the data and of the archive, once where they share a disk."""
    folders = {settings.data_folder, archive_folder_for(settings).root}
    by_disk = {_there(folder).stat().st_dev: _there(folder) for folder in sorted(folders)}
    return [_disk(settings, folder, now) for folder in by_disk.values()]


def _there(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _disk(settings: Settings, folder: Path, now: datetime) -> DiskFacts:
    usage = shutil.disk_usage(folder)
    return DiskFacts(
        folder=str(folder),
        free=usage.free,
        total=usage.total,
        days_left=_days_left(settings, str(folder), usage.free, now),
    )


def _days_left(settings: Settings, folder: str, free: int, now: datetime) -> float | None:
    """How long *free* bytes last if they become fewer as they did since the oldest sample of the
    last days."""
    runs = sync_runs.c
    query = (
        select(runs.started_at, runs.details)
        .where(runs.job == ALERTS, runs.started_at.between(now - GROWTH_OF, now - SHORTEST_GROWTH))
        .order_by(runs.started_at)
        .limit(MOST_SAMPLES)
    )
    with store_of(settings) as store, store.reading() as connection:
        rows = connection.execute(query).all()
    for at, details in rows:
        before = details.get(FREE_BYTES, {}).get(folder)
        if before is not None:
            used = before - free
            return free / used * ((now - at) / DAY) if used > 0 else None
    return None


def calendar_facts(settings: Settings, now: datetime) -> CalendarFacts:
    """Whether the calendar can be relied on, in the next days too."""
    today = now.astimezone(IST).date()
    lacking = calendar_for(settings).dates_without_hours()
    return CalendarFacts(
        warning=calendar_status(settings).warning,
        without_hours=[day for day in lacking if today <= day <= today + DATES_AHEAD],
    )


def stand_in_facts(settings: Settings) -> StandInFacts:
    """What waits in the embedded store."""
    waiting = waiting_rows(settings)
    return StandInFacts() if waiting is None else StandInFacts(rows=waiting.rows, why=waiting.why)


def readiness_facts(settings: Settings) -> ReadinessFacts:
    """Today's check before the open."""
    run = recorded_readiness(settings)
    if run is None or run.outcome is not Outcome.FAILED:
        return ReadinessFacts()
    return ReadinessFacts(no_go=run.error or "without a reason")


def feed_facts(settings: Settings) -> FeedFacts:
    """The feed as its collector last reported it; nothing is expected of one that is not
    enabled."""
    found = feed_summary(settings) if settings.has_feed else None
    if found is None:
        return FeedFacts()
    lasting = next((each for each in found.disconnects if each.ended is None), None)
    return FeedFacts(
        runs=found.runs,
        expected=found.report.expected,
        away_since=None if lasting is None else lasting.began,
        cause=found.cause,
    )


def dead_unit_facts(settings: Settings) -> list[DeadUnits]:
    """The units of work that failed for good, by kind."""
    with store_of(settings) as store:
        dead = WorkUnits(store).dead(None)
    reasons: dict[UnitKind, list[str]] = defaultdict(list)
    for unit in dead:
        reasons[unit.kind].append(unit.reason.value if unit.reason else "unknown")
    return [
        DeadUnits(kind=kind.value, units=len(found), reasons=list(dict.fromkeys(found)))
        for kind, found in reasons.items()
    ]


def archive_facts(settings: Settings, now: datetime) -> list[FailingJob]:
    """The jobs of the archive whose newest run of the last day has failed."""
    runs = sync_runs.c
    newest = (
        select(runs.job, func.max(runs.started_at).label("started_at"))
        .where(runs.job.in_(ARCHIVE_JOBS), runs.started_at > now - DAY)
        .group_by(runs.job)
        .subquery()
    )
    query = (
        select(runs.job, runs.finished_at, runs.error)
        .join(newest, (runs.job == newest.c.job) & (runs.started_at == newest.c.started_at))
        .where(runs.outcome == Outcome.FAILED.value)
        .order_by(runs.job)
    )
    with store_of(settings) as store, store.reading() as connection:
        return [
            FailingJob(job=row.job, at=row.finished_at, error=row.error or "without a reason")
            for row in connection.execute(query)
        ]
