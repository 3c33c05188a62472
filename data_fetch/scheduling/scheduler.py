"""Runs each job when it is due; `data_scheduler.start()` starts it.

Two schedulers never collect into one store: the second waits and takes over when the first
stops or dies. `scheduling.rehearsal` drives the same loop through a whole day.
"""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event

from data_fetch.core.clock import END_OF_TIME, IST
from data_fetch.core.errors import DataFetchError, LostLeadership, OutsideError, WrongWorld
from data_fetch.core.ports import Clock, WorkQueue
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import QUOTES, next_morning
from data_fetch.runtime.collector import Collector, collector_at, collector_of
from data_fetch.runtime.context import CollectorContext, context_for
from data_fetch.runtime.logs import logs_for
from data_fetch.runtime.reporting import SILENT, ProgressReporter
from data_fetch.runtime.run_stores import (
    OUTAGE,
    ChosenStore,
    make_stand_in_ready,
    returning,
    stand_in_for_run,
    store_for_run,
)
from data_fetch.runtime.service_manager import (
    ALIVE,
    READY,
    STOPPING,
    notify,
    sign_interval,
    status,
)
from data_fetch.runtime.services import universe_at
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.world import paused
from data_fetch.scheduling.archive_process import ARCHIVER, SHARING_ARCHIVER, archiving
from data_fetch.scheduling.registry import JobRegistry, JobState
from data_fetch.scheduling.stream_relay import published

log = logging.getLogger("data_fetch.data_scheduler")


EARLIEST = datetime.min.replace(tzinfo=UTC)

# A collector that runs for months must not accumulate every failure.
KEPT_FAILURES = 1000

