"""One connection of the feed, from its opening to its loss."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Any

import aiohttp
from aiohttp.http import WSMessageTextBytes

from data_fetch.core.clock import IST, stopwatch
from data_fetch.core.errors import BadRecord
from data_fetch.core.feed.heartbeat import Heartbeat
from data_fetch.core.feed.liveness import FeedState
from data_fetch.core.feed.plan import EMPTY_PLAN, Plan, Request, changes
from data_fetch.core.ports import Clock
from data_fetch.core.text import presentable
from data_fetch.sources.upstox.feed_doors import Socket
from data_fetch.sources.upstox.feed_looks import Looks
from data_fetch.sources.upstox.feed_messages import (
    FeedMessage,
    read_message,
    refusal_in,
    request_bytes,
)
from data_fetch.sources.upstox.feed_state import FeedFacts

# For what is sent: a server that reads nothing must not hold up the look at its silence.
SEND_SECONDS = 5.0
# The 20 hexadecimal digits of the documentation's examples.
GUID_BYTES = 10


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a connection ended, and its last sign of life."""

    cause: str
    since: datetime


class FeedConnection:
    """Reads *socket*, keeps its subscriptions as *plan* returns them, and sends pings, which
    *heartbeat* times.

    Everything it finds goes into *facts*.
    """

    def __init__(
        self,
        socket: Socket,
        facts: FeedFacts,
        plan: Callable[[], Plan],
        clock: Clock,
        heartbeat: Heartbeat,
    ) -> None:
        self._socket = socket
        self._facts = facts
        self._plan = plan
        self._clock = clock
        self._heartbeat = heartbeat
        self._sent = EMPTY_PLAN
        self._opened_at = self._last_sign = clock.now()

    async def run(self) -> Loss | None:
        """Return when the connection is lost or is to be given up; None: it is to be renewed."""
        async with Looks(self._clock) as looks:
            reading = asyncio.create_task(self._read())
            watching = asyncio.create_task(self._watch(looks))
            try:
                await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
                return await (reading if reading.done() else watching)
            except (aiohttp.ClientError, OSError) as problem:
                return Loss(f"the connection broke ({type(problem).__name__})", self._clock.now())
            finally:
                await _cancelled(reading, watching)

    async def _read(self) -> Loss:
        """Read until the connection is lost."""
        while (loss := await self._read_one()) is None:
            # Messages that wait are read without a pause, and a look may be due.
            await asyncio.sleep(0)
        return loss

    async def _watch(self, looks: Looks) -> Loss | None:
        """Look until the connection is to be given up, or to be renewed."""
        while not self._facts.is_worn(self._opened_at, now := self._clock.now()):
            async with asyncio.timeout(SEND_SECONDS):
                loss = await self._look(now)
            if loss is not None:
                return loss
            await looks.wait(self._facts.liveness.next_look(now))
        return None

    async def _look(self, now: datetime) -> Loss | None:
        """Everything that is due at *now* without a message."""
        second = stopwatch()
        if self._heartbeat.is_unanswered(second):
            since = f"{self._last_sign.astimezone(IST):%H:%M:%S} IST"
            return Loss(f"the connection has not answered since {since}", self._last_sign)
        await self._follow(self._plan(), now)
        condition = self._facts.look(now)
        if condition.state is FeedState.DEAD:
            return Loss(condition.cause, condition.since)
        alive_since = condition.since if condition.state is FeedState.LIVE else None
        await self._send(self._facts.subscriptions.overdue(now, alive_since), now)
        if self._heartbeat.is_due(second):
            await self._socket.ping()
        return None

    async def _follow(self, plan: Plan, now: datetime) -> None:
        """Send what turns the subscriptions into those of *plan*."""
        if plan is self._sent:
            return
        self._facts.request(plan, now)
        await self._send(changes(self._sent, plan), now)
        self._sent = plan

    async def _send(self, requests: list[Request], now: datetime) -> None:
        for request in requests:
            # Before it is sent: its entries may be read meanwhile.
            self._facts.subscriptions.sent(request, now)
            await self._socket.send_bytes(request_bytes(request, token_hex(GUID_BYTES)))

    async def _read_one(self) -> Loss | None:
        message = await self._socket.receive()
        now = self._last_sign = self._clock.now()
        self._heartbeat.received(stopwatch())
        match message.type:
            case aiohttp.WSMsgType.BINARY:
                self._facts.received(message.data, now)
                self._take(message.data, now)
            case aiohttp.WSMsgType.TEXT:
                self._facts.received(message.data, now)
                self._facts.refused(refusal_in(str(message.data)))
            case aiohttp.WSMsgType.PING:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._socket.pong(message.data)
            case aiohttp.WSMsgType.PONG:
                pass
            case _:
                return Loss(_cause_of_end(message), now)
        return None

    def _take(self, raw: bytes, now: datetime) -> None:
        try:
            message: FeedMessage = read_message(raw, now, self._facts.book)
        except BadRecord:
            self._facts.counts.junk += 1
            return
        self._facts.take(message, now)


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel *tasks* and return when they have ended, however they did."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _cause_of_end(message: aiohttp.WSMessage | WSMessageTextBytes) -> str:
    """Why a message that is none ends the connection."""
    if message.type is aiohttp.WSMsgType.CLOSE:
        reason = f", {presentable(message.extra)}" if message.extra else ""
        return f"the server closed the connection ({message.data}{reason})"
    if message.type is aiohttp.WSMsgType.ERROR and message.data is not None:
        return f"the connection broke ({type(message.data).__name__})"
    return "the connection was cut"
