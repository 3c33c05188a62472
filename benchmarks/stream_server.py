"""A server of streams to measure: ours, or a library's own way to reach many clients.

    python -m benchmarks.stream_server ours|emit|broadcast FOLDER

Its first line is its port. Each line it reads is the size of a message to send to everybody; it
answers when the message is on its way. For `cpu` it answers with its processor seconds and the
kilobytes of its memory.
"""

import asyncio
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import socketio
import uvicorn
from starlette.types import ASGIApp
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.stream_clients import EVENT, ROOM, SUBSCRIBED
from data_fetch.core.clock import SystemClock
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.publishing.stream_updates import price_update
from data_fetch.serving.gate import Gate
from data_fetch.serving.listening import listening
from data_fetch.serving.server import Server
from data_fetch.serving.streams.by_delay import StreamsByDelay
from data_fetch.serving.streams.doors import Doors
from data_fetch.storage.database.store import open_store
from data_fetch.storage.instruments.instruments import save_master

NIFTY = Instrument(
    instrument_key="NSE_INDEX|Nifty 50",
    live_key="NSE_INDEX|Nifty 50",
    symbol="NIFTY",
    segment="NSE_INDEX",
    instrument_type="INDEX",
)

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def measured(send: Send) -> None:
    """Send what standard input orders, until it ends."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    number = 0
    while order := (await lines.readline()).decode().strip():
        if order == "cpu":
            print(time.process_time(), memory(), flush=True)
            continue
        number += 1
        # The clock is the machine's, so that another process can tell how long it took.
        document = {
            "product": "NIFTY",
            "price": time.monotonic(),
            "timestamp": f"2026-09-16T04:00:00.{number:06d}+00:00",
            "padding": "x" * int(order),
        }
        await send(document)
        print(number, flush=True)


def memory() -> int:
    """The kilobytes of this process that are in memory now; where that is not told, the most."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def served(config: uvicorn.Config, listener: socket.socket, send: Send) -> None:
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    print(listener.getsockname()[1], flush=True)
    await measured(send)
    server.should_exit = True
    await serving


async def ours(folder: str, listener: socket.socket) -> None:
    url = f"sqlite:///{folder}/store.db"
    now = SystemClock().now()
    with closing(open_store(url, World.LIVE)) as store:
        save_master(store, [NIFTY], now.date(), now)
    given = {"DATA_SOURCE": "upstox", "DATABASE_URL": url}
    server = Server(Settings.load(given, Path(folder)))
    streams = StreamsByDelay(server)

    async def nothing(*_: Any) -> None:
        return None

    app = Gate(Doors(nothing, streams), server)

    async def send(document: dict[str, Any]) -> None:
        await streams.present.publish(price_update(document))

    await served(listening(app), listener, send)


async def emit(listener: socket.socket) -> None:
    sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=[])

    @sio.on("subscribe")
    async def subscribe(sid: str, _: Any) -> None:
        await sio.enter_room(sid, ROOM)
        await sio.emit(SUBSCRIBED, {}, room=sid)

    async def send(document: dict[str, Any]) -> None:
        await sio.emit(EVENT, document, room=ROOM)

    app: ASGIApp = socketio.ASGIApp(sio)
    await served(uvicorn.Config(app, log_level="error", lifespan="off"), listener, send)


async def to_all(listener: socket.socket) -> None:
    connected: set[ServerConnection] = set()

    async def joined(connection: ServerConnection) -> None:
        connected.add(connection)
        await connection.send(SUBSCRIBED)
        try:
            await connection.wait_closed()
        finally:
            connected.discard(connection)

    async def send(document: dict[str, Any]) -> None:
        broadcast(connected, json.dumps({"event": EVENT, "data": document}))

    async with serve(joined, sock=listener, compression=None):
        print(listener.getsockname()[1], flush=True)
        await measured(send)


def main(kind: str, folder: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    work = {
        "ours": lambda: ours(folder, listener),
        "emit": lambda: emit(listener),
        "broadcast": lambda: to_all(listener),
    }
    asyncio.run(work[kind]())


if __name__ == "__main__":
    main(*sys.argv[1:])
