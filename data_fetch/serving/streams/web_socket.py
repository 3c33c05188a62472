"""The plain WebSocket door: JSON texts `{"event": ..., "data": {...}}`, both ways."""

from asyncio import timeout

from starlette.types import Receive, Scope, Send

from data_fetch.publishing.stream_hub import NOT_ADMITTED, REASONS, Client
from data_fetch.publishing.stream_messages import message
from data_fetch.serving.streams import frames
from data_fetch.serving.streams.access import admitted, needs_credential
from data_fetch.serving.streams.frames import text_frame
from data_fetch.serving.streams.requests import Rejected, sent_event
from data_fetch.serving.streams.service import WEB_SOCKET, Streams

PATH = "/ws"
# So much is given to the connection before it says whether it takes more.
BATCH_BYTES = 128 * 1024
# A connection that has to say whose it is has so long for it.
CREDENTIAL_SECONDS = 10.0
CREDENTIAL_EVENT = "authenticate"


class WebSocketDoor:
    """Brings the clients of plain WebSockets to *streams*."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        connection = frames.of(scope)
        try:
            credential = await self._admit(scope, receive)
        except Rejected as rejected:
            connection.transport.write(text_frame(message("error", rejected.document())))
            connection.part(NOT_ADMITTED, rejected.code)
            return

        write_bytes = connection.transport.write

        def write() -> None:
            while connection.takes_frames and (batch := client.outbox.take(BATCH_BYTES)):
                write_bytes(b"".join([each.encoded(text_frame) for each in batch]))

        client = Client(WEB_SOCKET, write, lambda code: connection.part(code, REASONS[code]))
        connection.when_writable = write
        await self._streams.connected(client, credential)
        try:
            while (received := await receive())["type"] == "websocket.receive":
                await self._received(scope, client, received.get("text"))
        finally:
            self._streams.disconnected(client)

    async def _admit(self, scope: Scope, receive: Receive) -> str | None:
        """The credential by which the connection may stream, if it needs one. Raises Rejected."""
        given = None
        if needs_credential(scope):
            try:
                async with timeout(CREDENTIAL_SECONDS):
                    event, data = sent_event((await receive()).get("text"))
            except TimeoutError:
                event, data = None, None
            given = data if event == CREDENTIAL_EVENT else None
        return await admitted(self._streams.server.authentication, scope, given)

    async def _received(self, scope: Scope, client: Client, text: str | None) -> None:
        try:
            event, data = sent_event(text)
            if event == CREDENTIAL_EVENT:
                # It was not needed. That it is a right one can be said all the same.
                await admitted(self._streams.server.authentication, scope, data)
                return
        except Rejected as rejected:
            await self._streams.reject(client, rejected)
        else:
            await self._streams.received(client, event, data)
