"""HTTP responses within bounds: all of one within the time of its request, and a size.

A timeout of urllib3 bounds each single read, so a response that trickles could take for ever, and
http.client reads headers without any bound on the time of all of them.
"""

import http.client
import io
import socket
from typing import Any

import urllib3

from data_fetch.core.clock import stopwatch

# A full quote response has 0.1 MB, a month of minutes 0.6, the largest captured chain 0.9.
LARGEST_BODY = 64 * 2**20
PIECE = 65_536


class BodyTooLarge(urllib3.exceptions.HTTPError):
    """A body was cancelled after so many bytes."""


def whole_body(response: urllib3.BaseHTTPResponse, largest: int = LARGEST_BODY) -> bytes:
    """The decompressed body of *response*. Raises BodyTooLarge, and what urllib3 raises."""
    body = bytearray()
    while piece := response.read1(PIECE, decode_content=True):
        body += piece
        if len(body) > largest:
            response.close()
            raise BodyTooLarge(f"a body of more than {largest:,} bytes")
    return bytes(body)


class _TimedReader(io.RawIOBase):
    """Reads from a socket for as long as its timeout allows one read to take, in all."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._timeout = sock.gettimeout()
        self._began = stopwatch()
        # It keeps the socket open until the response is read.
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._timeout is not None:
            left = self._timeout - (stopwatch() - self._began)
            if left <= 0:
                raise TimeoutError("the response took longer than its request may")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed and self._sock.fileno() >= 0:
            # The next request on this connection begins with its whole time.
            self._sock.settimeout(self._timeout)
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(sock))


class _TimedConnection(urllib3.connection.HTTPConnection):
    response_class = _TimedResponse


class _TimedTlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _TimedResponse


class _TimedPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedTlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection


# For the attribute `pool_classes_by_scheme` of a pool manager.
TIMED_POOLS = {"http": _TimedPool, "https": _TimedTlsPool}