# A stop ends within the time of one slot, whatever hangs. The provider has its own limits.
CLOSE_SECONDS, LAST_STATEMENT_SECONDS = 45.0, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of the scheduler at one instant."""

    running: bool
    world: str | None = None
    store: str | None = None
    degraded: str | None = None
    last_recorded_slot: datetime | None = None
    jobs: tuple[JobState, ...] = ()


class _EitherEvent(Event):
    """Set when *first* or *second* is. A waiting thread notices the second one at its next look."""

    def __init__(self, first: Event, second: Event) -> None:
        super().__init__()
        self._first = first
        self._second = second

    def is_set(self) -> bool:
        return self._first.is_set() or self._second.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._first.wait(timeout) or self.is_set()


class DataScheduler:
    """Runs the jobs of a collector until `stop()`. Inert until `start()`."""

    def __init__(self) -> None:
        self._stop = Event()
        self._stop_requested = False
        self._until: datetime | None = None
        # Kept from one collector to the next: a clock may be set back while they change.
        self._latest = EARLIEST
        self._degraded: str | None = None
        self._running_since: datetime | None = None
        self._accounted_until: datetime | None = None
        self._queue: WorkQueue | None = None
        self._collector: Collector | None = None
        self._registry: JobRegistry | None = None
        self._ended_by: Exception | None = None
        self.failures: list[str] = []

    def start(
        self,
        *,
        minutes: int | None = None,
        reporter: ProgressReporter = SILENT,
        queue: WorkQueue | None = None,
    ) -> None:
        """Collect until `stop()`, or for *minutes* of the market once ready. Blocks.

        With a *queue* workers do what need not be done in this process.

        Waits while another scheduler collects into the same store, and again when the lead
        is lost. Goes on in another store while the configured one cannot be used. Raises
        SetupError for a fault in the configuration (WrongWorld also later, when a provider turns
        out to be of the other world), OutsideError for one of the provider or the network.
        """
        settings = process_settings()
        for line in settings.notices:
            reporter.message(line)
        chosen = store_for_run(settings, reporter.message)
        self._until, self._latest = None, EARLIEST
        self._running_since = self._accounted_until = None
        self._queue = queue
        while not self._stop_requested:
            self._stop.clear()
            try:
                self._collect_into(settings, chosen, minutes, reporter)
            except OUTAGE as problem:
                if self._stop_requested or not chosen.replaceable:
                    raise
                chosen.store.close()
                chosen = stand_in_for_run(
                    settings, problem, reporter.message, self._accounted_until
                )
                continue
            chosen = replace(chosen, accounted_until=None)
            if not self._stop.is_set():
                break
            if self._stop_requested:
                continue
            if chosen.outage:
                chosen.store.close()
                chosen = store_for_run(settings, reporter.message)
            else:
                reporter.message(
                    f"The lead of {chosen.store.name} is lost: another scheduler has it. "
                    "Waiting until it is free."
                )
        self._stop_requested = False
        self._stop.clear()

    def _collect_into(
        self,
        settings: Settings,
        chosen: ChosenStore,
        minutes: int | None,
        reporter: ProgressReporter,
    ) -> None:
        """Collect into *chosen* once it is ours, until it is lost or another one is better.

        Raises StoreFailure or SchemaDiffers when it cannot be used.
        """
        with (
            returning(settings, chosen, self._stop, reporter.message),
            context_for(settings, chosen, self._stop, reporter) as context,
        ):
            if context is None:
                return
            self._running_since = self._running_since or context.running_since
            self._degraded = chosen.outage
            # No worker sees a store that stands in for another.
            queue = None if chosen.outage else self._queue
            archiver = ARCHIVER if queue is None else SHARING_ARCHIVER
            with (
                logs_for(settings, lambda: context.provider.token.held),
                published(settings, reporter) as publishing,
                archiving(settings, reporter.message, archiver),
            ):
                self._collect(
                    replace(context, running_since=self._running_since, queue=queue),
                    minutes,
                    publishing,
                    chosen.accounted_until,
                )

    def stop(self) -> None:
        """Finish the current slot and the backfill requests in flight, then return from
        `start()`."""
        self._stop_requested = True
        self._stop.set()
        notify(STOPPING, status("Finishing the current slot"))

    def _collect(
        self,
        context: CollectorContext,
        minutes: int | None,
        reporter: ProgressReporter,
        accounted_until: datetime | None,
    ) -> None:
        """Collect at *context*; each morning with the listings and the calendar of that day.

        Slots after *accounted_until* that have no row get one; None: those after the last row.
        """
        with paused(context.provider.clock):
            collector = collector_at(context, reporter, accounted_until)
            start = collector.started()
            reporter.started(start)
            collector.prepare()
        if context.replaceable:
            make_stand_in_ready(context.settings, context.store)
        notify(
            READY,
            status(
                f"Collecting {start.members} of {start.listed} symbols into {start.store}, "
                f"{start.world} world"
            ),
        )
        if minutes and self._until is None:
            # Not from the start of the process: a slow one would have fewer slots.
            self._until = context.provider.clock.now() + timedelta(minutes=minutes)
        self.run_days(collector, self._until, reporter)

    def run_days(
        self, collector: Collector, until: datetime | None, reporter: ProgressReporter
    ) -> Collector:
        """Run until *until* or `stop()`, each morning and after each change of the calendar with
        a new collector; the last one is returned."""
        clock = collector.provider.clock
        # It moves with a clock that is set back.
        self._until = until
        while True:
            morning = next_morning(clock.now())
            self.run(collector, min(self._until, morning) if self._until else morning)
            if self._stop.is_set() or (self._until and clock.now() >= self._until):
                return collector
            collector = self._renewed(collector, reporter)

    def _renewed(self, collector: Collector, reporter: ProgressReporter) -> Collector:
        """A collector with the universe and the calendar of now; with the universe of
        *collector* when there is no newer one."""
        context, universe = collector.context, collector.universe
        with paused(context.provider.clock):
            try:
                universe = universe_at(context, reporter, renew=True)
            except DataFetchError as problem:
                reporter.message(f"Warning: {problem} Continuing with yesterday's universe.")
                log.error("not_renewed", extra={"problem": str(problem)})
            if context.replaceable:
                make_stand_in_ready(context.settings, context.store)
            try:
                return collector_of(context, universe, reporter)
            except DataFetchError as problem:
                reporter.message(f"Warning: {problem} Continuing as before.")
                log.error("not_renewed", extra={"problem": str(problem)})
                collector.calendar_changed.clear()
                return collector

    def get_status(self) -> Status:
        """The state of the scheduler and of each of its jobs."""
        collector, registry = self._collector, self._registry
        if collector is None or registry is None:
            return Status(running=False)
        return Status(
            running=True,
            world=str(collector.provider.world),
            store=collector.store.name,
            degraded=self._degraded,
            last_recorded_slot=collector.quotes.last_recorded_slot,
            jobs=tuple(registry.states()),
        )

    def run(self, collector: Collector, until: datetime) -> None:
        """The loop: start due jobs, wait for the next instant, repeat.

        It ends before *until* when stopped, or when the calendar of *collector* has changed.
        Raises WrongWorld when a job met prices of the other world, StoreFailure or SchemaDiffers
        when quotes could not be stored.
        """
        clock = collector.provider.clock

        def failed(job: str, problem: Exception) -> None:
            lost = job == QUOTES and collector.context.replaceable and isinstance(problem, OUTAGE)
            self._job_failed(job, problem, ends=lost)

        def set_back(before: datetime, now: datetime) -> None:
            nonlocal until
            until -= before - now
            self._clock_set_back(collector, registry, before, now)

        registry = JobRegistry(clock, failed, set_back, max(self._latest, clock.now()))
        self._collector, self._registry = collector, registry
        hold, signs_every = clock.hold(), sign_interval()
        log.info("started", extra={"store": collector.store.name, "until": until.isoformat()})
        try:
            for job in collector.jobs.values():
                registry.add(job.name, job.work, job.next_after)
            registry.call_all(collector.jobs_at_start)
            wake = _EitherEvent(self._stop, collector.calendar_changed)
            while not self._wait(clock, registry, until, wake, signs_every):
                # Here and by no thread of its own: a loop that hangs shows no sign of life.
                notify(ALIVE)
                if not collector.context.leads():
                    log.error("lost_leadership")
                    self._stop.set()
                    break
                registry.run_pending()
            if not self._stop.is_set():
                # What is due at the very instant of a change.
                registry.run_pending()
        finally:
            self._latest = registry.latest
            self._accounted_until = collector.quotes.last_recorded_slot
            self._collector = self._registry = None
            self._close(registry, collector)
            hold.release()
            log.info("stopped")
        if self._ended_by is not None:
            problem, self._ended_by = self._ended_by, None
            raise problem

    def _close(self, registry: JobRegistry, collector: Collector) -> None:
        """Wait for the running jobs; after a stop not for ever. Raises OutsideError then."""
        if self._stop.is_set():
            collector.store.hurry(LAST_STATEMENT_SECONDS)
        while running := registry.close(CLOSE_SECONDS):
            if self._stop.is_set():
                log.error("not_ended", extra={"jobs": running})
                raise OutsideError(
                    f"stopped without waiting any longer for {', '.join(running)}",
                    hint="What they had not stored is fetched again at the next start.",
                )
        collector.close()

    def _wait(
        self,
        clock: Clock,
        registry: JobRegistry,
        until: datetime,
        wake: Event,
        signs_every: timedelta | None,
    ) -> bool:
        """Wait for the next instant, but no longer than *signs_every* of real time; True when
        *wake* is set, or when no job is due by *until*."""
        next_run = registry.next_run or END_OF_TIME
        instant, is_last = min(next_run, until), next_run > until
        if signs_every is not None:
            sign_due = clock.now() + clock.elapsed_in(signs_every)
            if sign_due < instant:
                instant, is_last = sign_due, False
        # A clock that was set back since the registry read it would make this a long wait.
        return clock.wait(instant, wake, registry.latest) or is_last

    def _clock_set_back(
        self, collector: Collector, registry: JobRegistry, before: datetime, now: datetime
    ) -> None:
        log.error("clock_set_back", extra={"before": before.isoformat(), "now": now.isoformat()})
        collector.report(
            f"Warning: the clock was set back from {before.astimezone(IST):%H:%M:%S} to "
            f"{now.astimezone(IST):%H:%M:%S} IST. Slots are collected by the new time, and those "
            "recorded ahead of it are withdrawn. Check the clock: data-fetch doctor"
        )
        if self._until is not None:
            self._until -= before - now
        collector.clock_set_back(before, now)
        registry.call_all(collector.jobs_at_start)

    def _job_failed(self, job: str, problem: Exception, *, ends: bool) -> None:
        self.failures.append(f"{job}: {problem}")
        del self.failures[:-KEPT_FAILURES]
        if ends or isinstance(problem, WrongWorld):
            self._ended_by = problem
        if ends or isinstance(problem, LostLeadership | WrongWorld):
            self._stop.set()


data_scheduler = DataScheduler()
