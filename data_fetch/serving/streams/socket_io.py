"""The Socket.IO door: python-socketio speaks the protocol, our outboxes are its queues.

Its own queues have no bound: a client that does not read would take the server's memory.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import socketio
from engineio.packet import MESSAGE, Packet
from starlette.types import Message as ReceivedMessage
from starlette.types import Receive, Scope, Send

from data_fetch.publishing.stream_hub import REASONS, Client
from data_fetch.publishing.stream_messages import Message, message
from data_fetch.serving.problems import Refusal, answer_of
from data_fetch.serving.streams import frames
from data_fetch.serving.streams.access import admitted
from data_fetch.serving.streams.by_delay import SOCKET_IO, StreamsByDelay
from data_fetch.serving.streams.frames import FramedWebSockets
from data_fetch.serving.streams.requests import Rejected
from data_fetch.serving.streams.service import Streams

PATH = "/socket.io"
BATCH_BYTES = 128 * 1024
LARGEST_REQUEST_BYTES = 64 * 1024
# First letters of the packets of Engine.IO.
PACKET_TYPES = "0123456"
PROTOCOL_ERROR = 1002
# Binary parts of one event. No event of ours has any.
MOST_PARTS = 8
# A page of any origin can run a script.
JSONP = Refusal(
    HTTPStatus.BAD_REQUEST,
    "jsonp",
    "answers are not sent as scripts",
    then="Use a client of Socket.IO 3 or later, or the WebSocket /ws.",
)
# Packets of the protocol itself (pings, acknowledgements) that may wait for a client.
MOST_PACKETS = 200

log = logging.getLogger(__name__)


def engine_packet(sent: Message) -> Packet:
    """A message as a packet of Engine.IO, encoded."""
    packet = Packet(MESSAGE, f'2["{sent.event}",{sent.body.decode()}]')
    packet.encode()
    return packet


# The library has no types.
class BoundedPacket(socketio.packet.Packet):  # type: ignore[misc]
    """A packet of Socket.IO. The library itself waits for as many parts of it as it announces, and
    keeps them all."""

    def decode(self, encoded_packet: str) -> int:
        parts: int = super().decode(encoded_packet)
        if parts > MOST_PARTS:
            raise ValueError("too many parts")
        return parts


class EngineQueue:
    """What waits for one connection: packets of the protocol, then the client's outbox.

    It stands in for the `asyncio.Queue` of an Engine.IO socket, which takes packets whenever its
    connection takes bytes.
    """

    def __init__(self) -> None:
        self._packets: deque[Packet | None] = deque()
        self._client: Client | None = None
        self._filled = asyncio.Event()
        self._batch_left = 0

    def serve(self, client: Client) -> None:
        """Take the messages of *client* from now on."""
        self._client = client

    def wake(self) -> None:
        """Something waits in the outbox."""
        self._filled.set()

    def end(self) -> None:
        """Let the connection end when it has taken what waits."""
        self._packets.append(None)
        self._filled.set()

    async def put(self, packet: Packet | None) -> None:
        self.put_nowait(packet)

    def put_nowait(self, packet: Packet | None) -> None:
        # A client that neither reads nor is heard of is disconnected by its missing pongs.
        if packet is None or len(self._packets) < MOST_PACKETS:
            self._packets.append(packet)
            self._filled.set()

    async def get(self) -> Packet | None:
        self._batch_left = BATCH_BYTES
        while True:
            try:
                return self.get_nowait()
            except asyncio.QueueEmpty:
                self._filled.clear()
                await self._filled.wait()

    def get_nowait(self) -> Packet | None:
        if self._packets:
            return self._packets.popleft()
        if self._client is None or not len(self._client.outbox) or self._batch_left <= 0:
            raise asyncio.QueueEmpty
        [sent] = self._client.outbox.take(1)
        self._batch_left -= len(sent.body)
        packet: Packet = sent.encoded(engine_packet)
        return packet

    def task_done(self) -> None:
        return None

    async def join(self) -> None:
        return None


class SocketIODoor:
    """Brings the clients of Socket.IO to *streams*."""

    def __init__(self, streams: StreamsByDelay) -> None:
        self._streams = streams
        # Each client with the streams that it is in.
        self._clients: dict[str, tuple[Streams, Client]] = {}
        # WebSockets that went on from polling, by the id that Engine.IO gave the client.
        self._connections: dict[str, FramedWebSockets] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            # The gate decides on origins, and adds the headers.
            cors_allowed_origins=[],
            # One after the other: a client cannot send faster than it is served.
            async_handlers=False,
            always_connect=True,
            max_http_buffer_size=LARGEST_REQUEST_BYTES,
            http_compression=False,
            serializer=BoundedPacket,
        )
        self._server.eio.create_queue = EngineQueue
        self._serve_packet = self._server.eio.handlers["message"]
        self._server.eio.on("message", self._packet)
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)
        self._server.on("*", self._receive)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if "j" in query and scope["type"] == "http":
            await answer_of(scope["state"]["request_id"], JSONP)(scope, receive, send)
            return
        if scope["type"] != "websocket":
            await self._server.eio.handle_request(scope, receive, send)
            return
        receive, named = _until_broken(receive), query.get("sid")
        if named is None:
            await self._server.eio.handle_request(scope, receive, send)
            return
        # The library keeps only the request that a client came with, and that was a poll.
        self._connections[named[0]] = frames.of(scope)
        try:
            await self._server.eio.handle_request(scope, receive, send)
        finally:
            self._connections.pop(named[0], None)

    async def _packet(self, engine_id: str, packet: str | bytes) -> None:
        """Serve a packet. One that breaks the protocol ends its connection: the library goes on,
        and logs a stack trace for each."""
        socket = self._server.eio.sockets.get(engine_id)
        if socket is None:
            return
        try:
            await self._serve_packet(engine_id, packet)
        except (ValueError, LookupError, TypeError, RecursionError) as problem:
            log.warning("packet_refused", extra={"problem": type(problem).__name__})
            connection = self._connection_of(engine_id)
            await self._server.eio.disconnect(engine_id)
            socket.queue.end()
            if connection is not None:
                connection.cut_soon()

    async def _connect(self, sid: str, environ: Mapping[str, Any], auth: object) -> None:
        scope = environ["asgi.scope"]
        authentication = self._streams.server.authentication
        try:
            admitted_by = await admitted(authentication, scope, auth)
        except Rejected as rejected:
            raise socketio.exceptions.ConnectionRefusedError(
                rejected.message, rejected.document()
            ) from None
        socket = self._server.eio.sockets[self._engine_id(sid)]
        queue: EngineQueue = socket.queue
        client = Client(SOCKET_IO, queue.wake, lambda code: self._close(sid, code), id=sid)
        queue.serve(client)
        streams = self._streams.of(admitted_by.delay)
        self._clients[sid] = streams, client
        await streams.connected(client, admitted_by.credential)

    async def _disconnect(self, sid: str, _: object) -> None:
        if (found := self._clients.pop(sid, None)) is not None:
            streams, client = found
            streams.disconnected(client)

    async def _receive(self, event: object, sid: str, *arguments: Any) -> None:
        if (found := self._clients.get(sid)) is not None:
            streams, client = found
            await streams.received(client, event, arguments[0] if arguments else None)

    def _close(self, sid: str, code: int) -> None:
        reason = REASONS[code]
        parting = {"message": "You are disconnected.", "code": reason, "near": []}
        task = asyncio.create_task(self._end(sid, message("error", parting)))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, sid: str, parting: Message) -> None:
        """Disconnect with a last message; a connection that takes nothing more is cut."""
        socket = self._server.eio.sockets.get(self._engine_id(sid))
        if socket is None:
            return
        connection = self._connection_of(socket.sid)
        socket.queue.put_nowait(engine_packet(parting))
        await self._server.disconnect(sid)
        socket.queue.end()
        if connection is not None:
            connection.cut_soon()

    def _connection_of(self, engine_id: str) -> FramedWebSockets | None:
        """The WebSocket of a client; None while it polls."""
        upgraded = self._connections.get(engine_id)
        if upgraded is not None:
            return upgraded
        first = self._server.environ[engine_id]["asgi.scope"]
        return frames.of(first) if first["type"] == "websocket" else None

    def _engine_id(self, sid: str) -> str | None:
        found: str | None = self._server.manager.eio_sid_from_sid(sid, "/")
        return found


def _until_broken(receive: Receive) -> Receive:
    """*receive* of a WebSocket, which ends at the first text that is no packet of Engine.IO: the
    library logs a stack trace for each."""

    async def receive_packet() -> ReceivedMessage:
        received = await receive()
        text = received.get("text")
        if text is None or (text and text[0] in PACKET_TYPES):
            return received
        return {"type": "websocket.disconnect", "code": PROTOCOL_ERROR}

    return receive_packet
