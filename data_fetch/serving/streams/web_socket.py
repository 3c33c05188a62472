"""The plain WebSocket door: JSON texts `{"event": ..., "data": {...}}`, both ways."""

from asyncio import timeout

from starlette.types import Receive, Scope, Send

from data_fetch.publishing.stream_hub import NOT_ADMITTED, REASONS, Client
from data_fetch.publishing.stream_messages import message
from data_fetch.serving.streams import frames
from data_fetch.serving.streams.access import Admitted, admitted, needs_credential
from data_fetch.serving.streams.by_delay import WEB_SOCKET, StreamsByDelay
from data_fetch.serving.streams.frames import text_frame
from data_fetch.serving.streams.requests import Rejected, sent_event
from data_fetch.serving.streams.service import Streams

PATH = "/ws"
# So much is given to the connection before it says whether it takes more.
BATCH_BYTES = 128 * 1024
# A connection that has to say whose it is has so long for it.
CREDENTIAL_SECONDS = 10.0
CREDENTIAL_EVENT = "authenticate"


class WebSocketDoor:
    """Brings the clients of plain WebSockets to *streams*."""

    def __init__(self, streams: StreamsByDelay) -> None:
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        connection = frames.of(scope)
        try:
            admitted_by = await self._admit(scope, receive)
        except Rejected as rejected:
            connection.transport.write(text_frame(message("error", rejected.document())))
            connection.part(NOT_ADMITTED, rejected.code)
            return

        streams = self._streams.of(admitted_by.delay)
        write_bytes = connection.transport.write

        def write() -> None:
            while connection.takes_frames and (batch := client.outbox.take(BATCH_BYTES)):
                write_bytes(b"".join([each.encoded(text_frame) for each in batch]))

        client = Client(WEB_SOCKET, write, lambda code: connection.part(code, REASONS[code]))
        connection.when_writable = write
        await streams.connected(client, admitted_by.credential)
        try:
            while (received := await receive())["type"] == "websocket.receive":
                await self._received(scope, streams, client, received.get("text"))
        finally:
            streams.disconnected(client)

    async def _admit(self, scope: Scope, receive: Receive) -> Admitted:
        """By what the connection may stream. Raises Rejected."""
        given = None
        if needs_credential(scope):
            try:
                async with timeout(CREDENTIAL_SECONDS):
                    event, data = sent_event((await receive()).get("text"))
            except TimeoutError:
                event, data = None, None
            given = data if event == CREDENTIAL_EVENT else None
        return await admitted(self._streams.server.authentication, scope, given)

    async def _received(
        self, scope: Scope, streams: Streams, client: Client, text: str | None
    ) -> None:
        try:
            event, data = sent_event(text)
            if event == CREDENTIAL_EVENT:
                # It was not needed. That it is a right one can be said all the same.
                await admitted(self._streams.server.authentication, scope, data)
                return
        except Rejected as rejected:
            await streams.reject(client, rejected)
        else:
            await streams.received(client, event, data)
