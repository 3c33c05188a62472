"""Runs each job when it is due. The way in is `data_scheduler.start()`.

Two schedulers never collect into one store: the second waits and takes over when the first
stops or dies. `rehearse` drives the very same loop through a whole day on a virtual clock.
"""

import logging
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from threading import Event

from data_fetch import runtime
from data_fetch.core.clock import IST, stopwatch
from data_fetch.core.errors import LostLeadership
from data_fetch.core.records import Outcome, StoredQuote, SyncRun, World
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import QUOTES
from data_fetch.job_registry import JobRegistry, JobState
from data_fetch.runtime import Collector, Screen

log = logging.getLogger(__name__)


NEVER = datetime.max.replace(tzinfo=UTC)


class _Nobody:
    def told(self, text: str) -> None:
        log.info("told", extra={"text": text})

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        return None


NOBODY = _Nobody()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How the scheduler stands at this moment."""

    running: bool
    world: str | None = None
    store: str | None = None
    degraded: str | None = None
    slots_accounted_to: datetime | None = None
    jobs: tuple[JobState, ...] = ()


class DataScheduler:
    """Goes round the jobs until told to stop. Inert until `start()`."""

    def __init__(self) -> None:
        self._stop = Event()
        self._asked_to_stop = False
        self._collector: Collector | None = None
        self._registry: JobRegistry | None = None
        self._hooks: dict[str, Callable[[], object]] = {}
        self.failures: list[str] = []

    def attach(self, job: str, work: Callable[[], object]) -> None:
        """Run *work* whenever the timetable names *job* (`coverage`, `daily`, `weekly`)."""
        self._hooks[job] = work

    def start(self, *, minutes: int | None = None, screen: Screen = NOBODY) -> None:
        """Collect until `stop()`, or for so many minutes of the market. Blocks.

        Waits while another scheduler collects into the same store. Raises SetupError and
        OutsideError for what only a person, or time, can mend.
        """
        settings = runtime.settings()
        while self._lead(settings, minutes, screen):
            screen.told("Another scheduler has taken this store over; waiting for it to stop.")
            self._stop.clear()
        self._asked_to_stop = False
        self._stop.clear()

    def stop(self) -> None:
        """Finish the slot in hand, then let `start()` return."""
        self._asked_to_stop = True
        self._stop.set()

    def _lead(self, settings: Settings, minutes: int | None, screen: Screen) -> bool:
        """Collect for as long as the store is ours; say whether it was taken from us."""
        with runtime.collector_for(settings, self._stop, screen) as collector:
            if collector is None:
                return False
            now = collector.market.clock.now()
            for line in introduction(collector, now):
                screen.told(line)
            self.run(collector, now + timedelta(minutes=minutes) if minutes else None)
        return self._stop.is_set() and not self._asked_to_stop

    def get_status(self) -> Status:
        """How the scheduler stands, and each of its jobs."""
        collector, registry = self._collector, self._registry
        if collector is None or registry is None:
            return Status(running=False)
        return Status(
            running=True,
            world=str(collector.market.world),
            store=collector.store.name,
            degraded=collector.degraded,
            slots_accounted_to=collector.service.accounted_to,
            jobs=tuple(registry.states()),
        )

    def run(self, collector: Collector, until: datetime | None) -> None:
        """The loop itself: set due jobs to work, wait for the next instant, again."""
        clock = collector.market.clock
        registry = JobRegistry(clock, self._job_failed)
        self._collector, self._registry = collector, registry
        hold = clock.hold()
        try:
            for name, work in {**collector.jobs, **self._hooks}.items():
                registry.add(name, work, collector.timetable.next_after(name))
            # Slots that passed while nobody was running are accounted for at once.
            registry.call(QUOTES)
            while not self._wait(clock.wait, registry.next_run, until):
                if not collector.leads():
                    log.error("lost_leadership")
                    self._stop.set()
                    break
                registry.run_pending()
        finally:
            registry.close()
            hold.release()
            self._collector = self._registry = None

    def _wait(
        self,
        wait: Callable[[datetime, Event], bool],
        next_run: datetime | None,
        until: datetime | None,
    ) -> bool:
        """Whether it is over: stopped, or nothing is due before *until*."""
        if until is not None and (next_run is None or next_run > until):
            wait(until, self._stop)
            return True
        return wait(next_run or NEVER, self._stop)

    def _job_failed(self, job: str, problem: Exception) -> None:
        self.failures.append(f"{job}: {problem}")
        if isinstance(problem, LostLeadership):
            self._stop.set()


data_scheduler = DataScheduler()


def introduction(collector: Collector, now: datetime) -> list[str]:
    """What somebody who starts a collector wants to know first."""
    market, universe = collector.market, collector.universe
    first = collector.timetable.next_after(QUOTES)(now)
    prices = "invented prices" if market.world is World.PAPER else "real prices"
    resolved = f"{len(universe.members)} of {universe.listed} symbols"
    due = f"{first.astimezone(IST):%a %d %b %Y %H:%M:%S} IST" if first else "not known"
    return [
        f"World     {market.world} ({prices} from {market.base_url})",
        f"Store     {collector.store.name}",
        f"Universe  {resolved} resolved through the instrument master",
        f"Clock     {now.astimezone(IST):%a %d %b %Y %H:%M:%S} IST; first quotes due {due}",
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a rehearsed day came to."""

    day: date
    slots_due: int
    slots_collected: int
    slots_missed: int
    rows: int
    requests: int
    errors: int
    seconds: float
    peak_memory_mb: int
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tally:
    """Counts what the slots of a day come to, and tells how far it has come."""

    due: int
    advance: Callable[[int, int], None]
    collected: int = 0
    missed: int = 0
    rows: int = 0
    problems: list[str] = field(default_factory=list)

    def told(self, text: str) -> None:
        self.problems.append(text)

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        self.rows += run.stored
        if run.job != QUOTES:
            return
        if run.outcome in {Outcome.MISSED, Outcome.FAILED}:
            self.missed += 1
            self.problems.append(f"slot {run.due_slot}: {run.outcome}: {run.error}")
        else:
            self.collected += 1
        self.advance(self.collected + self.missed, self.due)


def rehearse(settings: Settings, day: date, advance: Callable[[int, int], None]) -> Rehearsal:
    """Drive the scheduler and every job of it through *day* on the paper exchange.

    *advance* is told how many of the due slots are accounted for. Raises SetupError when the
    market is closed that day, or the store is not empty and not paper.
    """
    began = stopwatch()
    tally = _Tally(due=0, advance=advance)
    with runtime.rehearsal_for(settings, day, tally) as (collector, until):
        tally.due = collector.service.slots_on(day)
        scheduler = DataScheduler()
        scheduler.run(collector, until)
        requests = collector.market.api.requests_sent
    return Rehearsal(
        day=day,
        slots_due=tally.due,
        slots_collected=tally.collected,
        slots_missed=tally.due - tally.collected,
        rows=tally.rows,
        requests=requests,
        errors=len(scheduler.failures),
        seconds=stopwatch() - began,
        peak_memory_mb=peak_memory_mb(),
        problems=(*tally.problems, *scheduler.failures),
    )


def peak_memory_mb() -> int:
    """The most memory this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    per_mib = 1024 * 1024 if sys.platform == "darwin" else 1024
    return round(peak / per_mib)
