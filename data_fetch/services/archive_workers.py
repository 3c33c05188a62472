"""The archive's workers: each repeats one kind of round in a thread of its own."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from typing import Protocol

import duckdb

from data_fetch.core.errors import DataFetchError
from data_fetch.core.runs import Outcome, RunCounts, SyncRun
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import record_runs

log = logging.getLogger(__name__)

# A clock that stands still or jumps is read again after so long.
LONGEST_WAIT_SECONDS = 60.0
# These explain themselves: the disk, a file, the database.
EXPLAINED = (DataFetchError, OSError, duckdb.Error)


class Round(Protocol):
    """The result of a round."""

    def counts(self) -> RunCounts:
        """The round for the audit; empty if there was nothing to do."""


@dataclass(frozen=True, slots=True)
class ThreadStatus:
    """A worker: whether it runs, how many rounds it has ended, when the last one, and the error
    of that one."""

    running: bool
    rounds: int
    last_round: datetime | None
    error: str | None


class ArchiveWorker:
    """Does *work* at every multiple of *every* in a day, and *offset* later.

    A round that has done something or has failed is in the audit of *store* as *job*. A failure
    ends nothing: the next round does what was not done. *report* gets a line for the first of
    equal failures.
    """

    def __init__(
        self,
        *,
        job: str,
        work: Callable[[], Round],
        every: timedelta,
        offset: timedelta,
        store: Store,
        now: Callable[[], datetime],
        report: Callable[[str], None],
    ) -> None:
        self.job = job
        self._work = work
        self._every = every
        self._offset = offset
        self._store = store
        self._now = now
        self._report = report
        self._lock = Lock()
        self._thread: Thread | None = None
        self._rounds = 0
        self._last: SyncRun | None = None

    def start(self, stop: Event) -> None:
        """Begin a thread that works until *stop* is set."""
        self._thread = Thread(target=self._run, args=(stop,), name=self.job, daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Whether the thread has ended, after *seconds* at most."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.status.running

    @property
    def status(self) -> ThreadStatus:
        """How far the worker is."""
        with self._lock:
            last = self._last
            return ThreadStatus(
                running=self._thread is not None and self._thread.is_alive(),
                rounds=self._rounds,
                last_round=None if last is None else last.finished_at,
                error=None if last is None else last.error,
            )

    def once(self) -> SyncRun:
        """Do one round now; its run, as the audit has it."""
        run = SyncRun.begin(self.job, self._now())
        try:
            counts = self._work().counts()
            outcome = Outcome.INCOMPLETE if counts.get("error") else Outcome.COMPLETED
            run = run.finish(self._now(), outcome, **counts)
            worth_a_row = bool(counts)
        except Exception as problem:
            # Any exception: the other worker and the next round must go on. Only an unexpected
            # one needs its traceback.
            if not isinstance(problem, EXPLAINED):
                log.exception("archive_round_failed", extra={"job": self.job})
            run = run.finish(self._now(), Outcome.FAILED, error=_explained(problem))
            worth_a_row = True
        self._note(run)
        if worth_a_row:
            self._record(run)
        return run

    def _note(self, run: SyncRun) -> None:
        with self._lock:
            before = self._last
            self._last, self._rounds = run, self._rounds + 1
        if run.error is not None and (before is None or before.error != run.error):
            self._report(f"{self.job}: {run.error} It is tried again.")

    def _record(self, run: SyncRun) -> None:
        try:
            record_runs(self._store, [run])
        except DataFetchError as problem:
            # The store is away: the collector reports that, and the round itself is done.
            log.warning("archive_run_not_recorded", extra={"problem": str(problem)})

    def _run(self, stop: Event) -> None:
        while not stop.is_set():
            self.once()
            stop.wait(self._seconds_until_due())

    def _seconds_until_due(self) -> float:
        now = self._now()
        since = (now - datetime.min.replace(tzinfo=now.tzinfo) - self._offset) % self._every
        return min((self._every - since).total_seconds(), LONGEST_WAIT_SECONDS)


def _explained(problem: Exception) -> str:
    if isinstance(problem, OSError):
        where = f"{problem.filename}: " if problem.filename else ""
        return f"{where}{problem.strerror or problem}. Check folder and disk."
    return str(problem)


class ArchiveWorkers:
    """All workers of one archive. *prepare* is called before the first round; *stop* is set to
    end them."""

    def __init__(
        self, workers: Sequence[ArchiveWorker], prepare: Callable[[], None], stop: Event
    ) -> None:
        self._workers = tuple(workers)
        self._prepare = prepare
        self._stop = stop

    def once(self) -> list[SyncRun]:
        """One round of each worker, in order."""
        self._prepare()
        return [worker.once() for worker in self._workers]

    def start(self) -> None:
        """Start the threads."""
        self._prepare()
        for worker in self._workers:
            worker.start(self._stop)

    def stop(self, seconds: float) -> bool:
        """Begin no more rounds; whether all threads have ended, after *seconds* each at most."""
        self._stop.set()
        ended = [worker.join(seconds) for worker in self._workers]
        return all(ended)

    def statuses(self) -> dict[str, ThreadStatus]:
        """The status of each worker by its job."""
        return {worker.job: worker.status for worker in self._workers}
