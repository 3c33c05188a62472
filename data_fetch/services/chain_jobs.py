"""The chains that a collector polls by itself: which, how often, by a pool of workers.

A slow or failing symbol keeps one worker busy and delays nobody else. What is polled stands in
the store and may be changed while the collector runs.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from threading import Lock

from data_fetch.core.chains.polling import (
    LONG_AGO,
    PollingPlan,
    PollQueue,
    plan_polling,
)
from data_fetch.core.chains.polls import Poll
from data_fetch.core.clock import MINUTE
from data_fetch.core.errors import DataFetchError, Stopped
from data_fetch.core.ports import Clock
from data_fetch.core.timetable import CHAINS, Job, Timetable
from data_fetch.services.chains import ChainService, Target
from data_fetch.services.clocked_pool import ClockedPool
from data_fetch.services.polling import PollTargets
from data_fetch.services.recurring import RecurringService

log = logging.getLogger(__name__)

WORKERS = 4
KEPT_FAILURES = 100


class ChainPoller(RecurringService):
    """Polls what is *wanted*, within *limits* of the first source.

    *report* gets a line for people when the plan changes, when a symbol to poll is not known, and
    when one changes its source or begins or ceases to fail.
    """

    def __init__(
        self,
        *,
        service: ChainService,
        targets: Callable[[], PollTargets],
        limits: Mapping[timedelta, int],
        clock: Clock,
        report: Callable[[str], None],
        workers: int = WORKERS,
    ) -> None:
        self._service = service
        self._poll_targets = targets
        self._limits = limits
        self._clock = clock
        self._report = report
        self._workers = workers
        self._pool: ClockedPool | None = None
        self._lock = Lock()
        self._at_work = 0
        self._last_tick = LONG_AGO
        self._turns = PollQueue()
        self._targets: dict[str, Target] = {}
        self._plan: PollingPlan | None = None
        self._unknown: tuple[str, ...] = ()
        self._followed_at: datetime | None = None
        self._states: dict[str, str] = {}
        self._failures: deque[Exception] = deque(maxlen=KEPT_FAILURES)
        self._polls = 0

    @property
    def polls(self) -> int:
        """How many polls have come to an end so far."""
        with self._lock:
            return self._polls

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        return [timetable.job(CHAINS, self.tick)]

    def tallies(self, day: date) -> Mapping[str, int]:
        snapshots, legs = self._service.counts()
        return {"chain_polls": self.polls, "chain_snapshots": snapshots, "chain_legs": legs}

    def tick(self) -> None:
        """Set workers to work on what is due, and return at once.

        Raises what a worker ran into since the last tick.
        """
        self.follow()
        with self._lock:
            self._last_tick = self._clock.now()
            if self._pool is None:
                self._pool = ClockedPool(self._clock, self._workers, "chains")
            while self._at_work < self._workers and (symbol := self._take()) is not None:
                self._at_work += 1
                self._pool.submit(self._work, symbol)
        if self._failures:
            raise self._failures.popleft()

    def follow(self) -> PollingPlan:
        """Plan anew if a minute has passed: what is configured may have changed."""
        now = self._clock.now()
        if self._plan is None or self._followed_at is None or now - self._followed_at >= MINUTE:
            found = self._poll_targets()
            plan = plan_polling(found.poll_requests, self._limits)
            with self._lock:
                self._turns.follow(plan)
                self._targets = {each.config.symbol: each.target for each in found.polled}
            if plan != self._plan:
                self._report(f"Chains: {plan_line(plan)}")
            if found.unknown and found.unknown != self._unknown:
                self._report(unknown_line(found.unknown))
            self._plan, self._unknown, self._followed_at = plan, found.unknown, now
        return self._plan

    def close(self) -> None:
        """Return when the polls in hand are done, at most one a worker; none is begun before
        the next tick."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _take(self) -> str | None:
        """A symbol that was due at the last tick: when ticks end, so do polls."""
        return None if self._pool is None else self._turns.take(self._last_tick)

    def _work(self, symbol: str | None) -> None:
        """Poll one symbol after the other until nothing is left of the last tick."""
        try:
            while symbol is not None:
                self._poll(symbol)
                with self._lock:
                    self._polls += 1
                    self._turns.done(symbol)
                    symbol = self._take()
        finally:
            with self._lock:
                self._at_work -= 1

    def _poll(self, symbol: str) -> None:
        target = self._targets.get(symbol)
        if target is None:
            return
        try:
            self._tell_change(self._service.poll(target))
        except Stopped:
            return
        except Exception as problem:
            # Everything: one symbol may fail in any way, the others may not. It is raised again
            # at the next tick, where failed jobs are told and counted.
            if not isinstance(problem, DataFetchError):
                log.error("poll_failed", exc_info=True, extra={"symbol": symbol})
            self._failures.append(problem)

    def _tell_change(self, poll: Poll) -> None:
        state = state_line(poll)
        if state != self._states.get(poll.symbol, poll.symbol):
            self._report(f"Chains: {state}")
        self._states[poll.symbol] = state


def state_line(poll: Poll) -> str:
    """How it stands with one symbol: its name alone when the first source told everything."""
    if not poll.failures:
        return poll.symbol
    failures = ", ".join(f"{source}: {failure}" for source, failure in poll.failures.items())
    if poll.complete:
        sources = " and ".join(sorted({reply.source for reply in poll.replies}))
        return f"{poll.symbol} comes from {sources} ({failures})"
    return f"{poll.symbol} cannot be had ({failures}): {poll.error}"


def unknown_line(symbols: Sequence[str]) -> str:
    """Which symbols are wanted and cannot be polled, for people."""
    return (
        f"Chains: the store knows no instrument named {', '.join(symbols)}: not polled. Look at "
        "NSE_SYMBOLS and data-fetch symbols list."
    )


def plan_line(plan: PollingPlan) -> str:
    """What was wished and what can be had, for people."""
    symbols = len(plan.cadences)
    if not symbols:
        return "Nothing is polled. To poll something: data-fetch symbols add NIFTY"
    wished = f"{symbols} symbols wish for {plan.requested:.0f} requests a minute"
    if plan.feasible:
        return f"{wished}, {plan.budget:.0f} can be had: each as often as it wishes."
    slowed = [each for each in plan.cadences if each.slowed]
    slowest = max(slowed, key=lambda each: each.planned_interval)
    return (
        f"{wished}, {plan.budget:.0f} can be had: {len(slowed)} of them are polled less "
        f"often, {slowest.symbol} every {slowest.planned_interval:.0f} s instead of "
        f"{slowest.requested_interval:.0f} s."
    )
