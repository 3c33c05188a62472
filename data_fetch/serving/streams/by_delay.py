"""The streams of one server: as they are now, and as viewers see them who see older data only."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from data_fetch.publishing.stream_hub import REASONS
from data_fetch.serving.metrics import StreamFigures
from data_fetch.serving.server import Server
from data_fetch.serving.streams.service import Streams

# The doors, as the metrics name them.
DOORS = SOCKET_IO, WEB_SOCKET = ("socketio", "websocket")


class StreamsByDelay:
    """The *present* streams of *server*, and those of the role `public`, with numbers of their
    own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.present = Streams(server)
        delay = timedelta(minutes=server.settings.public_delay_minutes)
        self._delayed = Streams(server, delay) if delay else self.present
        self._all = list(dict.fromkeys((self.present, self._delayed)))
        server.metrics.watch_streams(self.figures)

    def of(self, delay: timedelta) -> Streams:
        """The streams for a viewer with this *delay*."""
        return self._delayed if delay else self.present

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the store until the end."""
        async with AsyncExitStack() as running:
            for each in self._all:
                await running.enter_async_context(each.running())
            yield

    @property
    def clients(self) -> int:
        """How many are connected."""
        return sum(len(each.hub.clients) for each in self._all)

    def figures(self) -> StreamFigures:
        """The clients and queues at present, for the server's metrics."""
        hubs = [each.hub for each in self._all]
        doors, rooms, closed = Counter[str](), Counter[str](), Counter[str]()
        for hub in hubs:
            doors += hub.doors()
            rooms += Counter(hub.rooms())
            closed += hub.closed
        return StreamFigures(
            clients={door: doors[door] for door in DOORS},
            rooms=dict(rooms),
            queued=sum(hub.waiting for hub in hubs),
            queued_bytes=sum(client.outbox.bytes for hub in hubs for client in hub.clients),
            longest_queue=max(hub.most_waiting for hub in hubs),
            sent=sum(hub.delivered for hub in hubs),
            replaced=sum(hub.conflated for hub in hubs),
            closed={reason: closed[reason] for reason in REASONS.values()},
        )
