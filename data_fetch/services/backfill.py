"""Finds missing candles in the coverage ledger and fetches them.

A plan has the cost of its requests before the first is sent. A run sends several requests at
once and writes each response in one transaction with the ledger and the audit row. It can be
killed at any point: the next plan has what is still missing, and no day that is settled.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event

from data_fetch.core.candles.auction_days import placed_for
from data_fetch.core.candles.candles import CandleReply, Provenance
from data_fetch.core.candles.coverage import (
    DayCoverage,
    Proof,
    with_failure,
    with_unknown_instrument,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.request_planner import (
    Budget,
    Window,
    estimate,
    plan_windows,
)
from data_fetch.core.errors import (
    AccessDenied,
    DataFetchError,
    Stopped,
    StoreFailure,
    TokenRejected,
    TransientError,
    UnknownInstrument,
)
from data_fetch.core.failures import FailureGroup, FailureKind, first_wait
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import CandleSource, Clock
from data_fetch.core.runs import Outcome, SyncAttempt, SyncRun, SyncState
from data_fetch.services.backfill_report import BackfillReport, Outage, Progress
from data_fetch.services.backfill_run import (
    WORKERS,
    BackfillPlan,
    BackfillRun,
    RequestsInFlight,
)
from data_fetch.services.gc_tuning import rarely_collecting_garbage
from data_fetch.services.kept_writes import keep_writing
from data_fetch.services.late_days import BringBack, refuse, with_days_back
from data_fetch.services.missing_days import CLOCKS_DIFFER, BackfillOrder, MissingDays
from data_fetch.services.outage import USUAL_PATIENCE, Patience, Verdict
from data_fetch.storage.candles.leases import LASTS, DayLeases
from data_fetch.storage.candles.repository import CandleRepository

log = logging.getLogger("data_fetch.backfill_service")

BACKFILL = "backfill"
# Until days that another run requests are looked at again.
LOOK_AGAIN = timedelta(seconds=1)
# A response with so few bad rows is requested again in halves: the days with the bad rows prove
# nothing, and the others do. More of them are a fault of the provider that halves do not mend.
FEW_BAD_ROWS = 3
# Failures of an outage: the next run requests their days at once.
AT_ONCE = timedelta(0)

EARLIER = datetime.min.replace(tzinfo=UTC)

Advance = Callable[[Progress], None]


def no_progress(_: Progress) -> None:
    """Ignore the progress of a run."""


class BackfillService:
    """Fetches the candles that the ledger lacks. Setting *stop* ends a run after the requests in
    flight. *bring_back* is called with days that are in the archive only."""

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
        patience: Patience = USUAL_PATIENCE,
        bring_back: BringBack = refuse,
    ) -> None:
        self._source = source
        self._source_name = source_name
        self._repository = repository
        self._missing = MissingDays(repository, calendar, clock)
        self._calendar = calendar
        self._clock = clock
        self._limits = limits
        self._spending = spending
        self._stop = stop
        self._patience = patience
        self._bring_back = bring_back

    def plan(self, order: BackfillOrder) -> BackfillPlan:
        """The fewest requests for the missing days of *order*, and how long they take.

        Sends nothing. Raises CalendarUnknown when the order begins before the calendar.
        """
        expectation = self._missing.expectation(order)
        now = expectation.now
        needs, waiting = self._missing.needs(order, expectation)
        planned = plan_windows(needs, order.interval, expectation.today, self._source.endpoint_for)
        return BackfillPlan(
            made_at=now,
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
        run = BackfillRun(plan, begun or SyncRun.begin(job, self._clock.now()), self._patience)
        leases = self._repository.leases(run.run_id, self._clock.elapsed_in(LASTS))
        try:
            self._send_all(run, leases, advance)
        finally:
            # Whatever ended it: another run would wait for its leases to expire.
            with suppress(StoreFailure):
                leases.release_all()
        self._judge(run)
        finished = run.row(self._clock.now(), run.report.outcome, run.report.why_incomplete())
        facts = {
            **finished.details,
            "missed": run.report.missed,
            "became_due": run.report.became_due,
        }
        ended = replace(finished, details=facts)
        keep_writing(partial(self._repository.record_run, ended), self._clock)
        log.info("backfill", extra={"job": finished.job, "run_id": finished.run_id, **facts})
        return run.report

    def missed_minutes(self, order: BackfillOrder) -> int:
        """How many minutes (days, for the interval `day`) of *order* are still to be fetched."""
        return self._missing.missed_minutes(order)

    def unexplained_minutes(self, order: BackfillOrder) -> int:
        """How many minutes of *order* are due, have no candle and were never requested."""
        return self._missing.unexplained_minutes(order)

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

    def _budgets(self) -> dict[str, Budget]:
        """The requests allowed now. Live quotes and candles have rate windows of their own."""
        return {
            api: Budget(self._limits, self._spending(api))
            for api in sorted({endpoint.api for endpoint in self._source.endpoints})
        }

    def _over(self, report: BackfillReport) -> bool:
        return self._stop.is_set() or report.stopped_by is not None

    def _judge(self, run: BackfillRun) -> None:
        """Count what is missing of the order: what was due as of its plan, and what became due."""
        order, made_at = run.plan.order, run.plan.made_at
        as_of_plan = Expectation(self._calendar, made_at, order.listed)
        for day in self._missing.days(order, self._missing.expectation(order)):
            session = as_of_plan.session(day.need.instrument, day.need.day)
            in_order = day.missed_before(as_of_plan.due(session, order.interval))
            run.report.missed += in_order
            run.report.became_due += day.missed - in_order

    def _send_all(self, run: BackfillRun, leases: DayLeases, advance: Advance) -> None:
        """Send the requests of *run* until none is left, or it is over."""
        with rarely_collecting_garbage(), RequestsInFlight(self._source, self._clock) as in_flight:
            while in_flight or (run.unfinished and not self._over(run.report)):
                leases.renew(self._clock.now())
                if not in_flight and run.watch.aside and not self._waited_out(run, advance):
                    continue
                self._send(run, leases, in_flight)
                for window, reply in in_flight.replies():
                    run.queue.extendleft(reversed(self._take(run, window, reply)))
                    if window.instrument.instrument_key in run.unknown:
                        self._drop_unknown(run)
                    # Not earlier: another run would not see in the ledger that it was requested.
                    leases.release(window)
                    # Storing many responses may take longer than a lease lasts.
                    leases.renew(self._clock.now())
                    advance(run.progress())
                if self._over(run.report):
                    in_flight.cancel()

    def _send(self, run: BackfillRun, leases: DayLeases, in_flight: RequestsInFlight) -> None:
        """Send as many windows as may be under way; during an outage one, else all workers'."""
        refused: list[Window] = []
        probing = bool(run.watch.aside)
        while run.queue and not self._over(run.report):
            free = (1 if probing else WORKERS) - len(in_flight)
            if free <= 0:
                break
            some = [run.queue.popleft() for _ in range(min(free, len(run.queue)))]
            taken = leases.taken(some, self._clock.now())
            for window, ours in zip(some, taken, strict=True):
                if not ours:
                    refused.append(window)
                elif self._was_requested_elsewhere(run, window):
                    leases.release(window)
                    run.report.done += 1
                    run.report.elsewhere += 1
                else:
                    run.watch.sent(window)
                    in_flight.send(window)
        run.queue.extend(refused)
        if refused and not in_flight and not self._over(run.report):
            self._clock.wait(self._clock.now() + LOOK_AGAIN, self._stop)

    def _take(self, run: BackfillRun, window: Window, reply: CandleReply) -> Sequence[Window]:
        """Store *reply*; return the windows to request at once, instead of or because of it."""
        run.report.requests += reply.requests
        problem = reply.problem
        if isinstance(problem, Stopped):
            return ()
        if isinstance(problem, TransientError):
            self._follow(run, run.watch.failed(window, reply))
            return ()
        self._follow(run, run.watch.answered())
        if window.days > 1 and (reply.too_long or _has_few_bad_rows(reply)):
            run.report.windows += 1
            return window.halves()
        if _stops_everything(problem, window):
            run.report.stopped_by = problem
            if not reply.requests:
                return ()
        if isinstance(problem, UnknownInstrument) and not window.endpoint.expired_contracts:
            run.unknown[window.instrument.instrument_key] = reply
        self._finish(run, window, reply)
        return ()

    def _follow(self, run: BackfillRun, verdict: Verdict[Window, CandleReply]) -> None:
        """Send requests again after the others; record the failures that are their own."""
        run.queue.extend(verdict.again)
        for window, reply in verdict.own:
            self._finish(run, window, reply)

    def _waited_out(self, run: BackfillRun, advance: Advance) -> bool:
        """Wait before the next attempt of an outage; false when it lasts too long, or on a stop.

        What an outage failed is requested again at once by the next run; what failed on its own
        waits.
        """
        (*_, (_, last)) = run.watch.aside
        assert last.problem is not None
        pause = run.watch.next_pause()
        if pause is not None:
            until = self._clock.now() + pause
            advance(run.progress(Outage(last.problem, until)))
            if self._clock.wait(until, self._stop):
                return False
            if not run.queue:
                window, _ = run.watch.aside.pop(0)
                run.queue.append(window)
            return True
        own = run.watch.own
        if not own:
            run.report.stopped_by = last.problem
        for window, reply in run.watch.given_up():
            self._finish(run, window, reply, None if own else AT_ONCE)
        return False

    def _finish(
        self, run: BackfillRun, window: Window, reply: CandleReply, wait: timedelta | None = None
    ) -> None:
        """Store *reply*, the last one about *window* in this run."""
        if not reply.complete:
            run.report.failed(*_failure(reply), window)
        self._record(run, window, reply, wait)

    def _was_requested_elsewhere(self, run: BackfillRun, window: Window) -> bool:
        """Whether another run has requested what *window* was planned for."""
        order, made_at = run.plan.order, run.plan.made_at
        # A response may have been received before the plan, and recorded after it.
        attempts = self._repository.last_attempts(window, made_at - CLOCKS_DIFFER)
        if not attempts:
            return False
        own = replace(order, instruments=[window.instrument], first=window.first, last=window.last)
        needs, _ = self._missing.needs(own, self._missing.expectation(order))
        key = window.instrument.instrument_key
        days = [need.day for need in needs if need.instrument.instrument_key == key]
        return all(attempts.get(day, EARLIER) > made_at for day in days)

    def _drop_unknown(self, run: BackfillRun) -> None:
        """Drop the other windows of instruments that the provider does not know."""
        for window in [w for w in run.queue if w.instrument.instrument_key in run.unknown]:
            run.queue.remove(window)
            reply = run.unknown[window.instrument.instrument_key]
            self._record(run, window, reply)

    def _record(
        self, run: BackfillRun, window: Window, reply: CandleReply, wait: timedelta | None = None
    ) -> None:
        """Store one response, with the ledger and the run's audit row, in one transaction.

        *wait* is the time to the next attempt after a failure, instead of the usual one.
        """
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
                fail=self._failed(run.run_id, window, reply, wait),
                run=run.row(self._clock.now(), Outcome.RUNNING, None),
                attempt=_attempt(run.run_id, window, reply, error),
                expectation=expectation,
            )
        recorded = keep_writing(partial(with_days_back, write, self._bring_back), self._clock)
        if recorded.fault is not None:
            run.report.failed(FailureKind.EMPTY_DESPITE_TRADING.group, recorded.fault, window)
        elif reply.complete and not len(reply.block):
            run.report.failures[FailureGroup.EMPTY] += 1
        written = recorded.written
        run.report.inserted += written.inserted
        run.report.revised += written.revised
        run.report.finalised += written.finalised

    def _failed(
        self, run_id: str, window: Window, reply: CandleReply, wait: timedelta | None
    ) -> Callable[[DayCoverage], DayCoverage]:
        """What the failure in *reply* makes of a day of *window*; *wait*: see `_record`.

        The key of an instrument that is no longer listed is one that the provider no longer
        knows; one that is listed it should know.
        """
        failure, error = _failure(reply)
        wait = first_wait(failure) if wait is None else wait
        unknown = isinstance(reply.problem, UnknownInstrument)
        if unknown and not self._repository.is_listed(window.instrument.instrument_key):
            proof = Proof(f"{window.endpoint} response", run_id, reply.received_at)
            return partial(with_unknown_instrument, error=error, proof=proof, first_wait=wait)
        return partial(with_failure, error=error, at=reply.received_at, first_wait=wait)


def _has_few_bad_rows(reply: CandleReply) -> bool:
    bad = sum(reply.rejected_rows.values())
    return reply.problem is None and 0 < bad <= min(FEW_BAD_ROWS, len(reply.block))


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
