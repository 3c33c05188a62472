"""Finds missing candles in the coverage ledger and fetches them.

A plan has the cost of its requests before the first is sent. A run sends several requests at
once and writes each response in one transaction with the ledger and the audit row. It can be
killed at any point: the next plan has what is still missing, and no day that is settled.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from threading import Event
from typing import Self

from data_fetch.core.candles.auction_days import placed_for
from data_fetch.core.candles.candles import CandleInterval, CandleReply, Provenance
from data_fetch.core.candles.coverage import (
    REQUESTED_AGAIN,
    DayCoverage,
    Proof,
    State,
    needs_request,
    with_failure,
    with_unknown_instrument,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.request_planner import (
    Budget,
    Estimate,
    Need,
    Window,
    estimate,
    plan_windows,
)
from data_fetch.core.errors import (
    AccessDenied,
    DataFetchError,
    Stopped,
    TokenRejected,
    TransientError,
    UnknownInstrument,
)
from data_fetch.core.failures import FailureGroup, FailureKind, first_wait
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, Session
from data_fetch.core.ports import CandleSource, Clock
from data_fetch.core.runs import Outcome, SyncAttempt, SyncRun, SyncState
from data_fetch.core.spans import count
from data_fetch.services.clocked_pool import ResultPool
from data_fetch.services.gc_tuning import rarely_collecting_garbage
from data_fetch.services.kept_writes import keep_writing
from data_fetch.storage.candles.coverage import UnsettledDays
from data_fetch.storage.candles.histories import History
from data_fetch.storage.candles.repository import CandleRepository

log = logging.getLogger("data_fetch.backfill_service")

BACKFILL = "backfill"
# So many in a row: the provider or the network is down, and the rest would fail too.
FAILURES_TO_STOP = 8
WORKERS = 8
# Clock corrections are smaller; a paper market is set back by more.
CLOCKS_DIFFER = timedelta(minutes=5)
# People read the audit row.
MOST_NAMED = 20
STOPPED = "the run was stopped; the candles it fetched are stored"

Advance = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillOrder:
    """The days to complete: those of *instruments* from *first* to *last*, both included.

    *listed* has the first day of contracts. With *retry_failed* days are requested again before
    the time of their next attempt.
    """

    instruments: Sequence[Instrument]
    interval: CandleInterval
    first: date
    last: date
    retry_failed: bool = False
    listed: Mapping[str, date] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPlan:
    """The requests that an order needs now, and their cost.

    *held_back* days are incomplete too, but are not requested before *next_attempt*. The hours of
    *provisional_sessions* are not reviewed.
    """

    order: BackfillOrder
    windows: Sequence[Window]
    estimate: Estimate
    held_back: int
    next_attempt: datetime | None
    provisional_sessions: Sequence[date]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a run."""

    windows: int
    done: int
    candles: int


@dataclass(slots=True)
class BackfillReport:
    """The result of a run. *missed* minutes of the order are still to be fetched.

    A run that was stopped has fewer windows *done* than *windows*; *answered* are those with a
    response from the provider, complete or not.
    """

    run_id: str
    windows: int
    done: int = 0
    answered: int = 0
    requests: int = 0
    inserted: int = 0
    revised: int = 0
    finalised: int = 0
    outside: int = 0
    failures: Counter[FailureGroup] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    rejected_rows: Counter[str] = field(default_factory=Counter)
    without_open_interest: int = 0
    missed: int = 0
    stopped_by: DataFetchError | None = None

    @property
    def candles(self) -> int:
        """Candles that are new or changed."""
        return self.inserted + self.revised

    @property
    def outcome(self) -> Outcome:
        if self.stopped_by is not None and not self.answered:
            return Outcome.FAILED
        complete = not self.missed and self.stopped_by is None and self.done == self.windows
        return Outcome.COMPLETED if complete else Outcome.INCOMPLETE

    def failed(self, failure: FailureGroup, reason: str, window: Window) -> None:
        """Count a failure, with its reason for the first few symbols."""
        self.failures[failure] += 1
        if len(self.reasons) < MOST_NAMED:
            self.reasons.setdefault(window.instrument.symbol, reason)


