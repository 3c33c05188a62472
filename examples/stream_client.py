"""A client of the streams that comes back by itself and misses nothing it need not miss.

    python examples/stream_client.py ws://127.0.0.1:8002/ws product:NIFTY chain:NIFTY

It needs the package `websockets`. Set DATA_FETCH_TOKEN where the server wants credentials.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

# Heartbeats come every 5 s.
MUTE_SECONDS = 12.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0


class StreamClient:
    """The updates of *rooms* ("product:NIFTY", "chain:NIFTY") at *url*.

    After a break it asks for what it missed. The server sends that, or `resync` and the newest
    values.
    """

    def __init__(self, url: str, rooms: Sequence[str], token: str | None = None) -> None:
        self._url = url
        self._rooms = rooms
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._stream: str | None = None
        # The number of the last update of each room.
        self.seq: dict[str, int] = {}

    async def updates(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Events and their data, for ever: updates, `resync`, heartbeats and errors."""
        pause = FIRST_PAUSE
        while True:
            try:
                async with connect(
                    self._url, additional_headers=self._headers, max_size=None
                ) as connection:
                    for room in ("general", *self._rooms):
                        await connection.send(self._subscription(room))
                    while True:
                        # Without heartbeats the connection is mute, even if it is open.
                        text = await asyncio.wait_for(connection.recv(), MUTE_SECONDS)
                        document = json.loads(text)
                        event, data = document["event"], document["data"]
                        if self._lost(event, data):
                            break
                        self._note(event, data)
                        pause = FIRST_PAUSE
                        yield event, data
            except (OSError, ConnectionClosed, TimeoutError) as problem:
                print(f"connecting again: {problem!r}", file=sys.stderr)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _subscription(self, room: str) -> str:
        kind, _, symbol = room.partition(":")
        data: dict[str, Any] = {"type": kind, "symbol": symbol}
        if self._stream is not None and room in self.seq:
            data |= {"since": self.seq[room], "stream": self._stream}
        return json.dumps({"event": "subscribe", "data": data})

    def _note(self, event: str, data: dict[str, Any]) -> None:
        if data.get("stream", self._stream) != self._stream:
            # Numbers of another server say nothing about this one.
            self._stream, self.seq = data["stream"], {}
        if event == "resync":
            self.seq.pop(data["room"], None)
        elif event != "subscribed" and "seq" in data:
            self.seq[data["room"]] = data["seq"]

    def _lost(self, event: str, data: dict[str, Any]) -> bool:
        """Whether the server has sent something that did not arrive."""
        return event == "heartbeat" and any(
            seq > self.seq.get(room, seq) for room, seq in data["last_seq"].items()
        )


async def main(url: str, rooms: Sequence[str]) -> None:
    client = StreamClient(url, rooms, os.environ.get("DATA_FETCH_TOKEN"))
    async for event, data in client.updates():
        if event == "chain_update":
            data = {
                **data,
                "calls": len(data["calls"]),
                "puts": len(data["puts"]),
                "strikes": "...",
            }
        print(event, json.dumps(data), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], sys.argv[2:]))
