"""How the server's applications are run by uvicorn."""

import socket
import sys
from asyncio import BaseTransport, TimerHandle
from http import HTTPStatus
from secrets import token_hex

import h11
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from data_fetch.runtime.service_manager import READY, STOPPING, notify
from data_fetch.serving.problems import problem
from data_fetch.serving.streams.frames import FramedWebSockets

MOST_CONNECTIONS = 2_000
# Clients send short requests; what they receive is not limited by it.
LARGEST_MESSAGE_BYTES = 64 * 1024
STOPPED_WITHIN_SECONDS = 3
# From the first byte of a request, or from the connection on, to the end of its headers; and from
# the answer to the end of a body that was refused.
HEADER_SECONDS = 10.0
# In which a client takes nothing of an answer.
STALLED_SECONDS = 60.0
# What a refused client still sends is read for so long: its system drops the answer when the
# connection is closed before.
PARTING_SECONDS = 2.0
PARTING_BYTES = 1024 * 1024
TOO_LONG = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class PunctualHttp(H11Protocol):
    """HTTP/1.1 that closes a connection whose client takes too long to send or to read, and refuses
    what is no HTTP with a document like every other refusal.

    uvicorn waits for ever, so that some hundreds of senders of a byte now and then would take every
    connection.
    """

    _deadline: TimerHandle | None = None
    _stalled: TimerHandle | None = None
    _refused = False
    _unread = 0

    def connection_made(self, transport: BaseTransport) -> None:
        # asyncio names the base class; what it gives to a server is a full transport.
        super().connection_made(transport)  # type: ignore[arg-type]
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discard(data)
            return
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()
        self._goes_on()

    def _should_upgrade(self) -> bool:
        # One too many is refused as a request; uvicorn counts WebSockets, and takes any number.
        most = self.limit_concurrency or MOST_CONNECTIONS
        return super()._should_upgrade() and len(self.connections) < most

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._goes_on()

    def send_400_response(self, msg: str) -> None:
        # uvicorn calls it for any error of the protocol, and knows no more than the message.
        error = sys.exception()
        is_long = isinstance(error, h11.ProtocolError) and error.error_status_hint == TOO_LONG
        answer = _too_long() if is_long else _not_http()
        status = HTTPStatus(answer.status_code)
        headers = [*answer.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self._refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(PARTING_SECONDS, self.transport.abort)

    def _discard(self, data: bytes) -> None:
        self._unread += len(data)
        if self._unread > PARTING_BYTES:
            self.transport.abort()

    def _watch(self) -> None:
        """Begin to wait for headers, or for the end of a body that is answered already; or end
        that because they are there."""
        their, our = self.conn.their_state, self.conn.our_state
        if their is not h11.IDLE and not (their is h11.SEND_BODY and our is h11.DONE):
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _goes_on(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


class ReportingServer(uvicorn.Server):
    """A server that reports to the service manager when it serves, and when it ends."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        notify(READY)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        notify(STOPPING)
        await super().shutdown(sockets)


def _not_http() -> Response:
    return problem(
        token_hex(8),
        HTTPStatus.BAD_REQUEST,
        "not_http",
        "what was sent is no valid HTTP/1.1 request",
        then="Send one Host, one length, and a path in ASCII.",
    )


def _too_long() -> Response:
    return problem(
        token_hex(8),
        TOO_LONG,
        "headers_too_large",
        f"the headers are longer than {LARGEST_MESSAGE_BYTES // 1024} kB",
        then="Send shorter ones; what is long belongs into the body of a call that takes one.",
    )


def listening(app: ASGIApp) -> uvicorn.Config:
    """The configuration that serves *app*."""
    return uvicorn.Config(
        app,
        http=PunctualHttp,
        limit_concurrency=MOST_CONNECTIONS,
        server_header=False,
        # Clients that wait for updates would keep a server that is stopped.
        timeout_graceful_shutdown=STOPPED_WITHIN_SECONDS,
        # The program that serves has its own logs.
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=LARGEST_MESSAGE_BYTES,
        ws=FramedWebSockets,
        ws_max_size=LARGEST_MESSAGE_BYTES,
        # It would compress each message for each client anew.
        ws_per_message_deflate=False,
    )
