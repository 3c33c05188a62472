"""Bodies that are made once for a content and sent many times.

A chain of 206 legs takes milliseconds to read and to write as JSON, its bytes microseconds to
send. What changes with time alone (`as_of`, `staleness_seconds`) stands at the beginning of a
body, so that the rest of it, and its compressed form, stay as they are.
"""

import asyncio
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson

from data_fetch.core.clock import stopwatch
from data_fetch.publishing.kept_answers import KeptAnswers
from data_fetch.serving.answers import Frame, frame_of

Result = TypeVar("Result")
LEVEL = 6
# The header of a gzip stream without name and time (RFC 1952).
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
MOST_BYTES = 64_000_000
# How old a look at the store may be: a request that follows a write sees it after this at most.
LOOK_SECONDS = 0.1


@dataclass(slots=True)
class MadeBody:
    """The lasting part of a body, and the whole as it was last sent.

    *lasting* is JSON with its opening brace replaced by a comma. It is compressed when a sender
    first accepts that.
    """

    tag: str
    frame: Frame
    lasting: bytes
    _deflated: bytes = b""
    _plain: tuple[object, bytes] = (None, b"")
    _gzipped: tuple[object, bytes] = (None, b"")

    @classmethod
    def of(cls, tag: str, frame: Frame, lasting: bytes) -> "MadeBody":
        """The body of *lasting*, a JSON object."""
        return cls(tag, frame, b"," + lasting[1:])

    @classmethod
    def of_bytes(cls, tag: str, kept: bytes) -> "MadeBody | None":
        """The body that `to_bytes` was made of; None when *kept* is no such thing."""
        facts, _, lasting = kept.partition(b"\n")
        try:
            return cls(tag, frame_of(orjson.loads(facts)), lasting)
        except (ValueError, KeyError, TypeError):
            return None

    def to_bytes(self) -> bytes:
        """What another server needs to send it."""
        return orjson.dumps(self.frame.facts()) + b"\n" + self.lasting

    @property
    def size(self) -> int:
        """How many bytes it occupies, roughly."""
        return 3 * len(self.lasting)

    def plain(self, now: datetime, degraded: str | None = None) -> bytes:
        """The body as of the second of *now*."""
        moment = now.replace(microsecond=0), degraded
        if self._plain[0] != moment:
            self._plain = moment, self._passing(*moment) + self.lasting
        return self._plain[1]

    def gzipped(self, now: datetime, degraded: str | None = None) -> bytes:
        """The same as a gzip stream."""
        moment = now.replace(microsecond=0), degraded
        if self._gzipped[0] != moment:
            self._deflated = self._deflated or _ended(self.lasting)
            first, whole = self._passing(*moment), self.plain(now, degraded)
            check = struct.pack("<II", zlib.crc32(whole), len(whole))
            self._gzipped = moment, GZIP_HEADER + _begun(first) + self._deflated + check
        return self._gzipped[1]

    def _passing(self, second: datetime, degraded: str | None) -> bytes:
        frame = replace(self.frame, as_of=second, degraded=degraded)
        return orjson.dumps(frame.passing())[:-1]


class MadeBodies:
    """Bodies by content; the ones that were not sent for longest go first.

    For one event loop. Requests that come while a body is made wait for it.
    """

    def __init__(self, kept: KeptAnswers | None = None, most_bytes: int = MOST_BYTES) -> None:
        self._kept = kept
        self._most_bytes = most_bytes
        self._bytes = 0
        self._made: OrderedDict[str, MadeBody] = OrderedDict()
        self._flights: Flights[MadeBody] = Flights()

    def __len__(self) -> int:
        return len(self._made)

    async def get(self, tag: str, make: Callable[[], MadeBody]) -> MadeBody:
        """The body with *tag*: made before, here or by another server, else by *make* (called in
        another thread)."""
        found = self._made.get(tag)
        if found is None:
            found = await self._flights.join(tag, lambda: self._found_or_made(tag, make))
            self._keep(tag, found)
        else:
            self._made.move_to_end(tag)
        return found

    async def _found_or_made(self, tag: str, make: Callable[[], MadeBody]) -> MadeBody:
        if self._kept is None:
            return await asyncio.to_thread(make)
        kept = await self._kept.get(tag)
        found = None if kept is None else MadeBody.of_bytes(tag, kept)
        if found is None:
            found = await asyncio.to_thread(make)
            await self._kept.put(tag, found.to_bytes())
        return found

    def _keep(self, key: str, body: MadeBody) -> None:
        if key in self._made:
            return
        self._made[key] = body
        self._bytes += body.size
        while self._bytes > self._most_bytes and len(self._made) > 1:
            _, oldest = self._made.popitem(last=False)
            self._bytes -= oldest.size


class Looks(Generic[Result]):
    """Looks at the store that several requests share while they are recent.

    For one event loop.
    """

    def __init__(self, seconds: float = LOOK_SECONDS, most: int = 10_000) -> None:
        self._seconds = seconds
        self._most = most
        self._found: OrderedDict[Hashable, tuple[float, Result]] = OrderedDict()
        self._flights: Flights[tuple[float, Result]] = Flights()

    async def get(self, key: Hashable, look: Callable[[], Result]) -> Result:
        """What *look* (called in another thread) found for *key*, now or a moment ago."""
        known = self._found.get(key)
        if known is not None and stopwatch() - known[0] < self._seconds:
            return known[1]

        def looked() -> tuple[float, Result]:
            # A look is as old as its beginning: what is written meanwhile it may not see.
            return stopwatch(), look()

        found = await self._flights.join(key, lambda: asyncio.to_thread(looked))
        self._found[key] = found
        self._found.move_to_end(key)
        self._forget_old()
        return found[1]

    def forget(self, key: Hashable) -> None:
        """The next request for *key* looks again."""
        self._found.pop(key, None)

    def __len__(self) -> int:
        return len(self._found)

    def _forget_old(self) -> None:
        """Keep no look that is not used any more: there may be one for each second."""
        now = stopwatch()
        while self._found:
            key, (began, _) = next(iter(self._found.items()))
            if now - began < self._seconds and len(self._found) <= self._most:
                return
            del self._found[key]


class Flights(Generic[Result]):
    """Work that several requests wait for, each once at a time by its key."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Result]] = {}

    async def join(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of the *work* for *key* that is running, or is started now.

        A request that goes away does not end the work of the others.
        """
        running = self._running.get(key)
        if running is None:
            running = asyncio.create_task(work())
            self._running[key] = running
            running.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(running)

    def _landed(self, key: Hashable, done: asyncio.Task[Result]) -> None:
        del self._running[key]
        if not done.cancelled():
            # Looked at, so that asyncio does not report it when every request has gone away.
            done.exception()


def _begun(content: bytes) -> bytes:
    """*content* as the beginning of a deflate stream, on whole bytes."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _ended(content: bytes) -> bytes:
    """*content* as the end of a deflate stream that refers to nothing before it."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush(zlib.Z_FINISH)
