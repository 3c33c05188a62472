"""Polls option chains on a schedule with a pool of workers.

A slow or failing symbol occupies one worker and delays no other symbol. The configuration in the
store may change while the collector runs.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from threading import Lock

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.polling import (
    LONG_AGO,
    NOTHING_POLLED,
    PollingPlan,
    PollQueue,
    SourceLimits,
    Target,
    plan_polling,
)
from data_fetch.core.chains.polls import Poll
from data_fetch.core.clock import MINUTE
from data_fetch.core.errors import DataFetchError, Stopped
from data_fetch.core.failures import FailureKind
from data_fetch.core.ports import Clock
from data_fetch.core.timetable import CHAINS, Job, Timetable
from data_fetch.services.chains import ChainService
from data_fetch.services.clocked_pool import ClockedPool
from data_fetch.services.polling import PollTargets
from data_fetch.services.recurring import RecurringService

log = logging.getLogger(__name__)

WORKERS = 4
KEPT_FAILURES = 100

# Whether every chain was received, and which sources failed.
PollState = tuple[bool, frozenset[tuple[ChainSource, FailureKind]]]
WORKING: PollState = True, frozenset()


class ChainPoller(RecurringService):
    """Polls *targets* within the *limits* of the source that answers.

    *report* receives a line for people when the plan changes, when a symbol to poll is not known,
    and when a symbol changes its source, begins to fail, or works again; *polled* receives each
    poll that has ended.
    """

    def __init__(
        self,
        *,
        service: ChainService,
        targets: Callable[[], PollTargets],
        limits: Mapping[ChainSource, SourceLimits],
        clock: Clock,
        report: Callable[[str], None],
        polled: Callable[[Poll], None],
    ) -> None:
        self._service = service
        self._poll_targets = targets
        self._limits = limits
        self._clock = clock
        self._report = report
        self._polled = polled
        self._pool: ClockedPool | None = None
        self._lock = Lock()
        self._busy_workers = 0
        self._last_tick = LONG_AGO
        self._queue = PollQueue()
        self._targets: dict[str, Target] = {}
        self._plan: PollingPlan | None = None
        self._source = service.answering
        self._unknown: tuple[str, ...] = ()
        self._followed_at: datetime | None = None
        self._states: dict[str, PollState] = {}
        self._failures: deque[Exception] = deque(maxlen=KEPT_FAILURES)
        self._polls = 0

    @property
    def plan(self) -> PollingPlan:
        """The plan in force; before the first one nothing is polled."""
        return self._plan or NOTHING_POLLED

    @property
    def polls(self) -> int:
        """How many polls have ended so far."""
        with self._lock:
            return self._polls

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        return [timetable.job(CHAINS, self.tick)]

    def tallies(self, first: date, last: date) -> Mapping[str, int]:
        """The chains in the store, whatever their day."""
        snapshots, legs = self._service.counts()
        return {"chain_snapshots": snapshots, "chain_legs": legs}

    def prepare(self) -> None:
        """Report the polling plan before the first poll."""
        self.follow()

    def tick(self) -> None:
        """Start workers for the symbols that are due, and return at once.

        Raises what a worker raised since the last tick.
        """
        self.follow()
        with self._lock:
            self._last_tick = self._clock.now()
            if self._pool is None:
                self._pool = ClockedPool(self._clock, WORKERS, "chains")
            while self._busy_workers < self._at_once and (symbol := self._take()) is not None:
                self._busy_workers += 1
                self._pool.submit(self._work, symbol)
        if self._failures:
            raise self._failures.popleft()

    def follow(self) -> PollingPlan:
        """Plan again if a minute has passed, since the configuration may have changed, or if
        another source answers, whose limits are different."""
        now, source = self._clock.now(), self._service.answering
        stale = self._followed_at is None or now - self._followed_at >= MINUTE
        if self._plan is None or stale or source is not self._source:
            found = self._poll_targets()
            plan = plan_polling(found.poll_requests, self._limits[source].windows)
            with self._lock:
                self._queue.follow(plan)
                self._targets = {each.config.symbol: each.target for each in found.polled}
            if plan != self._plan:
                self._report(plan_in_force_line(plan, source, self._service.first_source))
            if found.unknown and found.unknown != self._unknown:
                self._report(unknown_line(found.unknown))
            self._plan, self._unknown, self._followed_at = plan, found.unknown, now
            self._source = source
        return self._plan

    def clock_set_back(self, before: datetime, now: datetime) -> None:
        """Poll every symbol as if it had not been polled yet."""
        with self._lock:
            self._queue.forget_ticks()
            self._followed_at, self._last_tick = None, now

    def close(self) -> None:
        """Return when the polls in progress have ended, at most one per worker; no other begins
        before the next tick."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    @property
    def _at_once(self) -> int:
        return min(WORKERS, self._limits[self._source].at_once)

    def _take(self) -> str | None:
        """A symbol that was due at the last tick: when ticks end, so do polls."""
        return None if self._pool is None else self._queue.take(self._last_tick)

    def _take_next(self) -> str | None:
        """A symbol for a worker that is free again; none when the source allows fewer workers."""
        return self._take() if self._busy_workers <= self._at_once else None

    def _work(self, symbol: str | None) -> None:
        """Poll one symbol after the other until nothing is left of the last tick."""
        try:
            while symbol is not None:
                self._poll(symbol)
                with self._lock:
                    self._polls += 1
                    self._queue.done(symbol)
                    symbol = self._take_next()
        finally:
            with self._lock:
                self._busy_workers -= 1

    def _poll(self, symbol: str) -> None:
        target = self._targets.get(symbol)
        if target is None:
            return
        try:
            poll = self._service.poll(target)
            self._report_change(poll)
            self._polled(poll)
        except Stopped:
            return
        except Exception as problem:
            # Any exception: a failing symbol must not stop the others. It is raised again at
            # the next tick, where failed jobs are reported and counted.
            if not isinstance(problem, DataFetchError):
                log.error("poll_failed", exc_info=True, extra={"symbol": symbol})
            self._failures.append(problem)

    def _report_change(self, poll: Poll) -> None:
        # Not the line itself: its order depends on which source was tried first.
        state = poll.complete, frozenset(poll.failures.items())
        if state != self._states.get(poll.symbol, WORKING):
            self._report(state_line(poll) if poll.failures else f"{poll.symbol}: works again")
        self._states[poll.symbol] = state


