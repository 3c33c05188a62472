"""The job registry: runs each job at its instants, on the clock of the provider.

The `schedule` library has the list of jobs and their order. By itself it reads the computer's
clock, counts from the end of the last run (so it drifts) and skips runs after a pause; the
adapter here gives it a clock and the timetable's instants instead.

Each job has a worker of its own: it never overlaps itself, and a slow job delays no other.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

import schedule

from data_fetch.core.clock import stopwatch
from data_fetch.core.errors import DataFetchError
from data_fetch.core.ports import Clock
from data_fetch.services.clocked_pool import ClockedPool

log = logging.getLogger("data_fetch.data_scheduler")

Work = Callable[[], object]
NextAfter = Callable[[datetime], datetime | None]
OnFailure = Callable[[str, Exception], None]
OnSetBack = Callable[[datetime, datetime], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """The state of one job: its last start, its next instant, whether it is running."""

    name: str
    last_run: datetime | None
    next_run: datetime | None
    running: bool


class _TimedJob(schedule.Job):
    """A job of the library with a clock and instants of its own."""

    def __init__(self, scheduler: "_TimedScheduler", next_after: NextAfter) -> None:
        super().__init__(1, scheduler)
        self._clock = scheduler.clock
        self._next_after = next_after

    @property
    def should_run(self) -> bool:
        return self.next_run is not None and self._clock.now() >= self.next_run

    def _schedule_next_run(self) -> None:
        now = self._clock.now()
        # A clock that was corrected by seconds must not make an instant due twice.
        self.plan_after(max(now, self.next_run) if self.next_run else now)

    def plan_after(self, after: datetime) -> None:
        """Be due at the first instant later than *after*."""
        self.next_run = self._next_after(after)


class _TimedScheduler(schedule.Scheduler):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock


class _Worker:
    """Runs one job, once at a time. A call while it is running repeats it once."""

    def __init__(self, name: str, work: Work, clock: Clock, on_failure: OnFailure) -> None:
        self.name = name
        self.last_run: datetime | None = None
        self._work = work
        self._clock = clock
        self._on_failure = on_failure
        self._lock = Lock()
        self._calls = 0
        self._pool = ClockedPool(clock, 1, f"job-{name}")

    @property
    def running(self) -> bool:
        return self._calls > 0

    def call(self) -> None:
        with self._lock:
            self._calls = min(self._calls + 1, 2)
            if self._calls > 1:
                return
        self._pool.submit(self._run_all)

    def close(self, seconds: float) -> bool:
        """Begin no more; whether the running work has ended, within *seconds*."""
        return self._pool.close(seconds)

    def _run_all(self) -> None:
        more = True
        while more:
            self._run_once()
            with self._lock:
                self._calls -= 1
                more = self._calls > 0

    def _run_once(self) -> None:
        self.last_run = self._clock.now()
        try:
            self._work()
        except Exception as problem:
            # Any exception: a failing job must not stop the schedule. Our own errors explain
            # themselves; only an unexpected one needs its traceback.
            trace = not isinstance(problem, DataFetchError)
            facts = {"job": self.name, "problem": str(problem)}
            log.error("job_failed", exc_info=trace, extra=facts)
            self._on_failure(self.name, problem)


class JobRegistry:
    """Jobs by name. *on_failure* is called when a job raises; the others continue.

    *on_set_back* is called with two instants when the clock was set back from one to the other;
    the jobs are then planned by the new time. The first is the latest reading, from *latest* on.
    """

    def __init__(
        self, clock: Clock, on_failure: OnFailure, on_set_back: OnSetBack, latest: datetime
    ) -> None:
        self.latest = latest
        self._clock = clock
        self._on_failure = on_failure
        self._on_set_back = on_set_back
        self._scheduler = _TimedScheduler(clock)
        self._workers: dict[str, _Worker] = {}
        self._jobs: list[_TimedJob] = []

    def add(self, name: str, work: Work, next_after: NextAfter) -> None:
        """Run *work* on a worker of its own at each instant that *next_after* returns."""
        worker = _Worker(name, work, self._clock, self._on_failure)
        self._workers[name] = worker
        job = _TimedJob(self._scheduler, next_after)
        job.tag(name).do(worker.call)
        self._jobs.append(job)

    def call_all(self, names: Iterable[str]) -> None:
        """Start these jobs now, besides their instants."""
        for name in names:
            self._workers[name].call()

    @property
    def next_run(self) -> datetime | None:
        """When the next job is due; None when no job has a next instant."""
        return min((job.next_run for job in self._scheduler.jobs if job.next_run), default=None)

    def run_pending(self) -> None:
        """Start every due job and return at once."""
        before, now = self.latest, self._clock.now()
        self.latest = max(before, now)
        if self._clock.was_set_back(before, now):
            self.latest = now
            for job in self._jobs:
                job.plan_after(now)
            self._on_set_back(before, now)
        self._scheduler.run_pending()

    def close(self, seconds: float) -> list[str]:
        """Start no more jobs, and wait up to *seconds*; the jobs that have not ended by then."""
        self._scheduler.clear()
        latest = stopwatch() + seconds
        return [
            name
            for name, worker in self._workers.items()
            if not worker.close(max(0.0, latest - stopwatch()))
        ]

    def states(self) -> list[JobState]:
        """The state of every job."""
        due = {name: job.next_run for job in self._scheduler.jobs for name in job.tags}
        return [
            JobState(
                name=name, last_run=worker.last_run, next_run=due.get(name), running=worker.running
            )
            for name, worker in self._workers.items()
        ]
