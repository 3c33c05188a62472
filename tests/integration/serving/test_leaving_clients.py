"""Clients that go away in the middle of an answer, with other requests in line: nothing of it
stays behind.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from candle_shelf import EVENING, RELIANCE, Shelf, shelf_at, whole_day
from effort import PATIENCE_SECONDS
from raw_requests import Target
from served import serving
from servers import DatabaseCopies

from data_fetch.core.clock import stopwatch
from data_fetch.core.market.session import Segment
from data_fetch.serving.app import routes_of
from data_fetch.serving.gate import Gate
from data_fetch.serving.server import Server
from data_fetch.storage.database.store import Store

FIRST, LAST = date(2025, 5, 1), date(2025, 5, 31)
# An answer as of an instant is the same each time.
RANGE = f"/api/data/candles/RELIANCE?to={LAST}&as_of={EVENING:%Y-%m-%dT%H:%M}Z"
# The connection is reset when it is closed.
AT_ONCE = struct.pack("ii", 1, 0)
CLIENTS = 4
# Bytes of an answer that the system takes; the server keeps the rest until the client reads.
BUFFERED = 4096
HOST = " HTTP/1.1\r\nHost: localhost\r\n\r\n"
IN_LINE = f"GET /health/live{HOST}"


@dataclass(frozen=True)
class Watched:
    """A server, and the connections to its store that are in use."""

    target: Target
    server: Server
    shelf: Shelf

    @property
    def in_use(self) -> int:
        with self.server.kept.store(self.shelf.settings, self._opened) as store:
            pool = store.engine.pool
            return int(pool.checkedout())  # type: ignore[attr-defined]

    def _opened(self, _: object) -> Store:
        raise AssertionError("the server has opened no store")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("month")
    with ExitStack() as opened:
        url = f"sqlite:///{folder / 'store.db'}"
        if request.param == "postgres":
            copies: DatabaseCopies = request.getfixturevalue("postgres_copies")
            url = opened.enter_context(copies.one())
        shelf = shelf_at(url, folder)
        opened.callback(shelf.store.close)
        shelf.lists(FIRST, RELIANCE)
        for number in range((LAST - FIRST).days + 1):
            day = FIRST + timedelta(days=number)
            if shelf.calendar.slots_on(day, Segment.CASH):
                shelf.keeps(RELIANCE, day, whole_day())
        server = Server(shelf.settings)
        served = opened.enter_context(serving(Gate(routes_of(server), server), BUFFERED))
        yield Watched(Target(served.url), server, shelf)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(f"from={FIRST}", id="a month in JSON"),
        pytest.param(f"from={FIRST}&format=csv", id="a month in CSV"),
        # So long that it is sent as it is read.
        pytest.param("from=2024-06-01&format=csv", id="a year in CSV"),
        pytest.param("from=2024-06-01&format=arrow", id="a year in Arrow"),
    ],
)
def test_no_connection_to_the_store_stays_in_use(watched: Watched, asked: str) -> None:
    address = f"{RANGE}&{asked}"
    whole = watched.target.send("GET", address)
    assert whole.status == 200

    for taken in range(CLIENTS):
        with watched.target.connected() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFERED)
            connection.sendall(f"GET {address}{HOST}{IN_LINE}{IN_LINE}".encode())
            # The first ones go away before anything is sent.
            received = 0
            while received < taken:
                received += len(connection.recv(taken))

    assert watched.target.send("GET", address).body == whole.body
    began = stopwatch()
    while watched.in_use:
        assert stopwatch() - began < PATIENCE_SECONDS
