"""The plain WebSocket door: JSON texts `{"event": ..., "data": {...}}`, both ways."""

from starlette.types import Receive, Scope, Send

from data_fetch.publishing.stream_hub import REASONS, Client
from data_fetch.serving.origins import is_allowed
from data_fetch.serving.streams import frames
from data_fetch.serving.streams.frames import text_frame
from data_fetch.serving.streams.requests import Rejected, sent_event
from data_fetch.serving.streams.service import Streams, may_stream
from data_fetch.serving.viewers import viewer_of

DOOR = "websocket"
PATH = "/ws"
# So much is given to the connection before it says whether it takes more.
BATCH_BYTES = 128 * 1024
FORBIDDEN = 4003


class WebSocketDoor:
    """Brings the clients of plain WebSockets to *streams*."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if not is_allowed(self._streams.server, _origin(scope)):
            # Before it is accepted this is an answer with status 403.
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        connection = frames.of(scope)
        if not may_stream(viewer_of(scope)):
            connection.part(FORBIDDEN, "forbidden")
            return

        def write() -> None:
            while len(client.outbox) and connection.takes_frames:
                batch = client.outbox.take(BATCH_BYTES)
                connection.write_frames(b"".join(each.encoded(text_frame) for each in batch))

        client = Client(DOOR, write, lambda code: connection.part(code, REASONS[code]))
        connection.when_writable = write
        await self._streams.connected(client)
        try:
            while (received := await receive())["type"] == "websocket.receive":
                await self._received(client, received.get("text"))
        finally:
            self._streams.disconnected(client)

    async def _received(self, client: Client, text: str | None) -> None:
        try:
            event, data = sent_event(text)
        except Rejected as rejected:
            await self._streams.reject(client, rejected)
        else:
            await self._streams.received(client, event, data)


def _origin(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"origin":
            return str(value.decode("latin-1"))
    return None
