"""Upstox's market data feed V3: live ticks, and whether they can be relied on.

The SDK's streamer is not used: it does not notice a mute connection, waits too little or gives
up, and verifies no certificate. See `core.feed.liveness` for what the states mean.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import timedelta
from random import Random
from threading import Event, Thread
from typing import Any, TypeVar

import aiohttp

from data_fetch.core.clock import stopwatch
from data_fetch.core.errors import DataFetchError, RateLimited, Stopped, TokenRejected
from data_fetch.core.feed.disconnects import Disconnect
from data_fetch.core.feed.heartbeat import Heartbeat
from data_fetch.core.feed.liveness import Condition, Liveness, LivenessRules, Sentinel
from data_fetch.core.feed.plan import EMPTY_PLAN, Plan
from data_fetch.core.feed.recorder import MessageRecorder, NoRecorder
from data_fetch.core.feed.subscriptions import KeyState, Subscriptions, key_states
from data_fetch.core.feed.waits import Waits
from data_fetch.core.market.calendar import INDEX, MarketCalendar
from data_fetch.core.ports import Clock, Hold
from data_fetch.sources.transport.tick_board import TickBoard
from data_fetch.sources.upstox.feed_connection import FeedConnection
from data_fetch.sources.upstox.feed_doors import FeedDoor, Socket, open_socket
from data_fetch.sources.upstox.feed_looks import LOOK_SECONDS
from data_fetch.sources.upstox.feed_state import FeedFacts, FeedStatus

# Indices are not computed while the closing auction goes on: for a whole day a future is added.
SENTINELS: Mapping[str, Sentinel] = {
    "NSE_INDEX|Nifty 50": Sentinel("Nifty 50", INDEX),
    "NSE_INDEX|Nifty Bank": Sentinel("Nifty Bank", INDEX),
}
# How often a new token is looked for while there is none; nothing is sent for it.
TOKEN_LOOK = timedelta(seconds=5)

# A connection without any sign of life is dead after one and a half times as long.
HEARTBEAT = timedelta(seconds=10)

R = TypeVar("R")


class UpstoxFeed:
    """One connection of one account, in a thread of its own.

    *door* is the way to the socket, from an API at *base_url*. Each plan has to have one of
    the *sentinels*, for without them a mute connection is not noticed. All methods may be called
    from any thread; of the caller's, the thread of the feed calls *calendar* and *recorder* only.
    """

    def __init__(
        self,
        door: FeedDoor,
        *,
        base_url: str,
        clock: Clock,
        calendar: Callable[[], MarketCalendar],
        sentinels: Mapping[str, Sentinel] = SENTINELS,
        rules: LivenessRules | None = None,
        heartbeat: timedelta = HEARTBEAT,
        random: Random | None = None,
        recorder: MessageRecorder | None = None,
    ) -> None:
        self._door = door
        self._base_url = base_url
        self._clock = clock
        self._heartbeat = heartbeat.total_seconds()
        rules = _on_clock(rules or LivenessRules(), clock)
        self._facts = FeedFacts(
            liveness=Liveness(sentinels, rules),
            subscriptions=Subscriptions(rules.honoured_within),
            waits=Waits(random or Random()),  # noqa: S311 - spreads waits
            calendar=calendar,
            recorder=recorder or NoRecorder(),
        )
        self._plan = EMPTY_PLAN
        self._stop = Event()
        self._thread: Thread | None = None
        self._cancel: Callable[[], object] = lambda: None
        self._facts.stopped("the feed is not started", clock.now())

    @property
    def board(self) -> TickBoard:
        """The newest tick of each key; it stays when the feed stops."""
        return self._facts.board

    def subscribe(self, plan: Plan) -> None:
        """Let the subscriptions be those of *plan*, soon and without a new connection."""
        self._plan = plan

    def start(self) -> None:
        """Begin to connect, in a thread of its own. Without effect while it runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop = Event()
        hold = self._clock.hold()
        self._thread = Thread(target=self._work, args=(hold,), name="upstox-feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the connection and return when the thread has ended. A second call does nothing."""
        if self._thread is None:
            return
        self._stop.set()
        # The loop may have ended by itself.
        with suppress(RuntimeError):
            self._cancel()
        self._thread.join()
        self._thread = None

    def status(self) -> FeedStatus:
        """The feed as it was at most a second ago."""
        assert self._facts.status is not None
        return self._facts.status

    def key_states(self, usual: Mapping[str, timedelta]) -> dict[str, KeyState]:
        """The state of each requested key; *usual* as in `core.feed.subscriptions.key_states`."""
        status = self.status()
        return key_states(
            status.requested,
            self.board.latest(),
            awaited=status.awaited,
            unhonoured=status.unhonoured,
            now=self._clock.now(),
            usual=usual,
        )

    def take_changes(self) -> list[Condition]:
        """The conditions that began since the last call, oldest first."""
        return _taken(self._facts.changed)

    def take_disconnects(self) -> list[Disconnect]:
        """The disconnects that ended since the last call, oldest first."""
        return _taken(self._facts.disconnects)

    def _work(self, hold: Hold) -> None:
        """Run until the end of the feed. A virtual clock advances only while the feed waits."""
        try:
            # It ends after the threads in which the feed waits, so the hold is there again.
            asyncio.run(self._run())
        finally:
            hold.release()

    async def _run(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        cause = "the feed ended by an error of its own: see the log"
        try:
            if self._stop.is_set():
                raise Stopped("the feed was stopped before it began")
            async with aiohttp.ClientSession() as session:
                while True:
                    await self._pause(await self._connect(session))
        except (asyncio.CancelledError, Stopped):
            cause = "the feed was stopped"
        finally:
            self._facts.stopped(cause, self._clock.now())

    async def _connect(self, session: aiohttp.ClientSession) -> timedelta:
        """One connection, from the attempt to its end; the result is the wait after it."""
        facts = self._facts
        facts.attempted(self._clock.now())
        try:
            address = await self._watched(self._door.address(session, self._stop))
            async with open_socket(session, address, self._clock, self._base_url) as socket:
                facts.opened(self._clock.now())
                loss = await self._connection(socket).run()
        except Stopped:
            raise
        except DataFetchError as problem:
            facts.failed(problem, self._clock.now(), self._plan.keys)
            return self._wait_after(problem)
        if loss is None:
            facts.renewing(self._clock.now())
            return timedelta(0)
        facts.lost(loss.cause, loss.since, self._plan.keys)
        return facts.waits.next()

    def _connection(self, socket: Socket) -> FeedConnection:
        heartbeat = Heartbeat(stopwatch(), self._heartbeat, 1.5 * self._heartbeat)
        return FeedConnection(socket, self._facts, lambda: self._plan, self._clock, heartbeat)

    def _wait_after(self, problem: DataFetchError) -> timedelta:
        if isinstance(problem, TokenRejected):
            return TOKEN_LOOK
        required = problem.retry_after if isinstance(problem, RateLimited) else None
        return self._facts.waits.next(required)

    async def _pause(self, wait: timedelta) -> None:
        """Wait for *wait*, which is real time."""
        until = self._clock.now() + self._clock.elapsed_in(wait)
        await self._watched(asyncio.to_thread(self._clock.wait, until, self._stop))

    async def _watched(self, work: Coroutine[Any, Any, R]) -> R:
        """The result of *work*; the status is kept up to date meanwhile."""
        task = asyncio.create_task(work)
        try:
            while not task.done():
                self._facts.look(self._clock.now())
                await asyncio.wait({task}, timeout=LOOK_SECONDS)
            return task.result()
        finally:
            task.cancel()


def _taken(waiting: "deque[R]") -> list[R]:
    taken = []
    while waiting:
        taken.append(waiting.popleft())
    return taken


def _on_clock(rules: LivenessRules, clock: Clock) -> LivenessRules:
    """*rules*, which are in real time, as durations of *clock*."""
    return LivenessRules(
        **{each.name: clock.elapsed_in(getattr(rules, each.name)) for each in fields(rules)}
    )
