"""One connection of the feed: commands, frames, pings, and the faults of its socket.

At each tick it sends what has changed since its last frame, so at any instant its last packet of
a key says what the REST side says.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from data_fetch.paper_exchange.faults.faults import ActiveFaults, Fault
from data_fetch.paper_exchange.faults.feed_effects import FeedFrame, Sent, frames_of, text_error
from data_fetch.paper_exchange.feed.commands import BadCommand, Command, parse_command
from data_fetch.paper_exchange.feed.recording import Recording
from data_fetch.paper_exchange.feed.subscriptions import Subscriptions
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.upstox.feed_codes import SOCKET_PATH
from data_fetch.paper_exchange.upstox.feed_limits import FeedRules, OverLimit
from data_fetch.paper_exchange.upstox.feed_packets import FeedInstant, FeedPackets
from data_fetch.paper_exchange.upstox.tokens import Tokens
from data_fetch.paper_exchange.wire import ApiError

FRAME_KEYS = 500
PING_EVERY = timedelta(seconds=30)
# Real seconds that a virtual clock waits for a client to read.
READING_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class FeedParts:
    """What every connection of an exchange uses."""

    packets: FeedPackets
    rules: FeedRules
    tokens: Tokens
    faults: ActiveFaults
    now: Callable[[], Moment]


class Connection:
    """A client that is connected. *muted*: it is beyond the limit and gets no frames."""

    def __init__(
        self,
        parts: FeedParts,
        socket: web.WebSocketResponse,
        abort: Callable[[], None],
        authorization: str,
        recording: Recording,
        *,
        muted: bool,
    ) -> None:
        self.ended = Event()
        self._parts = parts
        self._socket = socket
        self._abort = abort
        self._authorization = authorization
        self._recording = recording
        self._muted = muted
        self._subscriptions = Subscriptions()
        self._status = b""
        self._frames = 0
        self._pinged: Moment | None = None
        self._stalled_until: float | None = None
        self._held_back: list[Sent] = []
        self._code: int = WSCloseCode.GOING_AWAY
        self._reading: asyncio.Task[None] | None = None
        # Frames of a tick and of a command are made on other threads, one at a time.
        self._sending = asyncio.Lock()
        self._read_up = asyncio.Event()
        self._read_up.set()
        self._awaited_pong = b""

    def to_json(self) -> dict[str, Any]:
        keys = self._subscriptions.by_mode()
        return {"keys": keys, "frames": self._frames, "muted": self._muted}

    async def run(self) -> None:
        """Serve the client until its connection ends."""
        try:
            await self.tick()
            if not self.ended.is_set():
                self._reading = asyncio.create_task(self._read())
                await asyncio.wait((self._reading,))
                with suppress(asyncio.CancelledError):
                    self._reading.result()
            await self._socket.close(code=self._code)
        finally:
            self.close()
            async with self._sending:
                self._recording.close()

    def close(self, code: int = WSCloseCode.GOING_AWAY) -> None:
        """Begin to end the connection."""
        if not self.ended.is_set():
            self._code = code
            self.ended.set()
        if self._reading is not None:
            # The closing handshake is only waited for while nothing else reads.
            self._reading.cancel()

    async def tick(self) -> None:
        """Send what is due at this instant of the exchange's clock."""
        async with self._sending:
            now = self._parts.now()
            await self._apply_socket_faults(now)
            self._check_token(now)
            if not self.ended.is_set():
                await self._send_changes(self._parts.packets.at(now))
                await self._ping(now)

    async def tick_and_be_read(self) -> None:
        """The same; returns when the client has read the frames, as the pong of a ping proves.

        Until it has subscribed to something its request may be on its way, and a pong comes after
        it. A client that does not answer is waited for once, until it answers again.
        """
        sent, is_reading = self._frames, self._read_up.is_set()
        await self.tick()
        is_quiet = self._frames == sent and self._subscriptions.keys
        if is_quiet or self.ended.is_set():
            return
        self._read_up.clear()
        self._awaited_pong = str(self._frames).encode()
        await self._attempt(self._socket.ping(self._awaited_pong))
        if is_reading:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._read_up.wait(), READING_SECONDS)

    async def _read(self) -> None:
        async for message in self._socket:
            await self._receive(message)

    async def _receive(self, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.PING:
                # A pong proves that the frames before it were sent, those in the making too.
                async with self._sending:
                    if not self._faults("feed-ping", self._parts.now()):
                        await self._attempt(self._socket.pong(message.data))
            case WSMsgType.PONG:
                if bytes(message.data) == self._awaited_pong:
                    self._read_up.set()
            case WSMsgType.BINARY | WSMsgType.TEXT:
                async with self._sending:
                    await self._obey(message.data)

    async def _obey(self, frame: bytes | str) -> None:
        now = self._parts.now()
        try:
            command = parse_command(frame)
        except BadCommand as bad:
            await self._send([text_error(bad.method, str(bad))], now)
            return
        if self._muted:
            return
        if command.method == "unsub":
            if not self._faults("feed-unsub", now, command.keys):
                self._subscriptions.remove(command.keys)
            return
        keys = await self._admitted(command, now)
        self._subscriptions.add(keys, command.mode)
        await self._send_snapshot(self._parts.packets.at(now), keys)

    async def _admitted(self, command: Command, now: Moment) -> tuple[str, ...]:
        """The keys of a subscription that are within the limits."""
        keys, mode, rules = tuple(dict.fromkeys(command.keys)), command.mode, self._parts.rules
        if command.method == "change_mode":
            keys = tuple(key for key in keys if key in self._subscriptions.keys)
        exceeded = self._subscriptions.exceeded(keys, mode, rules)
        if exceeded is None:
            return keys
        match rules.over_limit:
            case OverLimit.REFUSE:
                reason = f"Maximum number of instrument keys in mode {exceeded} exceeded"
                await self._send([text_error(command.method, reason)], now)
                return ()
            case OverLimit.CLOSE:
                self.close(WSCloseCode.POLICY_VIOLATION)
                return ()
            case OverLimit.IGNORE:
                return self._subscriptions.fitting(keys, mode, rules)

    async def _apply_socket_faults(self, now: Moment) -> None:
        if self._stalled_until is not None:
            if now.seconds < self._stalled_until:
                return
            self._stalled_until, held_back = None, self._held_back
            self._held_back = []
            await self._send(held_back, now)
        for fault in self._faults("feed-socket", now, self._subscriptions.keys):
            match fault.kind:
                case "feed-close":
                    self.close(fault.code)
                case "feed-cut":
                    self.ended.set()
                    self._abort()
                case "feed-stall":
                    self._stalled_until = now.seconds + fault.seconds

    def _check_token(self, now: Moment) -> None:
        """End with the token, unless a fault leaves the socket open without frames."""
        if self._muted:
            return
        try:
            self._parts.tokens.check(self._authorization, now.at)
        except ApiError:
            if self._faults("feed-token", now):
                self._muted = True
            else:
                self.close()

    async def _send_changes(self, instant: FeedInstant) -> None:
        if self._muted:
            return
        info = instant.info()
        # The time of the frame is no change.
        status = info.marketInfo.SerializeToString(deterministic=True)
        if status != self._status:
            self._status = status
            await self._send_frame("feed-info", info, instant.now)
        changes = await asyncio.to_thread(self._subscriptions.changes, instant)
        for part in _in_parts(changes.packets):
            await self._send_frame(
                "feed-live", instant.live(part), instant.now, changes.untraded & part.keys()
            )

    async def _send_snapshot(self, instant: FeedInstant, keys: Iterable[str]) -> None:
        packets = await asyncio.to_thread(self._subscriptions.packets, instant, keys)
        for part in _in_parts(packets):
            await self._send_frame("feed-snapshot", instant.snapshot(part), instant.now)

    async def _send_frame(
        self, api: str, message: Any, now: Moment, untraded: Collection[str] = ()
    ) -> None:
        faults = self._faults(api, now, message.feeds)
        await self._send(frames_of(faults, FeedFrame(message, untraded)), now)

    async def _send(self, frames: Iterable[Sent], now: Moment) -> None:
        if self._stalled_until is not None:
            self._held_back += frames
            return
        for frame in frames:
            self._frames += 1
            self._recording.add(frame, now.at)
            if isinstance(frame, str):
                await self._attempt(self._socket.send_str(frame))
            else:
                await self._attempt(self._socket.send_bytes(frame))

    async def _ping(self, now: Moment) -> None:
        if self._pinged is None or not timedelta() <= now.at - self._pinged.at < PING_EVERY:
            self._pinged = now
            await self._attempt(self._socket.ping())

    async def _attempt(self, sending: Awaitable[None]) -> None:
        """Send, or note that the client is gone."""
        try:
            await sending
        except ConnectionError:
            self.ended.set()

    def _faults(self, api: str, now: Moment, keys: Iterable[str] = ()) -> tuple[Fault, ...]:
        return self._parts.faults.take_due(api, SOCKET_PATH, tuple(keys), now.at)


def _in_parts(packets: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The packets in frames of at most `FRAME_KEYS`."""
    items = list(packets.items())
    for first in range(0, len(items), FRAME_KEYS):
        yield dict(items[first : first + FRAME_KEYS])
