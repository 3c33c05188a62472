"""All connections of the feed, each followed by a thread that waits on the exchange's clock."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol

from aiohttp import WSCloseCode, web

from data_fetch.core.clock import FREE_HOLD, IST
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, OTHER_STOCK
from data_fetch.core.ports import Hold
from data_fetch.paper_exchange.faults.faults import ActiveFaults
from data_fetch.paper_exchange.feed.connection import PING_EVERY, Connection, FeedParts
from data_fetch.paper_exchange.feed.recording import recording_of
from data_fetch.paper_exchange.market.days import Moment, TradingDays, epoch
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.paper_exchange.upstox.feed_limits import FeedRules, OverLimit, Plan
from data_fetch.paper_exchange.upstox.feed_packets import FeedPackets
from data_fetch.paper_exchange.upstox.tokens import Tokens

# A fast clock is followed in larger steps.
SHORTEST_STEP = timedelta(milliseconds=50)
# Seconds for the handshake of a close: a client that is mute must not delay the exchange's end.
CLOSE_SECONDS = 1.0
# A client that does not read is waited for after so many bytes, and not longer than so many
# seconds by a request that sets the clock.
MOST_UNREAD_BYTES = 64 * 1024 * 1024
SLOW_READER_SECONDS = 2.0
# How often a thread that waits for the loop looks whether the loop has ended.
GLANCE_SECONDS = 0.5
FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class Pace:
    """During trading changes are sent every *tick*; those of books only, without a trade, every
    *book_seconds*."""

    tick: timedelta
    book_seconds: int


RUNNING = Pace(timedelta(seconds=1), 1)
# A clock that can be held stops at each tick, and a day has 22,500 seconds. Clients take silence
# of more than five seconds for a mute connection.
HELD = Pace(timedelta(seconds=5), 60)


class ExchangeClock(Protocol):
    """The part of a clock that the exchange requires."""

    def now(self) -> datetime: ...

    def wait(self, until: datetime, stop: Event) -> bool: ...

    def elapsed_in(self, real: timedelta) -> timedelta: ...

    def hold(self) -> Hold: ...


class FeedSockets:
    """The open connections; with a *folder* every connection's frames are recorded in it."""

    def __init__(
        self,
        market: PaperMarket,
        clock: ExchangeClock,
        tokens: Tokens,
        faults: ActiveFaults,
        rules: FeedRules,
        folder: Path | None,
    ) -> None:
        self._clock = clock
        self._days = market.days
        self._rules = rules
        self._folder = folder
        hold = clock.hold()
        hold.release()
        self._can_be_held = hold is not FREE_HOLD
        self._pace = HELD if self._can_be_held else RUNNING
        packets = FeedPackets(market, self._pace.book_seconds)
        self._parts = FeedParts(packets, rules, tokens, faults, lambda: Moment.of(clock.now()))
        self._numbers = count(1)
        self._open: dict[int, Connection] = {}
        self._connected = 0

    async def serve(self, request: web.Request, authorization: str) -> web.StreamResponse:
        """Upgrade *request* to a socket, and serve it until it ends."""
        is_over = self._connected >= self._rules.connections
        if is_over and self._rules.over_limit is OverLimit.REFUSE:
            return web.Response(status=FORBIDDEN)
        # Counted before the handshake, so that two at once are two.
        self._connected += 1
        try:
            return await self._upgrade(request, authorization, is_over=is_over)
        finally:
            self._connected -= 1

    async def _upgrade(
        self, request: web.Request, authorization: str, *, is_over: bool
    ) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            autoping=False, timeout=CLOSE_SECONDS, writer_limit=MOST_UNREAD_BYTES
        )
        with ExitStack() as held:
            # From here on, so that the first tick is not late when the client lets time pass.
            hold = self._clock.hold()
            held.callback(hold.release)
            await socket.prepare(request)
            if is_over and self._rules.over_limit is OverLimit.CLOSE:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION)
                return socket
            number, closed = next(self._numbers), Event()
            connection = Connection(
                self._parts,
                socket,
                lambda: abort(request),
                authorization,
                recording_of(self._folder, number),
                muted=is_over,
            )
            follower = Thread(
                target=self._follow,
                args=(connection, asyncio.get_running_loop(), hold, closed),
                name=f"paper-feed-{number}",
                daemon=True,
            )
            follower.start()
            # The follower has it from here on.
            held.pop_all()
        self._open[number] = connection
        try:
            await connection.run()
        finally:
            del self._open[number]
            closed.set()
        return socket

    async def tick(self) -> None:
        """Send what is due at once: the clock was set, or there are other faults.

        A client that does not read is not waited for.
        """
        ticks = [asyncio.create_task(each.tick()) for each in self._open.values()]
        if ticks:
            await asyncio.wait(ticks, timeout=SLOW_READER_SECONDS)

    def close(self) -> None:
        """Begin to close every connection."""
        for connection in list(self._open.values()):
            connection.close()

    def set_rules(self, document: dict[str, Any]) -> None:
        """Change the limits. Raises ValueError for another plan or choice than there is."""
        plan = Plan(document.get("plan", self._rules.plan))
        self._rules.over_limit = OverLimit(document.get("over_limit", self._rules.over_limit))
        self._rules.plan = plan

    def to_json(self) -> dict[str, Any]:
        return {
            "plan": self._rules.plan,
            "over_limit": self._rules.over_limit,
            "connections": [
                {"number": number, **each.to_json()} for number, each in self._open.items()
            ],
        }

    def _follow(
        self,
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
        hold: Hold,
        closed: Event,
    ) -> None:
        """Wait for the next instant at which something may be due, until *closed*."""
        # Time that can be held does not pass while frames are on their way.
        tick = connection.tick_and_be_read if self._can_be_held else connection.tick
        try:
            while not self._clock.wait(self._next_tick(self._clock.now()), connection.ended):
                _run_on(loop, tick)
        finally:
            # Without a thread that follows it a connection would be mute.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(connection.close)
            # No time passes while the client does not know.
            closed.wait(2 * CLOSE_SECONDS)
            hold.release()

    def _next_tick(self, now: datetime) -> datetime:
        """The next tick during trading, else the next ping.

        Statuses of the market and dates change at instants of pings.
        """
        step = self._pace.tick if is_trading(self._days, Moment.of(now)) else PING_EVERY
        seconds = int(max(step, self._clock.elapsed_in(SHORTEST_STEP)).total_seconds())
        return datetime.fromtimestamp((int(now.timestamp()) // seconds + 1) * seconds, IST)


def is_trading(days: TradingDays, now: Moment) -> bool:
    """Whether any instrument may be traded in this second, or is in its closing auction."""
    hours = [
        window
        for group in (OTHER_STOCK, FUTURES_AND_OPTIONS)
        for window in days.windows(now.day, group)
    ]
    return any(epoch(now.day, start) <= now.seconds < epoch(now.day, end) for start, end in hours)


def _run_on(loop: asyncio.AbstractEventLoop, tick: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *tick* on the loop, and wait for its end or for that of the loop."""
    if loop.is_closed():
        return
    running = asyncio.run_coroutine_threadsafe(tick(), loop)
    while not loop.is_closed():
        with suppress(CancelledError, TimeoutError):
            running.result(GLANCE_SECONDS)
        if running.done():
            return


def abort(request: web.Request) -> None:
    """Drop the connection of *request* at once."""
    transport = request.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