def state_line(poll: Poll) -> str:
    """The state of one symbol, for people: its name alone when the first source had its chains."""
    if not poll.failures:
        return poll.symbol
    failures = ", ".join(f"{source} {kind.predicate}" for source, kind in poll.failures.items())
    if poll.complete:
        sources = " and ".join(sorted({reply.source for reply in poll.replies}))
        return f"{poll.symbol}: chain received from {sources} ({failures})"
    return f"{poll.symbol}: no chain available ({failures}): {poll.error}"


def unknown_line(symbols: Sequence[str]) -> str:
    """The symbols that cannot be polled, for people."""
    return (
        f"Not polled: the store knows no instrument named {', '.join(symbols)}. Check "
        "NSE_SYMBOLS and data-fetch symbols list."
    )


def plan_in_force_line(plan: PollingPlan, answering: ChainSource, first: ChainSource) -> str:
    """The plan within the limits of the *answering* source, for people."""
    if answering is first:
        return plan_line(plan)
    return f"Chains come from {answering} because {first} fails. {plan_line(plan)}"


def plan_line(plan: PollingPlan) -> str:
    """The requests that polling needs, and the limit, for people."""
    symbols = len(plan.cadences)
    if not symbols:
        return "Nothing is polled. To poll something: data-fetch symbols add NIFTY"
    needed = (
        f"Polling {symbols} {'symbol' if symbols == 1 else 'symbols'} needs "
        f"{plan.requested:.0f} requests/min; the limit allows {plan.budget:.0f}."
    )
    if plan.feasible:
        return f"{needed} All run at their configured interval."
    slowed = [each for each in plan.cadences if each.slowed]
    slowest = max(slowed, key=lambda each: each.planned_interval)
    return (
        f"{needed} {len(slowed)} of them {'runs' if len(slowed) == 1 else 'run'} less often: "
        f"{slowest.symbol} every {slowest.planned_interval:.0f} s instead of "
        f"{slowest.requested_interval:.0f} s."
    )
