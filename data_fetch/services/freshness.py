"""How fresh the stored quotes and chains are; symbols with stale quotes are requested again."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

from data_fetch.core.chains.freshness import STALE_CHAINS, ChainJudgement
from data_fetch.core.clock import IST, MINUTE, minute_of
from data_fetch.core.freshness import STALE, Freshness, FreshnessRules, count_states
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.market.members import Members
from data_fetch.core.ports import Clock, QuoteRepository
from data_fetch.core.quotes.freshness import Judgement, judge
from data_fetch.core.quotes.quotes import Movement
from data_fetch.core.runs import Outcome, SyncRun, counted_names, log_facts
from data_fetch.core.timetable import FRESHNESS, Job, Timetable
from data_fetch.services.kept_writes import keep_writing
from data_fetch.services.recurring import RecurringService

log = logging.getLogger("data_fetch.ltp_service")

REFERENCE_INDEX = "NIFTY"


class FreshnessMonitor(RecurringService):
    """Judges every member by the age of its last quote; requests stale ones again.

    *repair* requests the symbols it is given. *chains* judges the polled chains, which are counted
    beside the quotes; the next poll requests them anyway. An alarm is logged when the state of a
    symbol's quotes or chains changes, not at every check.
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
        chains: Callable[[], Sequence[ChainJudgement]],
    ) -> None:
        self._repository = quotes_repository
        self._members = members
        self._calendar = calendar
        self._clock = clock
        self._rules = rules
        self._repair = repair
        self._chains = chains
        self._watching_since = clock.now()
        self._quote_alarm = StateAlarm("freshness_changed")
        self._chain_alarm = StateAlarm("chain_freshness_changed")

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
        chains = self._chains()
        self._quote_alarm.follow({each.symbol: each.state for each in judgements})
        self._chain_alarm.follow({each.symbol: each.state for each in chains})
        stale = [judgement.symbol for judgement in judgements if judgement.state in STALE]
        repaired = self._repair(stale) if stale else None
        counts = count_states(each.state for each in judgements)
        chain_counts = count_states(each.state for each in chains)
        stale_chains = [each.symbol for each in chains if each.state in STALE_CHAINS]
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
                "chains": {**chain_counts, "stale": counted_names(stale_chains)},
            },
        )
        keep_writing(partial(self._repository.record_runs, [run]), self._clock)
        facts = {**log_facts(run), **counts, "chains": chain_counts}
        log.info("freshness", extra={"job": FRESHNESS, **facts})

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


class StateAlarm:
    """Logs *event* once for each state that symbols have changed to.

    A closed market changes no state: what was late at its close and is received after the next
    opening has become fresh.
    """

    def __init__(self, event: str) -> None:
        self._event = event
        self._states: dict[str, Freshness] = {}

    def follow(self, states: Mapping[str, Freshness]) -> None:
        """Compare *states* by symbol with the last ones, which they replace."""
        judged = {each: state for each, state in states.items() if state is not Freshness.CLOSED}
        changed: dict[Freshness, list[str]] = {}
        for symbol, state in judged.items():
            if state is not self._states.get(symbol, Freshness.FRESH):
                changed.setdefault(state, []).append(symbol)
        for changed_to, symbols in changed.items():
            level = logging.INFO if changed_to is Freshness.FRESH else logging.WARNING
            facts = {"state": str(changed_to), "count": len(symbols), "symbols": symbols}
            log.log(level, self._event, extra=facts)
        self._states |= judged