def no_progress(_: Progress) -> None:
    """Ignore the progress of a run."""


class BackfillService:
    """Fetches the candles that the ledger lacks. Setting *stop* ends a run after the requests in
    flight."""

    def __init__(
        self,
        *,
        source: CandleSource,
        source_name: str,
        repository: CandleRepository,
        calendar: MarketCalendar,
        clock: Clock,
        limits: Mapping[timedelta, int],
        spending: Callable[[str], Sequence[datetime]],
        stop: Event,
    ) -> None:
        self._source = source
        self._source_name = source_name
        self._repository = repository
        self._calendar = calendar
        self._clock = clock
        self._limits = limits
        self._spending = spending
        self._stop = stop

    def plan(self, order: BackfillOrder) -> BackfillPlan:
        """The fewest requests for the missing days of *order*, and how long they take.

        Sends nothing. Raises CalendarUnknown when the order begins before the calendar.
        """
        expectation = self._expectation(order)
        now = expectation.now
        needs: list[Need] = []
        waiting: list[datetime] = []
        for day in self._missing_days(order, expectation):
            if day.next_attempt and day.next_attempt > now and not order.retry_failed:
                if day.expected:
                    waiting.append(day.next_attempt)
            else:
                needs.append(day.need)
        planned = plan_windows(needs, order.interval, expectation.today, self._source.endpoint_for)
        return BackfillPlan(
            order=order,
            windows=planned,
            estimate=estimate(planned, self._budgets(), now),
            held_back=len(waiting),
            next_attempt=min(waiting, default=None),
            provisional_sessions=expectation.provisional_sessions(order.first, order.last),
        )

    def run(
        self,
        plan: BackfillPlan,
        job: str = BACKFILL,
        advance: Advance = no_progress,
        begun: SyncRun | None = None,
    ) -> BackfillReport:
        """Send the requests of *plan*, several at once, and store the responses.

        Continues the run *begun*, if given. The report has the problem that stopped it, if one
        did. Raises what the store raises.
        """
        run = _Run(plan, begun or SyncRun.begin(job, self._clock.now()))
        queue = deque(plan.windows)
        with rarely_collecting_garbage(), _InFlight(self._source, self._clock) as in_flight:
            while in_flight or (queue and not self._over(run.report)):
                while queue and len(in_flight) < WORKERS and not self._over(run.report):
                    in_flight.send(queue.popleft())
                for window, reply in in_flight.replies():
                    queue.extendleft(reversed(self._take(run, window, reply)))
                    if window.instrument.instrument_key in run.unknown:
                        self._drop_unknown(run, queue)
                    advance(run.progress())
                if self._over(run.report):
                    in_flight.cancel()
        run.report.missed = self.missed_minutes(plan.order)
        finished = run.row(self._clock.now(), run.report.outcome, _why_incomplete(run.report))
        facts = {**finished.details, "missed": run.report.missed}
        ended = replace(finished, details=facts)
        keep_writing(partial(self._repository.record_run, ended), self._clock)
        log.info("backfill", extra={"job": finished.job, "run_id": finished.run_id, **facts})
        return run.report

    def missed_minutes(self, order: BackfillOrder) -> int:
        """How many minutes (days, for the interval `day`) of *order* are still to be fetched."""
        return sum(day.missed for day in self._missing_days(order, self._expectation(order)))

    def unexplained_minutes(self, order: BackfillOrder) -> int:
        """How many minutes of *order* are due, have no candle and were never requested."""
        first, last = order.first, order.last
        found = self._repository.histories(order.instruments, order.interval, first, last)
        expectation = replace(self._expectation(order), periods=found.periods)
        ledger = self._repository.unsettled(found.keys, order.interval, first, last)
        return sum(
            day.minutes(State.MISSED)
            for instrument in self._repository.with_auction_history(found.instruments)
            for day in expectation.days(instrument, order.interval, first, last, ledger.days)
            if day.last_attempt is None and (day.instrument_key, day.day) not in ledger.settled
        )

    def prove_no_trades(self, instruments: Sequence[Instrument], job: str = BACKFILL) -> SyncRun:
        """Mark the minutes of today that stored quotes prove to be without trades.

        They need no request. Begins a run of *job* and returns it for `run` to continue.
        """
        expectation = Expectation(self._calendar, self._clock.now())
        trading = [
            instrument
            for instrument in instruments
            if expectation.session(instrument, expectation.today).open
        ]
        begun = SyncRun.begin(job, self._clock.now())
        prove = self._repository.prove_no_trades
        keep_writing(partial(prove, trading, begun, expectation), self._clock)
        return begun

    def _expectation(self, order: BackfillOrder) -> Expectation:
        return Expectation(self._calendar, self._clock.now(), order.listed)

    def _budgets(self) -> dict[str, Budget]:
        """The requests allowed now. Live quotes and candles have rate windows of their own."""
        return {
            api: Budget(self._limits, self._spending(api))
            for api in sorted({endpoint.api for endpoint in self._source.endpoints})
        }

    def _missing_days(
        self, order: BackfillOrder, expectation: Expectation
    ) -> Iterator["_MissingDay"]:
        """The days that a request could improve, by the ledger and the time of day."""
        found = self._repository.histories(
            order.instruments, order.interval, order.first, order.last
        )
        expectation = replace(expectation, periods=found.periods)
        ledger = self._repository.unsettled(found.keys, order.interval, order.first, order.last)
        for one in self._repository.with_auction_history(found.instruments):
            for session in expectation.sessions(one, order.first, order.last):
                yield from _missing_day(ledger, expectation, order.interval, one, session)
        for history in found.of:
            yield from self._doubtful_days(order, ledger, history)

    def _doubtful_days(
        self, order: BackfillOrder, ledger: UnsettledDays, history: History
    ) -> Iterator["_MissingDay"]:
        """Days of a former key without candles: the next key's history may reach back to them."""
        expectation = self._expectation(order)
        for period, successor in history.former_periods:
            for session in expectation.sessions(successor, period.first, period.last):
                if ledger.has_candles(period.instrument_key, session.day):
                    continue
                for day in _missing_day(ledger, expectation, order.interval, successor, session):
                    yield replace(day, missed=0, expected=False)

    def _over(self, report: BackfillReport) -> bool:
        return self._stop.is_set() or report.stopped_by is not None

    def _take(self, run: "_Run", window: Window, reply: CandleReply) -> Sequence[Window]:
        """Store *reply*; return the windows to request instead when it was too long."""
        run.report.requests += reply.requests
        problem = reply.problem
        if isinstance(problem, Stopped):
            return ()
        if window.days > 1 and reply.too_long:
            run.report.windows += 1
            return window.halves()
        if _stops_everything(problem, window):
            run.report.stopped_by = problem
            if not reply.requests:
                return ()
        run.in_a_row = run.in_a_row + 1 if isinstance(problem, TransientError) else 0
        if run.in_a_row >= FAILURES_TO_STOP:
            run.report.stopped_by = problem
        if isinstance(problem, UnknownInstrument) and not window.endpoint.expired_contracts:
            run.unknown[window.instrument.instrument_key] = reply
        if not reply.complete:
            run.report.failed(*_failure(reply), window)
        self._record(run, window, reply)
        return ()

    def _drop_unknown(self, run: "_Run", queue: "deque[Window]") -> None:
        """Drop the other windows of instruments that the provider does not know."""
        for window in [w for w in queue if w.instrument.instrument_key in run.unknown]:
            queue.remove(window)
            reply = run.unknown[window.instrument.instrument_key]
            self._record(run, window, reply)

    def _record(self, run: "_Run", window: Window, reply: CandleReply) -> None:
        """Store one response, with the ledger and the run's audit row, in one transaction."""
        order = run.plan.order
        expectation = Expectation(self._calendar, reply.received_at, order.listed)
        block = expectation.published(reply.block, window.instrument)
        candles = placed_for(window.instrument, block, self._calendar)
        provenance = Provenance(
            source=self._source_name,
            is_final=window.endpoint.is_final,
            fetched_at=reply.received_at,
            run_id=run.run_id,
        )
        run.count(window, reply, candles.outside)
        if reply.complete:
            write = partial(
                self._repository.record_response,
                window,
                candles,
                provenance,
                by=f"{window.endpoint} response",
                run=run.row(self._clock.now(), Outcome.RUNNING, None),
                attempt=_attempt(run.run_id, window, reply, None),
                expectation=expectation,
            )
        else:
            _, error = _failure(reply)
            write = partial(
                self._repository.record_failure,
                window,
                candles,
                provenance,
                fail=self._failed(run.run_id, window, reply),
                run=run.row(self._clock.now(), Outcome.RUNNING, None),
                attempt=_attempt(run.run_id, window, reply, error),
                expectation=expectation,
            )
        recorded = keep_writing(write, self._clock)
        if recorded.fault is not None:
            run.report.failed(FailureKind.EMPTY_DESPITE_TRADING.group, recorded.fault, window)
        elif reply.complete and not len(reply.block):
            run.report.failures[FailureGroup.EMPTY] += 1
        written = recorded.written
        run.report.inserted += written.inserted
        run.report.revised += written.revised
        run.report.finalised += written.finalised

    def _failed(
        self, run_id: str, window: Window, reply: CandleReply
    ) -> Callable[[DayCoverage], DayCoverage]:
        """What the failure in *reply* makes of a day of *window*.

        The key of an instrument that is no longer listed is one that the provider no longer
        knows; one that is listed it should know.
        """
        failure, error = _failure(reply)
        wait = first_wait(failure)
        unknown = isinstance(reply.problem, UnknownInstrument)
        if unknown and not self._repository.is_listed(window.instrument.instrument_key):
            proof = Proof(f"{window.endpoint} response", run_id, reply.received_at)
            return partial(with_unknown_instrument, error=error, proof=proof, first_wait=wait)
        return partial(with_failure, error=error, at=reply.received_at, first_wait=wait)


