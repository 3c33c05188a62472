"""The recurring backfills of a collector, each with its range of days.

They take turns: two at once would request the same minutes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from threading import Event, Lock

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import IST
from data_fetch.core.errors import DataFetchError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Clock
from data_fetch.core.runs import SyncRun
from data_fetch.core.timetable import COVERAGE, DAILY, FINALISE, WEEKLY, Job, Timetable
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_report import BackfillReport
from data_fetch.services.backfill_run import BackfillPlan
from data_fetch.services.backfill_units import BackfillUnits
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.services.recurring import RecurringService
from data_fetch.services.work import UnitDispatch

# How many days each job completes, today included.
DAYS = {
    # Earlier days wait for the evening: during market hours the budget belongs to today.
    COVERAGE: 1,
    DAILY: 1,
    # Covers the longest weekend, and a collector that was stopped over one, with one request for
    # each instrument.
    FINALISE: 7,
    # As far back as users of minute candles usually look.
    WEEKLY: 60,
}
RETRY_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What one job has done for its plan: a *line* for people, shown if it is *notable*.

    *attempted*: it had something to do; *stopped_by* is the problem that ended it early.
    """

    line: str
    notable: bool
    attempted: bool
    stopped_by: DataFetchError | None = None


# Completes a plan for the job of that name, continuing the run if one is begun.
Complete = Callable[[BackfillPlan, str, SyncRun | None], Completed]


class BackfillJobs(RecurringService):
    """Completes the minutes of *instruments* (contracts from the days in *listed* on).

    *complete* does what a plan needs. *report* receives a line for people
    when that is notable, and another one than before.
    """

    def __init__(
        self,
        *,
        service: BackfillService,
        complete: Complete,
        instruments: Sequence[Instrument],
        listed: Mapping[str, date],
        clock: Clock,
        stop: Event,
        report: Callable[[str], None],
    ) -> None:
        self._service = service
        self._complete = complete
        self._instruments = instruments
        self._listed = listed
        self._clock = clock
        self._stop = stop
        self._report = report
        self._turn = Lock()
        self._last_line = ""
        self._stopped_by: type[Exception] | None = None

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        return [timetable.job(name, partial(self.run, name)) for name in DAYS]

    def tallies(self, first: date, last: date) -> Mapping[str, int]:
        """How many minutes can still be fetched, and how many were never requested."""
        order = self._order(first, last)
        return {
            "missed_minutes": self._service.missed_minutes(order),
            "unexplained_minutes": self._service.unexplained_minutes(order),
        }

    def run(self, job: str) -> None:
        """One backfill of the days of *job*.

        Raises what stopped it (TokenRejected, AccessDenied, a provider that is down), though not
        again before a backfill has succeeded.
        """
        work = self._prove_and_fetch if job == COVERAGE else partial(self._fetch, job)
        self._in_turn(work)

    def _in_turn(self, work: Callable[[], None]) -> None:
        """Run *work* when no other backfill is running; not at all when stopped before that."""
        while not self._turn.acquire(blocking=False):
            # Waits on the clock and not on the lock: the running backfill may need time to pass,
            # and a virtual clock advances only when it knows of every thread that waits.
            if self._clock.wait(self._clock.now() + RETRY_AFTER, self._stop):
                return
        try:
            work()
        finally:
            self._turn.release()

    def _prove_and_fetch(self) -> None:
        begun = self._service.prove_no_trades(self._instruments, COVERAGE)
        self._fetch(COVERAGE, begun)

    def _fetch(self, job: str, begun: SyncRun | None = None) -> None:
        if self._stop.is_set():
            return
        today = self._clock.now().astimezone(IST).date()
        order = self._order(today - timedelta(days=DAYS[job] - 1), today)
        completed = self._complete(self._service.plan(order), job, begun)
        if completed.line != self._last_line and completed.notable:
            self._report(f"{self._clock.now().astimezone(IST):%H:%M} {completed.line}")
        self._last_line = completed.line
        self._raise_once(completed)

    def _order(self, first: date, last: date) -> BackfillOrder:
        return BackfillOrder(
            instruments=self._instruments,
            interval=CandleInterval.MINUTE,
            first=first,
            last=last,
            listed=self._listed,
        )

    def _raise_once(self, completed: Completed) -> None:
        problem, before = completed.stopped_by, self._stopped_by
        if completed.attempted:
            self._stopped_by = type(problem) if problem else None
        if problem is not None and type(problem) is not before:
            raise problem


def fetched_by(service: BackfillService) -> Complete:
    """Fetches what a plan needs in this process."""

    def complete(plan: BackfillPlan, job: str, begun: SyncRun | None) -> Completed:
        report = service.run(plan, job, begun=begun)
        return Completed(
            line=report_line(job, report),
            notable=bool(report.requests or report.missed),
            attempted=bool(report.windows),
            stopped_by=report.stopped_by,
        )

    return complete


def shared_by(units: BackfillUnits, dispatch: UnitDispatch) -> Complete:
    """Leaves what a plan needs to workers: one unit for each of its windows."""

    def complete(plan: BackfillPlan, job: str, begun: SyncRun | None) -> Completed:
        offered = units.offer(plan, job, begun)
        dispatch.run()
        line = f"{job}: {offered:,} of {len(plan.windows):,} windows are new units for workers"
        return Completed(line=line, notable=offered > 0, attempted=bool(plan.windows))

    return complete


def report_line(job: str, report: BackfillReport) -> str:
    """The result of one backfill, for people."""
    requests = "1 request" if report.requests == 1 else f"{report.requests:,} requests"
    confirmed = f"{report.finalised:,} confirmed, " if report.finalised else ""
    stopped = f"; stopped: {report.stopped_by}" if report.stopped_by else ""
    return (
        f"{job}: {requests}, {report.candles:,} minutes stored, {confirmed}"
        f"{report.missed:,} still missing{stopped}"
    )
