"""Compresses answers that are not compressed already, for senders that accept gzip."""

import asyncio
import zlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from data_fetch.serving.media_types import weighted

# Smaller bodies do not become smaller by much, larger ones are not for the event loop.
LEAST_BYTES, MOST_IN_LOOP = 1_000, 200_000
LEVEL = 1
GZIP = 16 + zlib.MAX_WBITS
COMPRESSIBLE = ("application/json", "application/problem+json", "text/")


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a sender with this `Accept-Encoding` takes gzip."""
    named = dict(weighted(accept_encoding))
    return named.get("gzip", named.get("*", 0)) > 0


class Compressed:
    """Sends one answer on to *send*, compressed where that is worth it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._compressor: zlib._Compress | None = None

    @classmethod
    def for_request(cls, scope: Scope, send: Send) -> Send:
        """*send* itself when the sender of the request does not accept gzip."""
        accepted = Headers(scope=scope).get("accept-encoding", "")
        return cls(send) if accepts_gzip(accepted) else send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif self._start:
            await self._first(message)
        else:
            await self._send(await self._next(message))

    async def _first(self, message: Message) -> None:
        start, self._start = self._start, {}
        headers = MutableHeaders(raw=start["headers"])
        streamed = message.get("more_body", False)
        long_enough = streamed or len(message.get("body", b"")) >= LEAST_BYTES
        media_type = headers.get("content-type", "")
        if (
            long_enough
            and "content-encoding" not in headers
            and media_type.startswith(COMPRESSIBLE)
        ):
            self._compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
            headers["Content-Encoding"] = "gzip"
            headers.add_vary_header("Accept-Encoding")
            message = await self._next(message)
            del headers["Content-Length"]
            if not streamed:
                headers["Content-Length"] = str(len(message["body"]))
        await self._send(start)
        await self._send(message)

    async def _next(self, message: Message) -> Message:
        compressor = self._compressor
        if compressor is None:
            return message
        body, more = message.get("body", b""), message.get("more_body", False)

        def compressed() -> bytes:
            packed = compressor.compress(body)
            # What is streamed must not wait in the compressor for the next portion.
            return packed + compressor.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)

        small = len(body) <= MOST_IN_LOOP
        return {**message, "body": compressed() if small else await asyncio.to_thread(compressed)}