@dataclass(frozen=True, slots=True)
class _MissingDay:
    """A day that a request could improve; *missed* of its minutes are to be fetched.

    Nothing is *expected* of a day before the first candle.
    """

    need: Need
    missed: int
    expected: bool
    next_attempt: datetime | None


class _InFlight:
    """Requests under way, each on a thread of its own; on leaving, all have been answered."""

    def __init__(self, source: CandleSource, clock: Clock) -> None:
        self._source = source
        self._cancelled = Event()
        self._pool = ResultPool[tuple[Window, CandleReply]](clock, WORKERS, "candles")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        self._pool.close()

    def __len__(self) -> int:
        return len(self._pool)

    def send(self, window: Window) -> None:
        self._pool.submit(self._request, window)

    def replies(self) -> list[tuple[Window, CandleReply]]:
        """The next replies; none after a short wait, so that the caller can look around."""
        return self._pool.results()

    def cancel(self) -> None:
        """Drop the requests that still wait for the rate limits."""
        self._cancelled.set()

    def _request(self, window: Window) -> tuple[Window, CandleReply]:
        return window, self._source.candles(window, self._cancelled)


class _Run:
    """A run in progress: its report so far, and its audit row."""

    def __init__(self, plan: BackfillPlan, begun: SyncRun) -> None:
        self.plan = plan
        self.begun = begun
        self.run_id = begun.run_id
        self.report = BackfillReport(run_id=begun.run_id, windows=len(plan.windows))
        self.unknown: dict[str, CandleReply] = {}
        self.in_a_row = 0

    def count(self, window: Window, reply: CandleReply, outside: Mapping[date, int]) -> None:
        """Add one reply to the report."""
        report = self.report
        report.done += 1
        report.answered += reply.problem is None
        report.outside += sum(outside.values())
        report.rejected_rows.update(reply.rejected_rows)
        report.without_open_interest += reply.without_open_interest
        if reply.rejected_rows or outside:
            log.warning(
                "rows_rejected",
                extra={
                    "symbol": window.instrument.symbol,
                    "reasons": dict(reply.rejected_rows),
                    "outside_sessions": {str(day): rows for day, rows in outside.items()},
                },
            )

    def progress(self) -> Progress:
        report = self.report
        return Progress(windows=report.windows, done=report.done, candles=report.candles)

    def row(self, now: datetime, outcome: Outcome, error: str | None) -> SyncRun:
        """The audit row as of *now*."""
        report = self.report
        return self.begun.finish(
            now,
            outcome,
            requested=report.windows,
            stored=report.candles,
            absent=report.failures[FailureGroup.EMPTY],
            quarantined=report.failures[FailureGroup.UNKNOWN_INSTRUMENT],
            rejected=report.outside + sum(report.rejected_rows.values()),
            requests=report.requests,
            error=error,
            details=_facts(report),
        )


