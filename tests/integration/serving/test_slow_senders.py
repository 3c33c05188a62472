"""Clients that take their time: with headers, with bodies, with what they are sent."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import urllib3
import websockets
from effort import PATIENCE_SECONDS
from served import Served, served

from data_fetch.core.settings import Settings
from data_fetch.serving import bodies, listening

LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
DESCRIPTION = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(listening, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(listening, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(bodies, "MOST_SECONDS", 0.2)
    with served(Settings.load({"DATA_SOURCE": "paper"}, tmp_path)) as server:
        yield server


def connected(server: Served) -> socket.socket:
    address = urllib3.util.parse_url(server.url)
    assert address.host is not None
    return socket.create_connection((address.host, address.port or 0), PATIENCE_SECONDS)


def until_closed(connection: socket.socket) -> bytes:
    """All that is received until the server closes the connection."""
    received = b""
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            received += part
    return received


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(b"GET /health/li", 0, id="half a line"),
        pytest.param(LIVE[:-2] + b"X-Slow: a", 0, id="half a header"),
        pytest.param(LIVE + LIVE[:-2], 1, id="half of the second request"),
    ],
)
def test_the_connection_is_closed(server: Served, sent: bytes, answers: int) -> None:
    with connected(server) as sender:
        sender.sendall(sent)
        received = until_closed(sender)

    assert received.count(b"HTTP/1.1 200") == answers
    assert server.get("/health/live")[0] == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"Content-Length: 100", b"408", id="slow"),
        pytest.param(b"Content-Length: 50000000", b"413", id="too large"),
        pytest.param(b"Transfer-Encoding: chunked", b"408", id="without an end"),
    ],
)
def test_a_body_that_goes_on_after_its_refusal_ends_the_connection(
    server: Served, head: bytes, status: bytes
) -> None:
    with connected(server) as sender:
        sender.sendall(b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
        received = sender.recv(65_536)
        # A byte now and then is no reason to wait for the rest.
        with suppress(ConnectionError):
            while True:
                sender.sendall(b"1\r\n \r\n" if b"chunked" in head else b" ")

    assert received.startswith(b"HTTP/1.1 " + status)
    assert server.get("/health/live")[0] == 200


def test_a_client_that_takes_nothing_of_its_answers_is_disconnected(server: Served) -> None:
    with connected(server) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        # More answers than the system keeps for it.
        with suppress(ConnectionError):
            while True:
                reader.sendall(DESCRIPTION * 100)

    assert server.get("/health/live")[0] == 200


def test_one_websocket_too_many_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MOST_CONNECTIONS", 3)

    async def story(url: str) -> int:
        address = f"{url.replace('http', 'ws', 1)}/ws"
        async with websockets.connect(address), websockets.connect(address):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(address)
            return refused.value.response.status_code

    with served(Settings.load({"DATA_SOURCE": "paper"}, tmp_path)) as server:
        assert asyncio.run(story(server.url)) == 503
