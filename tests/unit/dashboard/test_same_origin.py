"""Which web pages may use the dashboard."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from data_fetch.core.settings import Settings
from data_fetch.dashboard.same_origin import SameOrigin

OWN, PROXY = "http://127.0.0.1:8501", "https://desk.example.com"
STREAM = "ws://127.0.0.1:8501/stream"
EVIL = "http://evil.example.com:8501"


async def page(_: object) -> PlainTextResponse:
    return PlainTextResponse("shown")


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("shown")
    await socket.close()


def client(folder: Path, base_url: str, **environment: str) -> TestClient:
    settings = Settings.load({"DATA_SOURCE": "paper", **environment}, folder)
    methods = ["GET", "POST"]
    app = Starlette(routes=[Route("/", page, methods=methods), WebSocketRoute("/stream", stream)])
    return TestClient(SameOrigin(app, settings), base_url=base_url)


@pytest.mark.parametrize(
    ("base_url", "environment", "status"),
    [
        pytest.param(OWN, {}, 200, id="its own name"),
        pytest.param("http://localhost:8501", {}, 200, id="localhost"),
        pytest.param(EVIL, {}, 421, id="a name that leads here"),
        pytest.param(PROXY, {"API_AUTHENTICATION": "on"}, 200, id="a proxy, for accounts"),
    ],
)
def test_an_open_dashboard_has_the_names_of_this_machine(
    tmp_path: Path, base_url: str, environment: dict[str, str], status: int
) -> None:
    assert client(tmp_path, base_url, **environment).get("/").status_code == status


ORIGINS = [
    pytest.param(OWN, {}, True, id="its own page"),
    pytest.param(None, {}, True, id="a program"),
    pytest.param(EVIL, {}, False, id="another page"),
    pytest.param("http://127.0.0.1:9000", {}, False, id="another port"),
    pytest.param("null", {}, False, id="a frame without origin"),
    pytest.param(PROXY, {"CORS_ORIGINS": PROXY}, True, id="a listed one"),
]


@pytest.mark.parametrize(("origin", "environment", "allowed"), ORIGINS)
def test_only_its_own_pages_connect_and_send(
    tmp_path: Path, origin: str | None, environment: dict[str, str], allowed: bool
) -> None:
    asking = client(tmp_path, OWN, **environment)
    headers = {"origin": origin} if origin else {}

    assert asking.post("/", headers=headers).status_code == (200 if allowed else 403)
    if allowed:
        with asking.websocket_connect(STREAM, headers=headers) as socket:
            assert socket.receive_text() == "shown"
    else:
        with (
            pytest.raises(WebSocketDisconnect),
            asking.websocket_connect(STREAM, headers=headers),
        ):
            pass