def _facts(report: BackfillReport) -> dict[str, object]:
    return {
        "windows": report.windows,
        "windows_done": report.done,
        "requests": report.requests,
        "inserted": report.inserted,
        "revised": report.revised,
        "finalised": report.finalised,
        "outside_sessions": report.outside,
        "rejected_rows": dict(report.rejected_rows),
        "without_open_interest": report.without_open_interest,
        "failures": {str(failure): n for failure, n in report.failures.items() if n},
        "reasons": dict(report.reasons),
    }


def _why_incomplete(report: BackfillReport) -> str | None:
    if report.stopped_by is not None:
        return str(report.stopped_by)
    if report.done < report.windows:
        return STOPPED
    return f"{report.missed} minutes are still missing" if report.missed else None


def _missing_day(
    ledger: UnsettledDays,
    expectation: Expectation,
    interval: CandleInterval,
    instrument: Instrument,
    session: Session,
) -> Iterator[_MissingDay]:
    """The day of *session*, if a request could improve it."""
    length = _length(session, interval)
    place = (instrument.instrument_key, session.day)
    known = ledger.days.get(place)
    if ledger.settled.get(place) == length:
        return
    if known is None and session.day < expectation.today:
        # Never requested, as years of days are: the ledger has no row to look at.
        need = Need(instrument, session.day, length)
        yield _MissingDay(need, length, expected=True, next_attempt=None)
        return
    day = expectation.day(instrument.instrument_key, interval, session, known)
    if needs_request(day, expectation.today):
        yield _MissingDay(
            Need(instrument, session.day, _missing_minutes(day)),
            day.minutes(State.MISSED),
            expected=bool(day.expected),
            next_attempt=_waiting(day, expectation.now),
        )


