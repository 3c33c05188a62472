"""Clients of both doors of the streams, used alike."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import orjson
import socketio
import websockets
from effort import PATIENCE_SECONDS

Event = tuple[str, Any]


class StreamClient:
    """Events in the order in which they came, and a way to send one."""

    def __init__(self, send: Callable[[str, Any], Any]) -> None:
        self.send = send
        self.events: asyncio.Queue[Event] = asyncio.Queue()

    async def next(self, *events: str) -> Any:
        """The data of the next of these events; the ones before it are passed over."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                event, data = await self.events.get()
                if event in events:
                    return data

    async def each_of(self, *events: str) -> dict[str, Any]:
        """The data of one of each of these events, in whatever order they come."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while found.keys() != set(events):
                event, data = await self.events.get()
                if event in events:
                    found[event] = data
        return found

    async def asked(self, event: str, data: Any, *answers: str) -> Any:
        """The data of the next of *answers* after *event* was sent."""
        await self.send(event, data)
        return await self.next(*answers)


@asynccontextmanager
async def plain(
    url: str, headers: Mapping[str, str] | None = None, **options: Any
) -> AsyncIterator[StreamClient]:
    """A client of `/ws`. When it is disconnected its last event is `closed`, with the code."""
    address = f"{url.replace('http', 'ws', 1)}/ws"
    async with websockets.connect(
        address, max_size=None, additional_headers=headers, **options
    ) as connection:

        async def send(event: str, data: Any) -> None:
            await connection.send(orjson.dumps({"event": event, "data": data}).decode())

        async def receive() -> None:
            with suppress(websockets.ConnectionClosed):
                async for text in connection:
                    document = orjson.loads(text)
                    client.events.put_nowait((document["event"], document["data"]))
            client.events.put_nowait(("closed", connection.close_code))

        client = StreamClient(send)
        receiving = asyncio.create_task(receive())
        yield client
        receiving.cancel()


@asynccontextmanager
async def socket_io(url: str, **options: Any) -> AsyncIterator[StreamClient]:
    """A client of Socket.IO."""
    connection = socketio.AsyncClient(reconnection=False)

    async def receive(event: str, *arguments: Any) -> None:
        client.events.put_nowait((event, arguments[0] if arguments else None))

    client = StreamClient(connection.emit)
    connection.on("*", receive)
    await connection.connect(url, **options)
    try:
        yield client
    finally:
        await connection.disconnect()


Door = Callable[..., AbstractAsyncContextManager[StreamClient]]
DOORS: dict[str, Door] = {"websocket": plain, "socketio": socket_io}
