"""Quotes every minute, and how fresh they are.

`LtpService` collects the slots that are due and accounts for those that cannot be had any
more; `FreshnessMonitor` judges what is held and has stale symbols repaired. Both write their
audit row in the transaction of the facts it speaks of.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from data_fetch.core.batches import RejectedRow
from data_fetch.core.clock import IST, MINUTE, minute_of
from data_fetch.core.errors import OutsideError, StoreUnreachable, TokenRejected
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, TradingGroup, group_of
from data_fetch.core.ports import Clock, QuoteRepository, QuoteSource, SlotListener
from data_fetch.core.quotes.freshness import (
    STALE,
    Freshness,
    FreshnessRules,
    Judgement,
    count_states,
    judge,
)
from data_fetch.core.quotes.key_results import KeyResult, by_reason, key_results
from data_fetch.core.quotes.quotes import Movement, QuoteResponse, StoredQuote
from data_fetch.core.quotes.volume_guard import VolumeGuard
from data_fetch.core.runs import Outcome, SyncAttempt, SyncRun, SyncState, new_run_id
from data_fetch.core.timetable import FRESHNESS, QUOTES

log = logging.getLogger("data_fetch.ltp_service")

# A long absence is told in one line, and recorded in short transactions.
TOLD_ONE_BY_ONE, RUNS_PER_WRITE = 5, 500
ONCE, REPAIR = "collect-once", "repair"
REFERENCE_INDEX = "NIFTY"


class WhyMissed(StrEnum):
    """Reasons for a slot that nobody collected."""

    NOT_RUNNING = "the collector was not running"
    TOO_LATE = "the collector was busy, asleep or without its store until its minute had passed"


@dataclass(frozen=True, slots=True)
class Members:
    """The instruments of the universe, by where they trade."""

    instruments: tuple[Instrument, ...]

    @property
    def groups(self) -> frozenset[TradingGroup]:
        return frozenset(map(group_of, self.instruments))

    def at(self, groups: Collection[TradingGroup]) -> list[Instrument]:
        return [instrument for instrument in self.instruments if group_of(instrument) in groups]

    def named(self, symbols: Collection[str]) -> list[Instrument]:
        return [instrument for instrument in self.instruments if instrument.symbol in symbols]


class LtpService:
    """Collects the quotes of all *members*, slot by slot.

    Every slot after *last_recorded_slot* is collected, or gets a row with the reason why it was
    not; *running_since* tells "we were not running" from other reasons.
    Safe to run again at any time: a slot collected twice leaves the same rows.
    """

    def __init__(
        self,
        *,
        source: QuoteSource,
        source_name: str,
        quotes_repository: QuoteRepository,
        members: Members,
        calendar: MarketCalendar,
        clock: Clock,
        last_recorded_slot: datetime,
        running_since: datetime,
        listeners: Sequence[SlotListener] = (),
    ) -> None:
        self._source = source
        self._source_name = source_name
        self._repository = quotes_repository
        self._members = members
        self._calendar = calendar
        self._clock = clock
        self._running_since = running_since
        self._last_recorded = last_recorded_slot
        self._listeners = listeners
        # Later slots may be held too: those of a day that is rehearsed once more.
        self._volumes = VolumeGuard(
            (row.slot.astimezone(IST).date(), row.quote)
            for row in quotes_repository.latest().values()
            if row.slot <= last_recorded_slot
        )
        self._paused = False
        self._unrecorded: dict[datetime, str] = {}

    @property
    def last_recorded_slot(self) -> datetime:
        """The last slot that was collected or has a row that says why not."""
        return self._last_recorded

    def slots_on(self, day: date) -> int:
        """How many slots the members have on one IST day."""
        slots: set[datetime] = set()
        for group in self._members.groups:
            slots.update(self._calendar.session(day, group).slots())
        return len(slots)

    def collect_due(self) -> None:
        """Collect the slot that has just ended, and account for earlier ones nobody did."""
        due = self._due_slots()
        too_late = [slot for slot in due if not self._still_collectable(slot)]
        if too_late:
            self._record_missed(too_late)
            self._last_recorded = too_late[-1]
            self._unrecorded.clear()
        for slot in [slot for slot in due if slot > self._last_recorded]:
            try:
                _, problem = self._collect(QUOTES, slot, self._members.at(due[slot]))
            except StoreUnreachable as down:
                self._unrecorded[slot] = f"it was collected and could not be stored: {down.message}"
                raise
            self._last_recorded = slot
            self._follow_token(problem)
            if problem is not None and not isinstance(problem, TokenRejected):
                raise problem

    def collect_now(self) -> SyncRun:
        """Collect every member once; the slot is the minute of the request.

        Raises OutsideError when nothing could be had; the failed run is recorded all the same.
        """
        slot = minute_of(self._clock.now())
        run, problem = self._collect(ONCE, slot, self._members.instruments)
        if problem is not None:
            raise problem
        return run

    def repair(self, symbols: Collection[str]) -> SyncRun | None:
        """Ask again for *symbols*, for the slot that has just ended.

        None when that slot was not in session for any of them, and while there is no token.
        """
        if self._paused:
            return None
        slot = minute_of(self._clock.now()) - MINUTE
        in_session = [
            instrument
            for instrument in self._members.named(symbols)
            if self._calendar.is_slot_due(slot, group_of(instrument))
        ]
        if not in_session:
            return None
        run, _ = self._collect(REPAIR, slot, in_session)
        return run

    def _due_slots(self) -> dict[datetime, list[TradingGroup]]:
        """Slots that are over and not accounted for, oldest first, and who trades in them."""
        over = minute_of(self._clock.now()) - MINUTE
        due: dict[datetime, list[TradingGroup]] = {}
        for group in self._members.groups:
            for slot in self._calendar.slots_between(self._last_recorded, over, group):
                due.setdefault(slot, []).append(group)
        return dict(sorted(due.items()))

    def _still_collectable(self, slot: datetime) -> bool:
        return self._clock.now() < slot + 2 * MINUTE

    def _why_missed(self, slot: datetime) -> str:
        was_down = slot + MINUTE < self._running_since
        otherwise = WhyMissed.NOT_RUNNING if was_down else WhyMissed.TOO_LATE
        return self._unrecorded.get(slot, otherwise)

    def _follow_token(self, problem: OutsideError | None) -> None:
        """Say once that slots are lost for want of a token, and once that they are not."""
        paused = isinstance(problem, TokenRejected)
        if paused and not self._paused:
            log.error("paused_for_token", extra={"what": str(problem)})
        elif self._paused and not paused:
            log.warning("resumed_with_new_token")
        self._paused = paused

    def _collect(
        self, job: str, slot: datetime, asked: Sequence[Instrument]
    ) -> tuple[SyncRun, OutsideError | None]:
        """One recorded run, and what kept it from bringing anything, if something did."""
        started = self._clock.now()
        try:
            answer = self._source.quotes([instrument.instrument_key for instrument in asked])
        except OutsideError as problem:
            return self._record_failure(job, slot, asked, started, problem), problem
        in_session = {
            group: self._calendar.is_slot_due(slot, group) for group in set(map(group_of, asked))
        }
        if any(in_session.values()):
            answer = self._without_falling_volumes(slot, answer)
        found = key_results(asked, answer)
        run = self._run(job, slot, started, found, answer)
        quotes = self._rows(run, slot, found, in_session, answer.received_at)
        self._repository.record_slot(run, quotes, _attempts(run, found, answer.received_at))
        self._tell(run, quotes)
        return run, None

    def _run(
        self,
        job: str,
        slot: datetime,
        started: datetime,
        found: Sequence[KeyResult],
        answer: QuoteResponse,
    ) -> SyncRun:
        counts = Counter(account.state for account in found)
        stored = counts[SyncState.OK]
        return SyncRun(
            run_id=new_run_id(),
            job=job,
            due_slot=slot,
            started_at=started,
            finished_at=self._clock.now(),
            outcome=Outcome.COMPLETED if stored == len(found) else Outcome.INCOMPLETE,
            requested=len(found),
            stored=stored,
            absent=counts[SyncState.ABSENT],
            quarantined=counts[SyncState.QUARANTINED],
            rejected=counts[SyncState.REJECTED],
            requests=answer.requests,
            error=answer.error,
            details=by_reason(found, answer),
        )

    def _rows(
        self,
        run: SyncRun,
        slot: datetime,
        found: Sequence[KeyResult],
        in_session: Mapping[TradingGroup, bool],
        received: datetime,
    ) -> list[StoredQuote]:
        return [
            StoredQuote(
                symbol=account.instrument.symbol,
                slot=slot,
                quote=account.quote,
                off_session=not in_session[group_of(account.instrument)],
                received_at=received,
                source=self._source_name,
                run_id=run.run_id,
            )
            for account in found
            if account.quote is not None
        ]

    def _without_falling_volumes(self, slot: datetime, answer: QuoteResponse) -> QuoteResponse:
        """Set aside quotes whose cumulative volume is lower than it already was that day."""
        day = slot.astimezone(IST).date()
        rejected_rows = {
            quote.instrument_key: rejection
            for quote in answer.records
            if (rejection := self._volumes.rejection(day, quote)) is not None
        }
        return replace(
            answer,
            records=tuple(q for q in answer.records if q.instrument_key not in rejected_rows),
            rejected=(
                *answer.rejected,
                *(RejectedRow(key, why) for key, why in rejected_rows.items()),
            ),
        )

    def _record_missed(self, slots: Sequence[datetime]) -> None:
        now = self._clock.now()
        runs = [
            SyncRun(
                run_id=new_run_id(),
                job=QUOTES,
                due_slot=slot,
                started_at=now,
                finished_at=now,
                outcome=Outcome.MISSED,
                error=self._why_missed(slot),
            )
            for slot in slots
        ]
        for start in range(0, len(runs), RUNS_PER_WRITE):
            self._repository.record_runs(runs[start : start + RUNS_PER_WRITE])
        for run in runs if len(runs) <= TOLD_ONE_BY_ONE else [_summed_up(runs)]:
            self._tell(run, ())

    def _record_failure(
        self,
        job: str,
        slot: datetime,
        asked: Sequence[Instrument],
        started: datetime,
        problem: OutsideError,
    ) -> SyncRun:
        missed = isinstance(problem, TokenRejected)
        run = SyncRun(
            run_id=new_run_id(),
            job=job,
            due_slot=slot,
            started_at=started,
            finished_at=self._clock.now(),
            outcome=Outcome.MISSED if missed else Outcome.FAILED,
            requested=len(asked),
            error=str(problem),
        )
        found = [KeyResult(one, SyncState.FAILED, reason=problem.message) for one in asked]
        attempts = _attempts(run, found, run.finished_at)
        self._repository.record_slot(run, (), attempts)
        self._tell(run, ())
        return run

    def _tell(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        log.info("slot", extra={"job": run.job, **run_facts(run)})
        for listener in self._listeners:
            listener(run, quotes)


def _attempts(run: SyncRun, found: Sequence[KeyResult], at: datetime) -> list[SyncAttempt]:
    return [
        SyncAttempt(
            symbol=account.instrument.symbol,
            data_type=QUOTES,
            state=account.state,
            attempted_at=at,
            records=int(account.state is SyncState.OK),
            error=account.reason,
            run_id=run.run_id,
        )
        for account in found
    ]


def _summed_up(runs: Sequence[SyncRun]) -> SyncRun:
    """One run to tell of many: the newest, with the stretch in its words. Not to be stored."""
    first, last = runs[0], runs[-1]
    since = first.due_slot.astimezone(IST) if first.due_slot else None
    return replace(last, error=f"{len(runs)} slots since {since:%d %b %H:%M}: {last.error}")


def run_facts(run: SyncRun) -> dict[str, object]:
    """What one line of log says of a run."""
    return {
        "run_id": run.run_id,
        "slot": run.due_slot.astimezone(IST).isoformat() if run.due_slot else None,
        "outcome": str(run.outcome),
        "requested": run.requested,
        "stored": run.stored,
        "absent": run.absent,
        "quarantined": run.quarantined,
        "rejected": run.rejected,
        "requests": run.requests,
        "error": run.error,
    }


class FreshnessMonitor:
    """Judges every member now and then; has the stale ones asked for again.

    *repair* asks again for the symbols it is given. An alarm is logged when a symbol's state
    changes, not at every check.
    """

    def __init__(
        self,
        *,
        quotes_repository: QuoteRepository,
        members: Members,
        calendar: MarketCalendar,
        clock: Clock,
        rules: FreshnessRules,
        repair: Callable[[Collection[str]], SyncRun | None],
    ) -> None:
        self._repository = quotes_repository
        self._members = members
        self._calendar = calendar
        self._clock = clock
        self._rules = rules
        self._repair = repair
        self._states: Mapping[str, Freshness] = {}

    def check(self) -> None:
        """Judge, raise alarms, repair, and write the audit row."""
        started = self._clock.now()
        judgements = self.judge_all()
        if all(judgement.state is Freshness.NEVER_SEEN for judgement in judgements):
            # Before the very first slot there is nothing to be late.
            return
        self._alarm(judgements)
        stale = [judgement.symbol for judgement in judgements if judgement.state in STALE]
        repaired = self._repair(stale) if stale else None
        counts = count_states(judgements)
        run = SyncRun(
            run_id=new_run_id(),
            job=FRESHNESS,
            due_slot=minute_of(started),
            started_at=started,
            finished_at=self._clock.now(),
            outcome=Outcome.INCOMPLETE if stale else Outcome.COMPLETED,
            requested=len(judgements),
            stored=counts[Freshness.FRESH],
            requests=repaired.requests if repaired else 0,
            details={**counts, "stale": stale, "repaired": repaired.stored if repaired else 0},
        )
        self._repository.record_runs([run])
        log.info("freshness", extra={"job": FRESHNESS, **run_facts(run), **counts})

    def judge_all(self) -> list[Judgement]:
        """The state of every member at this instant."""
        now = self._clock.now()
        latest = self._repository.latest()
        movements = self._movements(now)
        index = movements.get(REFERENCE_INDEX)
        return [
            judge(
                instrument.symbol,
                now=now,
                group=group_of(instrument),
                calendar=self._calendar,
                rules=self._rules,
                last_quote=row.received_at if (row := latest.get(instrument.symbol)) else None,
                movement=movements.get(instrument.symbol),
                index_moved=index is not None and index.price_moved,
            )
            for instrument in self._members.instruments
        ]

    def _movements(self, now: datetime) -> Mapping[str, Movement]:
        """What the last slots said, by symbol."""
        over = minute_of(now) - MINUTE
        begin = over - self._rules.frozen_after * MINUTE
        slots = {
            slot
            for group in self._members.groups
            for slot in self._calendar.slots_between(begin, over, group)
        }
        return self._repository.movements(sorted(slots)) if slots else {}

    def _alarm(self, judgements: Sequence[Judgement]) -> None:
        """One line for each state that symbols have newly come to."""
        changed: dict[Freshness, list[str]] = {}
        for judgement in judgements:
            before = self._states.get(judgement.symbol, Freshness.FRESH)
            if judgement.state is not before and Freshness.CLOSED not in {judgement.state, before}:
                changed.setdefault(judgement.state, []).append(judgement.symbol)
        for state, symbols in changed.items():
            level = logging.INFO if state is Freshness.FRESH else logging.WARNING
            facts = {"state": str(state), "count": len(symbols), "symbols": symbols}
            log.log(level, "freshness_changed", extra=facts)
        self._states = {judgement.symbol: judgement.state for judgement in judgements}