def _missing_minutes(known: DayCoverage) -> int:
    """How many minutes of a day a request is for."""
    return known.minutes(*REQUESTED_AGAIN) or count(known.provisional)


def _waiting(known: DayCoverage, now: datetime) -> datetime | None:
    """The next attempt; None when the last one is later than now: the clock was set back."""
    set_back = known.last_attempt is not None and known.last_attempt > now + CLOCKS_DIFFER
    return None if set_back else known.next_attempt


def _length(session: Session, interval: CandleInterval) -> int:
    return session.expected_minutes if interval is CandleInterval.MINUTE else 1


def _stops_everything(problem: DataFetchError | None, window: Window) -> bool:
    """Whether every other request would be rejected as well, for the same reason."""
    # An account without the provider's larger plan lacks expired contracts and nothing else.
    denied = isinstance(problem, AccessDenied) and not window.endpoint.expired_contracts
    return denied or isinstance(problem, TokenRejected)


def _failure(reply: CandleReply) -> tuple[FailureGroup, str]:
    if reply.problem is not None:
        return reply.problem.kind.group, reply.problem.message
    listed = ", ".join(f"{reason} ({rows})" for reason, rows in reply.rejected_rows.items())
    return (
        FailureGroup.SCHEMA,
        f"unusable rows: {listed}" if listed else "the response is incomplete",
    )


def _attempt(run_id: str, window: Window, reply: CandleReply, error: str | None) -> SyncAttempt:
    return SyncAttempt(
        symbol=window.instrument.symbol,
        data_type=f"candles_{window.interval}",
        state=SyncState.OK if error is None else SyncState.FAILED,
        attempted_at=reply.received_at,
        records=len(reply.block),
        error=error,
        run_id=run_id,
    )
