"""Which web pages may use the dashboard."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import urllib3
from effort import PATIENCE_SECONDS
from served import Served, serving
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from data_fetch.core.settings import Settings
from data_fetch.dashboard.same_origin import SameOrigin

# The names that are used of it, whatever its port is in a test.
OWN, PROXY = "http://127.0.0.1:8501", "https://desk.example.com"
STREAM = "ws://127.0.0.1:8501/stream"
EVIL = "http://evil.example.com:8501"

Guarded = Callable[[dict[str, str]], AbstractContextManager[Served]]


async def page(_: object) -> PlainTextResponse:
    return PlainTextResponse("shown")


async def stream(connection: WebSocket) -> None:
    await connection.accept()
    await connection.send_text("shown")
    await connection.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    """Serves a page and a stream with the settings of an environment."""

    def served(environment: dict[str, str]) -> AbstractContextManager[Served]:
        settings = Settings.load({"DATA_SOURCE": "paper", **environment}, tmp_path)
        methods = ["GET", "POST"]
        routes = [Route("/", page, methods=methods), WebSocketRoute("/stream", stream)]
        return serving(SameOrigin(Starlette(routes=routes), settings))

    return served


def status_of(server: Served, method: str, **headers: str) -> int:
    return urllib3.request(method, server.url, headers=headers, timeout=PATIENCE_SECONDS).status


def streamed(server: Served, headers: dict[str, str]) -> str | bytes:
    """The first message of the stream, called by its own name. Raises InvalidStatus."""
    address = urllib3.util.parse_url(server.url)
    connected = socket.create_connection((address.host or "", address.port or 0))
    with connect(STREAM, sock=connected, additional_headers=headers, proxy=None) as connection:
        return connection.recv(timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("name", "environment", "status"),
    [
        pytest.param(OWN, {}, 200, id="its own name"),
        pytest.param("http://localhost:8501", {}, 200, id="localhost"),
        pytest.param(EVIL, {}, 421, id="a name that leads here"),
        pytest.param(PROXY, {"API_AUTHENTICATION": "on"}, 200, id="a proxy, for accounts"),
    ],
)
def test_an_open_dashboard_has_the_names_of_this_machine(
    guarded: Guarded, name: str, environment: dict[str, str], status: int
) -> None:
    with guarded(environment) as server:
        assert status_of(server, "GET", Host=name.partition("//")[2]) == status


@pytest.mark.parametrize(
    ("origin", "environment", "allowed"),
    [
        pytest.param(OWN, {}, True, id="its own page"),
        pytest.param(None, {}, True, id="a program"),
        pytest.param(EVIL, {}, False, id="another page"),
        pytest.param("http://127.0.0.1:9000", {}, False, id="another port"),
        pytest.param("null", {}, False, id="a frame without origin"),
        pytest.param(PROXY, {"CORS_ORIGINS": PROXY}, True, id="a listed one"),
    ],
)
def test_only_its_own_pages_connect_and_send(
    guarded: Guarded, origin: str | None, environment: dict[str, str], allowed: bool
) -> None:
    headers = {"Origin": origin} if origin else {}
    with guarded(environment) as server:
        sent = status_of(server, "POST", Host=OWN.partition("//")[2], **headers)

        assert sent == (200 if allowed else 403)
        if allowed:
            assert streamed(server, headers) == "shown"
        else:
            with pytest.raises(InvalidStatus, match="403"):
                streamed(server, headers)
