"""Quotes every minute.

Collects the slots that are due and records those that can no longer be collected as missed. The
audit row of a run is written in one transaction with its quotes.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial

from data_fetch.core.batches import RejectedRow
from data_fetch.core.clock import IST, MINUTE, minute_of
from data_fetch.core.errors import DataFetchError, OutsideError, TokenRejected
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, TradingGroup, group_of
from data_fetch.core.market.members import Members
from data_fetch.core.ports import Clock, QuoteRepository, QuoteSource, SlotListener
from data_fetch.core.quotes.key_results import KeyResult, by_reason, key_results
from data_fetch.core.quotes.quotes import QuoteResponse, StoredQuote
from data_fetch.core.quotes.volume_guard import VolumeGuard
from data_fetch.core.runs import (
    Outcome,
    SyncAttempt,
    SyncRun,
    SyncState,
    counted_names,
    log_facts,
)
from data_fetch.core.timetable import CLOCK, QUOTES, Job, Timetable
from data_fetch.services.kept_writes import end_of_slot, keep_writing
from data_fetch.services.recurring import RecurringService

log = logging.getLogger("data_fetch.ltp_service")

# A long absence is reported in one line, and recorded in short transactions.
REPORTED_ONE_BY_ONE, RUNS_PER_WRITE = 5, 500
# A larger step back is rather an error of the new time.
LONGEST_WITHDRAWAL = timedelta(days=1)
SWITCH = timedelta(seconds=20)
ONCE, REPAIR = "collect-once", "repair"


class WhyMissed(StrEnum):
    """Reasons why a slot was not collected."""

    NOT_RUNNING = "the collector was not running"
    CLOCK_AHEAD = "the clock was ahead, and was set back later"
    TOO_LATE = "the collector was busy, asleep or without its store until its minute had passed"


class LtpService(RecurringService):
    """Collects the quotes of all *members*, slot by slot.

    Every slot after *last_recorded_slot* is collected, or gets a row with the reason why it was
    not; slots before *running_since* are missed because no collector was running, later ones that
    have passed at the first `collect_due` by *why_late*. *unresolved*
    are listed symbols without an instrument: every run of all members names them.
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
        why_late: str = WhyMissed.TOO_LATE,
        unresolved: Sequence[str] = (),
        listeners: Collection[SlotListener] = (),
    ) -> None:
        self._source = source
        self._source_name = source_name
        self._repository = quotes_repository
        self._members = members
        self._calendar = calendar
        self._clock = clock
        self._running_since = running_since
        self._why_late = why_late
        self._unresolved = list(unresolved)
        self._last_recorded = last_recorded_slot
        self._listeners = listeners
        # The store may have later slots: those of a day that is rehearsed again.
        self._volumes = VolumeGuard(
            (row.slot.astimezone(IST).date(), row.quote)
            for row in quotes_repository.latest().values()
            if row.slot <= last_recorded_slot
        )
        self._begun = self._paused = False
        self._unrecorded: dict[datetime, str] = {}
        self._set_back: tuple[datetime, datetime] | None = None
        self._clock_ahead_until = last_recorded_slot

    @property
    def last_recorded_slot(self) -> datetime:
        """The last slot that was collected or has a row with the reason why not."""
        return self._last_recorded

    def slots_on(self, first: date, last: date) -> list[datetime]:
        """The slots of the members on the IST days from *first* to *last*."""
        days = [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
        slots: set[datetime] = set()
        for group in self._members.groups:
            for day in days:
                slots.update(self._calendar.session(day, group).slots())
        return sorted(slots)

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        """Quotes; at the start also for slots that passed while no collector was running."""
        return [timetable.job(QUOTES, self.collect_due, at_start=True)]

    def tallies(self, first: date, last: date) -> Mapping[str, int]:
        """How many slots are due, and how many of them have neither quotes nor a reason."""
        due = self.slots_on(first, last)
        recorded = self._repository.recorded_slots(due[0], due[-1]) if due else ()
        return {"slots_due": len(due), "unexplained_minutes": len(set(due).difference(recorded))}

    def collect_due(self) -> None:
        """Collect the slot that has just ended, and record earlier ones as missed."""
        if self._set_back is not None:
            self._account_anew(*self._set_back)
            self._set_back = None
        due = self._due_slots()
        too_late = [slot for slot in due if not self._still_collectable(slot)]
        # At first, and after an absence, a merge may have brought rows.
        known = self._recorded_among(due) if too_late or not self._begun else ()
        self._begun = True
        if too_late:
            self._record_missed([slot for slot in too_late if slot not in known])
            self._last_recorded = too_late[-1]
            self._unrecorded.clear()
        self._why_late = WhyMissed.TOO_LATE
        for slot in [slot for slot in due if slot > self._last_recorded]:
            if slot in known:
                self._last_recorded = slot
                continue
            _, problem = self._collect(QUOTES, slot, self._members.at(due[slot]))
            self._last_recorded = slot
            self._follow_token(problem)
            if problem is not None and not isinstance(problem, TokenRejected):
                raise problem

    def clock_set_back(self, before: datetime, now: datetime) -> None:
        """Account for the slots after *now* again, at the next `collect_due`."""
        self._set_back = before, now

    def collect_now(self) -> SyncRun:
        """Collect every member once; the slot is the minute of the request.

        Raises OutsideError when no quote was received; the failed run is recorded first.
        """
        run, problem = self._collect_once()
        if problem is not None:
            raise problem
        return run

    def try_to_collect(self) -> SyncRun:
        """The same, but a failure is only in the outcome and the error of the run."""
        run, _ = self._collect_once()
        return run

    def _collect_once(self) -> tuple[SyncRun, OutsideError | None]:
        slot = minute_of(self._clock.now())
        return self._collect(ONCE, slot, self._members.instruments)

    def repair(self, symbols: Collection[str]) -> SyncRun | None:
        """Request *symbols* again, for the slot that has just ended.

        Returns None when that slot was not in session for any of them, or without a token.
        """
        if self._paused:
            return None
        slot = minute_of(self._clock.now()) - MINUTE
        in_session = [
            instrument
            for instrument in self._members.named(symbols)
            if self._calendar.is_slot_due(slot, _group_at(slot, instrument))
        ]
        if not in_session:
            return None
        run, _ = self._collect(REPAIR, slot, in_session)
        return run

    def _account_anew(self, before: datetime, now: datetime) -> None:
        """Withdraw the slots that were recorded ahead of time; continue after those before it."""
        step = f"the clock was set back from {_ist(before)} to {_ist(now)} IST"
        run = SyncRun.begin(CLOCK, now).finish(self._clock.now(), Outcome.INCOMPLETE, error=step)
        if before - now <= LONGEST_WITHDRAWAL:
            run = self._repository.withdraw(run, since=now, until=before)
        else:
            # It may be the new time that is wrong: so much is left to people.
            run = replace(run, error=f"{step}; the slots ahead of it stay as they are")
            self._repository.record_runs([run])
        log.warning("slots_withdrawn", extra={**log_facts(run), **run.details})
        slot = minute_of(now)
        self._last_recorded = self._repository.last_recorded(slot) or slot - MINUTE
        self._clock_ahead_until = slot
        self._running_since = min(self._running_since, now)
        self._unrecorded.clear()

    def _due_slots(self) -> dict[datetime, list[TradingGroup]]:
        """Slots that are over and not recorded, oldest first, with the groups that trade."""
        over = minute_of(self._clock.now()) - MINUTE
        due: dict[datetime, list[TradingGroup]] = {}
        for group in self._members.groups:
            for slot in self._calendar.slots_between(self._last_recorded, over, group):
                due.setdefault(slot, []).append(group)
        return dict(sorted(due.items()))

    def _still_collectable(self, slot: datetime) -> bool:
        return self._clock.now() < slot + 2 * MINUTE

    def _recorded_among(self, slots: Collection[datetime]) -> Collection[datetime]:
        """Those of *slots* that have a row."""
        return self._repository.recorded_slots(min(slots), max(slots)) if slots else ()

    def _why_missed(self, slot: datetime) -> str:
        if self._clock_ahead_until > slot:
            return WhyMissed.CLOCK_AHEAD
        was_down = slot + MINUTE < self._running_since
        otherwise = WhyMissed.NOT_RUNNING if was_down else self._why_late
        return self._unrecorded.get(slot, otherwise)

    def _follow_token(self, problem: OutsideError | None) -> None:
        """Log once that slots are missed without a token, and once that they no longer are."""
        paused = isinstance(problem, TokenRejected)
        if paused and not self._paused:
            log.error("paused_for_token", extra={"problem": str(problem)})
        elif self._paused and not paused:
            log.warning("resumed_with_token")
        self._paused = paused

    def _collect(
        self, job: str, slot: datetime, requested: Sequence[Instrument]
    ) -> tuple[SyncRun, OutsideError | None]:
        """One recorded run, and the problem when no quote was received."""
        started = self._clock.now()
        try:
            response = self._source.quotes([instrument.instrument_key for instrument in requested])
        except OutsideError as problem:
            return self._record_failure(job, slot, requested, started, problem), problem
        in_session = {
            group: self._calendar.is_slot_due(slot, group)
            for group in {_group_at(slot, instrument) for instrument in requested}
        }
        if any(in_session.values()):
            response = self._without_falling_volumes(slot, response)
        results = key_results(requested, response)
        run = self._finished(SyncRun.begin(job, started, slot), results, response)
        quotes = self._rows(run, slot, results, in_session, response.received_at)
        self._record(slot, run, quotes, _attempts(run, results, response.received_at))
        self._report(run, quotes)
        return run, None

    def _finished(
        self, run: SyncRun, results: Sequence[KeyResult], response: QuoteResponse
    ) -> SyncRun:
        counts = Counter(result.state for result in results)
        stored = counts[SyncState.OK]
        return run.finish(
            self._clock.now(),
            Outcome.COMPLETED if stored == len(results) else Outcome.INCOMPLETE,
            requested=len(results),
            stored=stored,
            absent=counts[SyncState.ABSENT],
            quarantined=counts[SyncState.QUARANTINED],
            rejected=counts[SyncState.REJECTED],
            requests=response.requests,
            error=response.error,
            details={**by_reason(results, response), **self._not_requested(run.job)},
        )

    def _not_requested(self, job: str) -> Mapping[str, object]:
        listed = job != REPAIR and self._unresolved
        return {"unresolved": counted_names(listed)} if listed else {}

    def _rows(
        self,
        run: SyncRun,
        slot: datetime,
        results: Sequence[KeyResult],
        in_session: Mapping[TradingGroup, bool],
        received: datetime,
    ) -> list[StoredQuote]:
        return [
            StoredQuote(
                symbol=result.instrument.symbol,
                slot=slot,
                quote=result.quote,
                off_session=not in_session[_group_at(slot, result.instrument)],
                received_at=received,
                source=self._source_name,
                run_id=run.run_id,
            )
            for result in results
            if result.quote is not None
        ]

    def _without_falling_volumes(self, slot: datetime, response: QuoteResponse) -> QuoteResponse:
        """Reject quotes whose cumulative volume is lower than it already was that day."""
        day = slot.astimezone(IST).date()
        rejected_rows = {
            quote.instrument_key: rejection
            for quote in response.records
            if (rejection := self._volumes.rejection(day, quote)) is not None
        }
        return replace(
            response,
            records=tuple(q for q in response.records if q.instrument_key not in rejected_rows),
            rejected=(
                *response.rejected,
                *(RejectedRow(key, why) for key, why in rejected_rows.items()),
            ),
        )

    def _record(
        self,
        slot: datetime,
        run: SyncRun,
        quotes: Sequence[StoredQuote],
        attempts: Sequence[SyncAttempt],
    ) -> None:
        """Store a slot in hand. What keeps it out of the store is the reason of its later row."""
        write = partial(self._repository.record_slot, run, quotes, attempts)
        try:
            # The rest of its time is for collecting it into another store.
            keep_writing(write, self._clock, end_of_slot(slot) - SWITCH)
        except DataFetchError as problem:
            what = "it was collected" if quotes else f"it had no quotes ({run.error})"
            self._unrecorded[slot] = f"{what} and could not be stored: {problem.message}"
            raise

    def _record_missed(self, slots: Sequence[datetime]) -> None:
        now = self._clock.now()
        runs = [
            SyncRun.begin(QUOTES, now, slot).finish(
                now, Outcome.MISSED, error=self._why_missed(slot)
            )
            for slot in slots
        ]
        for start in range(0, len(runs), RUNS_PER_WRITE):
            several = runs[start : start + RUNS_PER_WRITE]
            keep_writing(partial(self._repository.record_runs, several), self._clock)
        for run in runs if len(runs) <= REPORTED_ONE_BY_ONE else [_summed_up(runs)]:
            self._report(run, ())

    def _record_failure(
        self,
        job: str,
        slot: datetime,
        requested: Sequence[Instrument],
        started: datetime,
        problem: OutsideError,
    ) -> SyncRun:
        run = SyncRun.begin(job, started, slot).failed(self._clock.now(), problem, len(requested))
        results = [KeyResult(one, SyncState.FAILED, reason=problem.message) for one in requested]
        attempts = _attempts(run, results, run.finished_at)
        self._record(slot, run, (), attempts)
        self._report(run, ())
        return run

    def _report(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        log.info("slot", extra={"job": run.job, **log_facts(run)})
        for listener in self._listeners:
            listener(run, quotes)


def _ist(at: datetime) -> str:
    return f"{at.astimezone(IST):%d %b %H:%M:%S}"


def _attempts(run: SyncRun, results: Sequence[KeyResult], at: datetime) -> list[SyncAttempt]:
    return [
        SyncAttempt(
            symbol=result.instrument.symbol,
            data_type=QUOTES,
            state=result.state,
            attempted_at=at,
            records=int(result.state is SyncState.OK),
            error=result.reason,
            run_id=run.run_id,
        )
        for result in results
    ]


def _summed_up(runs: Sequence[SyncRun]) -> SyncRun:
    """One run that reports many: the newest, with their period in its error. Not stored."""
    first, last = runs[0], runs[-1]
    since = first.due_slot.astimezone(IST) if first.due_slot else None
    return replace(last, error=f"{len(runs)} slots since {since:%d %b %H:%M}: {last.error}")


def _group_at(slot: datetime, instrument: Instrument) -> TradingGroup:
    return group_of(instrument, slot.astimezone(IST).date())
