"""How fresh the stored quotes are; stale symbols are requested again."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

from data_fetch.core.clock import IST, MINUTE, minute_of
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.market.members import Members
from data_fetch.core.ports import Clock, QuoteRepository
from data_fetch.core.quotes.freshness import (
    STALE,
    Freshness,
    FreshnessRules,
    Judgement,
    count_states,
    judge,
)
from data_fetch.core.quotes.quotes import Movement
from data_fetch.core.runs import Outcome, SyncRun, counted_names, log_facts
from data_fetch.core.timetable import FRESHNESS, Job, Timetable
from data_fetch.services.kept_writes import keep_writing
from data_fetch.services.recurring import RecurringService

log = logging.getLogger("data_fetch.ltp_service")

REFERENCE_INDEX = "NIFTY"


class FreshnessMonitor(RecurringService):
    """Judges every member by the age of its last quote; requests stale ones again.

    *repair* requests the symbols it is given. An alarm is logged when a symbol's state changes,
    not at every check.
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
        self._watching_since = clock.now()
        self._states: Mapping[str, Freshness] = {}

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        return [timetable.job(FRESHNESS, self.check)]

    def check(self) -> None:
        """Judge, raise alarms, repair, and write the audit row."""
        started = self._clock.now()
        judgements = self.judge_all()
        nothing_seen = all(judgement.state is Freshness.NEVER_SEEN for judgement in judgements)
        if nothing_seen and not self._slots_since(self._watching_since - MINUTE):
            # Before the first slot no quote can be late.
            return
        self._alarm(judgements)
        stale = [judgement.symbol for judgement in judgements if judgement.state in STALE]
        repaired = self._repair(stale) if stale else None
        counts = count_states(judgements)
        run = SyncRun.begin(FRESHNESS, started, minute_of(started)).finish(
            self._clock.now(),
            Outcome.INCOMPLETE if stale else Outcome.COMPLETED,
            requested=len(judgements),
            stored=counts[Freshness.FRESH],
            requests=repaired.requests if repaired else 0,
            details={
                **counts,
                "stale": counted_names(stale),
                "repaired": repaired.stored if repaired else 0,
            },
        )
        keep_writing(partial(self._repository.record_runs, [run]), self._clock)
        log.info("freshness", extra={"job": FRESHNESS, **log_facts(run), **counts})

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
                group=group_of(instrument, now.astimezone(IST).date()),
                calendar=self._calendar,
                rules=self._rules,
                last_quote=row.received_at if (row := latest.get(instrument.symbol)) else None,
                movement=movements.get(instrument.symbol),
                index_moved=index is not None and index.price_moved,
            )
            for instrument in self._members.instruments
        ]

    def _movements(self, now: datetime) -> Mapping[str, Movement]:
        """How quotes moved over the last slots, by symbol."""
        over = minute_of(now) - MINUTE
        slots = self._slots_since(over - self._rules.frozen_after * MINUTE)
        return self._repository.movements(sorted(slots)) if slots else {}

    def _slots_since(self, after: datetime) -> set[datetime]:
        """The slots of all groups after *after* that are over."""
        over = minute_of(self._clock.now()) - MINUTE
        return {
            slot
            for group in self._members.groups
            for slot in self._calendar.slots_between(after, over, group)
        }

    def _alarm(self, judgements: Sequence[Judgement]) -> None:
        """Log one line for each state that symbols have changed to."""
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
