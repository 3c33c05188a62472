"""Runs each job when it is due. The way in is `data_scheduler.start()`.

Two schedulers never collect into one store: the second waits and takes over when the first
stops or dies. `rehearse` drives the very same loop through a whole day on a virtual clock.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event

from data_fetch.core.clock import IST, stopwatch
from data_fetch.core.errors import DataFetchError, LostLeadership
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import CHAINS, QUOTES, next_morning
from data_fetch.core.world import World
from data_fetch.runtime.collector import Collector, collector_at
from data_fetch.runtime.context import CollectorContext, context_for
from data_fetch.runtime.logs import logs_for
from data_fetch.runtime.rehearsal import rehearsal_for
from data_fetch.runtime.reporting import SILENT, ProgressReporter
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import store_for_run
from data_fetch.runtime.world import paused
from data_fetch.scheduling.registry import JobRegistry, JobState
from data_fetch.storage.candles.coverage import candle_holdings
from data_fetch.storage.chains.snapshots import chain_holdings

log = logging.getLogger("data_fetch.data_scheduler")


# A collector that runs for months must not keep every failure.
KEPT_FAILURES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How the scheduler stands at this moment."""

    running: bool
    world: str | None = None
    store: str | None = None
    degraded: str | None = None
    last_recorded_slot: datetime | None = None
    jobs: tuple[JobState, ...] = ()


class DataScheduler:
    """Goes round the jobs until told to stop. Inert until `start()`."""

    def __init__(self) -> None:
        self._stop = Event()
        self._asked_to_stop = False
        self._until: datetime | None = None
        self._degraded: str | None = None
        self._collector: Collector | None = None
        self._registry: JobRegistry | None = None
        self.failures: list[str] = []

    def start(self, *, minutes: int | None = None, reporter: ProgressReporter = SILENT) -> None:
        """Collect until `stop()`, or for so many minutes of the market once ready. Blocks.

        Waits while another scheduler collects into the same store, and again when the store
        is lost. Raises SetupError and OutsideError for what only a person, or time, can mend.
        """
        settings = process_settings()
        chosen = store_for_run(settings, reporter.message)
        self._until = None
        running_since: datetime | None = None
        while not self._asked_to_stop:
            self._stop.clear()
            with context_for(settings, chosen.store, self._stop, reporter) as context:
                if context is None:
                    break
                running_since = running_since or context.running_since
                self._degraded = chosen.degraded
                with logs_for(settings):
                    self._collect(replace(context, running_since=running_since), minutes, reporter)
            if not self._stop.is_set():
                break
            if not self._asked_to_stop:
                reporter.message(
                    f"The lock on {chosen.store.name} is lost: another scheduler has it, or "
                    "the database went away. Waiting for it."
                )
        self._asked_to_stop = False
        self._stop.clear()

    def stop(self) -> None:
        """Finish the slot in hand and the requests of backfills that are under way, then let
        `start()` return."""
        self._asked_to_stop = True
        self._stop.set()

    def _collect(
        self, context: CollectorContext, minutes: int | None, reporter: ProgressReporter
    ) -> None:
        """Collect at *context*; each morning with listings and calendar as they are then."""
        with paused(context.provider.clock):
            collector = collector_at(context, reporter)
            for line in introduction(collector, context.provider.clock.now()):
                reporter.message(line)
            collector.chain_poller.follow()
        if minutes and self._until is None:
            # Not from the start of the process: a slow one would have fewer slots.
            self._until = context.provider.clock.now() + timedelta(minutes=minutes)
        until = self._until
        while True:
            morning = next_morning(context.provider.clock.now())
            self.run(collector, min(until, morning) if until else morning)
            if self._stop.is_set() or (until and context.provider.clock.now() >= until):
                return
            collector = self._renewed(collector, reporter)

    def _renewed(self, collector: Collector, reporter: ProgressReporter) -> Collector:
        """The collector of a new morning; yesterday's when there cannot be one."""
        try:
            with paused(collector.provider.clock):
                return collector_at(collector.context, reporter)
        except DataFetchError as problem:
            reporter.message(f"Warning: {problem} Going on with yesterday's universe.")
            log.error("not_renewed", extra={"problem": str(problem)})
            return collector

    def get_status(self) -> Status:
        """How the scheduler stands, and each of its jobs."""
        collector, registry = self._collector, self._registry
        if collector is None or registry is None:
            return Status(running=False)
        return Status(
            running=True,
            world=str(collector.provider.world),
            store=collector.store.name,
            degraded=self._degraded,
            last_recorded_slot=collector.service.last_recorded_slot,
            jobs=tuple(registry.states()),
        )

    def run(self, collector: Collector, until: datetime) -> None:
        """The loop itself: set due jobs to work, wait for the next instant, again."""
        clock = collector.provider.clock
        registry = JobRegistry(clock, self._job_failed)
        self._collector, self._registry = collector, registry
        hold = clock.hold()
        log.info("started", extra={"store": collector.store.name, "until": until.isoformat()})
        try:
            for name, work in collector.jobs.items():
                registry.add(name, work, collector.timetable.next_after(name))
            # Slots that passed while nobody was running are accounted for at once.
            for name in collector.jobs.keys() & {QUOTES}:
                registry.call(name)
            while not self._wait(clock.wait, registry.next_run, until):
                if not collector.context.leads():
                    log.error("lost_leadership")
                    self._stop.set()
                    break
                registry.run_pending()
        finally:
            registry.close()
            collector.close()
            hold.release()
            self._collector = self._registry = None
            log.info("stopped")

    def _wait(
        self,
        wait: Callable[[datetime, Event], bool],
        next_run: datetime | None,
        until: datetime,
    ) -> bool:
        """Whether it is over: stopped, or nothing more is due by *until*."""
        if next_run is None or next_run > until:
            wait(until, self._stop)
            return True
        return wait(next_run, self._stop)

    def _job_failed(self, job: str, problem: Exception) -> None:
        self.failures.append(f"{job}: {problem}")
        del self.failures[:-KEPT_FAILURES]
        if isinstance(problem, LostLeadership):
            self._stop.set()


