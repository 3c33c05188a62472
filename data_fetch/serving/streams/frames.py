"""WebSocket connections that ready-made frames can be written to.

A message has the same frame for every client, so it is framed once, and many frames are one
write. An ASGI server offers no such call; this protocol adds it to uvicorn's.
"""

from collections.abc import Callable
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from data_fetch.publishing.stream_messages import Message

EXTENSION = "data_fetch.frames"
# A client that reads nothing more may still receive why it was disconnected.
PARTING_SECONDS = 5.0


def text_frame(message: Message) -> bytes:
    """A message of the plain WebSocket door: `{"event": ..., "data": {...}}`, framed."""
    payload = b'{"event":"%b","data":%b}' % (message.event.encode(), message.body)
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


class FramedWebSockets(WebSocketsSansIOProtocol):
    """A connection; `of` finds it in the scope of its application.

    *takes_frames*: what is written now is sent soon. *when_writable* is called when that becomes
    true again.
    """

    takes_frames = True
    when_writable: Callable[[], None] | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            # The application starts with the next turn of the loop.
            extensions = self.scope["extensions"]
            assert extensions is not None
            # Extensions are declared as dicts; this one is an object of this process.
            extensions[EXTENSION] = self  # type: ignore[assignment]

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.close_sent:
            # Else uvicorn takes a refusal for an application that ended too early.
            self.handshake_complete = True

    def handle_close(self, event: Frame) -> None:
        self.takes_frames = False
        super().handle_close(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self.takes_frames = False
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self.takes_frames = False
        super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.takes_frames = False

    def resume_writing(self) -> None:
        super().resume_writing()
        self.takes_frames = not (self.close_sent or self.transport.is_closing())
        if self.takes_frames and self.when_writable is not None:
            self.when_writable()

    def part(self, code: int, reason: str) -> None:
        """Close with *code*; without an answer soon the connection is cut."""
        self.takes_frames = False
        if not self.close_sent and not self.disconnected and not self.transport.is_closing():
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self.cut_soon()

    def cut_soon(self) -> None:
        """Cut the connection when the client had time to read what it was sent."""
        self.loop.call_later(PARTING_SECONDS, self.transport.abort)


def of(scope: Scope) -> FramedWebSockets:
    """The connection of a WebSocket's scope."""
    found = scope["extensions"][EXTENSION]
    assert isinstance(found, FramedWebSockets)
    return found
