"""Many clients of one server in one process, which do nothing but count what comes.

They read bytes and look for the end of a message: what a real client does with it is its own time.
"""

import asyncio
import base64
import os
import re
import time
from dataclasses import dataclass, field

ROOM, EVENT, SUBSCRIBED = "product:NIFTY", "underlying_update", "subscribed"
SUBSCRIPTION = '{"type":"product","symbol":"NIFTY"}'
# Each message has this once, near its beginning, and this at its end.
SENT_AT, ENDS = re.compile(rb'"price": ?([0-9.]+)'), re.compile(rb'x"}[\]}]?}?')
PATHS = {
    "websocket": "/ws",
    "socketio": "/socket.io/?EIO=4&transport=websocket",
}
CONNECTED_AT_ONCE = 50


def text_frame(text: str) -> bytes:
    """A short text from a client: masked, by zeros."""
    payload = text.encode()
    assert len(payload) < 126
    return bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload


@dataclass
class Crowd:
    """*count* clients of a door. `messages` is how many messages they received together; the
    *seconds* between sending and receiving are kept for each."""

    port: int
    door: str
    count: int
    messages: int = 0
    seconds: list[float] = field(default_factory=list)
    _all_have: asyncio.Event = field(default_factory=asyncio.Event)
    _expected: int = 0
    # Without them their connections would be closed.
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, *, reading: bool = True) -> None:
        """Connect and subscribe; without *reading* they read nothing more after that."""
        gate = asyncio.Semaphore(CONNECTED_AT_ONCE)

        async def one() -> None:
            async with gate:
                await self._one(reading)

        await asyncio.gather(*(one() for _ in range(self.count)))

    def close(self) -> None:
        for each in self._writers:
            each.transport.abort()
        self._writers.clear()

    async def all_have(self, messages: int) -> None:
        """Return when each client has received so many messages more since the last call."""
        self._expected += messages * self.count
        if self.messages < self._expected:
            self._all_have.clear()
            await self._all_have.wait()

    def counted(self, sent_at: float) -> None:
        self.messages += 1
        self.seconds.append(time.monotonic() - sent_at)
        if self.messages >= self._expected:
            self._all_have.set()

    async def _one(self, reading: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET {PATHS[self.door]} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        if self.door == "socketio":
            writer.write(text_frame("40"))
            await reader.readuntil(b'"sid"')
            writer.write(text_frame(f'42["subscribe",{SUBSCRIPTION}]'))
        else:
            writer.write(text_frame(f'{{"event":"subscribe","data":{SUBSCRIPTION}}}'))
        await reader.readuntil(SUBSCRIBED.encode())
        self._writers.append(writer)
        if reading:
            writer.transport.set_protocol(_Counting(self))  # type: ignore[arg-type]
            writer.transport.resume_reading()  # type: ignore[attr-defined]
        else:
            writer.transport.pause_reading()  # type: ignore[attr-defined]


class _Counting(asyncio.Protocol):
    """Counts the messages of one connection."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._sent_at: float | None = None
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        self._rest = b""
        while data:
            if self._sent_at is None:
                found = SENT_AT.search(data)
                if found is None or found.end() == len(data):
                    self._rest = data[-200:]
                    return
                self._sent_at = float(found[1])
                data = data[found.end() :]
            end = ENDS.search(data)
            if end is None:
                self._rest = data[-4:]
                return
            self._crowd.counted(self._sent_at)
            self._sent_at = None
            data = data[end.end() :]
