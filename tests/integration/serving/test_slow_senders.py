"""Senders that take their time with the headers of a request."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from effort import PATIENCE_SECONDS
from served import Served, served

from data_fetch.core.settings import Settings
from data_fetch.serving import listening

LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(listening, "HEADER_SECONDS", 0.2)
    with served(Settings.load({"DATA_SOURCE": "paper"}, tmp_path)) as server:
        yield server


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
    address = urllib3.util.parse_url(server.url)
    assert address.host is not None
    received = b""
    with socket.create_connection((address.host, address.port or 0), PATIENCE_SECONDS) as sender:
        sender.sendall(sent)
        try:
            while part := sender.recv(65_536):
                received += part
        except ConnectionResetError:
            pass

    assert received.count(b"HTTP/1.1 200") == answers
    assert server.get("/health/live")[0] == 200