data_scheduler = DataScheduler()


def introduction(collector: Collector, now: datetime) -> list[str]:
    """What somebody who starts a collector wants to know first."""
    provider, universe = collector.provider, collector.universe
    # NSE's site tells chains only.
    collected = QUOTES if QUOTES in collector.jobs else CHAINS
    first = collector.timetable.next_after(collected)(now)
    prices = "invented prices" if provider.world is World.PAPER else "real prices"
    resolved = f"{len(universe.members)} of {universe.listed} symbols"
    due = f"{first.astimezone(IST):%a %d %b %Y %H:%M:%S} IST" if first else "not known"
    return [
        f"World     {provider.world} ({prices} from {provider.base_url})",
        f"Store     {collector.store.name}",
        f"Universe  {resolved} resolved through the instrument master",
        f"Clock     {now.astimezone(IST):%a %d %b %Y %H:%M:%S} IST; first {collected} due {due}",
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a rehearsed day came to.

    *candles* of the day are held; *missed_minutes* of it are ours to fetch still. Chains were
    looked at in *chain_polls*, of which *chain_snapshots* told something new.
    """

    day: date
    slots_due: int
    slots_collected: int
    slots_missed: int
    rows: int
    requests: int
    errors: int
    seconds: float
    peak_memory_mb: int
    candles: int
    missed_minutes: int
    chain_polls: int
    chain_snapshots: int
    chain_legs: int
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tally:
    """Counts what the slots of a day come to, and tells how far it has come."""

    due: int
    advance: Callable[[int, int], None]
    collected: int = 0
    missed: int = 0
    rows: int = 0
    remarks: list[str] = field(default_factory=list)

    def message(self, text: str) -> None:
        self.remarks.append(text)

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        self.rows += run.stored
        if run.job != QUOTES:
            return
        if run.outcome in {Outcome.MISSED, Outcome.FAILED}:
            self.missed += 1
            self.remarks.append(f"slot {run.due_slot}: {run.outcome}: {run.error}")
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
    with rehearsal_for(settings, day, tally) as (collector, until):
        tally.due = collector.service.slots_on(day)
        scheduler = DataScheduler()
        scheduler.run(collector, until)
        requests = collector.provider.api.requests_sent
        candles = candle_holdings(collector.store, day).candles
        missed_minutes = collector.backfill_jobs.missed_minutes(day)
        chains = chain_holdings(collector.store)
        polls = collector.chain_poller.polls
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
        candles=candles,
        missed_minutes=missed_minutes,
        chain_polls=polls,
        chain_snapshots=chains.snapshots,
        chain_legs=chains.legs,
        remarks=(*tally.remarks, *scheduler.failures),
    )


def peak_memory_mb() -> int:
    """The most memory this process has held, in MiB."""
    try:
        # Not `getrusage`, where there is this: it begins with what our parent process held.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        told = dict(line.split(":", 1) for line in lines)
        return round(int(told["VmHWM"].split()[0]) / 1024)
    except (OSError, KeyError):
        return round(_peak_bytes() / 1024**2)


def _peak_bytes() -> int:
    # Each system has one of these modules and lacks the other.
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
