"""Who may stream: tokens and keys in headers, first messages and `auth`; pages of other origins."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import socketio
import urllib3
import websockets
from account_shelf import PASSWORD, SECRET, accounts_in, sign_in_to
from effort import PATIENCE_SECONDS
from served import Served, serving
from stream_clients import socket_io
from stream_shelf import NIFTY, LiveStore

from data_fetch.core.accounts.accounts import Role, Scope
from data_fetch.core.settings import Settings
from data_fetch.serving.streams.app import stream_application

SUBSCRIBE = '{"event": "subscribe", "data": {"type": "chain", "symbol": "NIFTY"}}'


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStore]:
    live = LiveStore.at(f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}")
    live.price(NIFTY, 24_000.5, 1)
    live.chain(24_010.0, 70)
    yield live
    live.store.close()


@pytest.fixture(scope="module")
def credentials(live: LiveStore) -> dict[str, str]:
    """What accounts of a user and of a public viewer, and keys of the user, are known by."""
    accounts, signing_in = accounts_in(live.store), sign_in_to(live.store)
    for role in (Role.USER, Role.PUBLIC):
        accounts.add(f"{role}@example.com", role.title(), PASSWORD, role)
    user = "user@example.com"
    return {
        "token of a user": signing_in.sign_in(user, PASSWORD, "127.0.0.1").access,
        "token of a public account": signing_in.sign_in(
            "public@example.com", PASSWORD, "127.0.0.1"
        ).access,
        "key to stream": accounts.add_key(user, "a bot", [Scope.STREAM]).secret,
        "key to read": accounts.add_key(user, "a notebook", [Scope.READ]).secret,
        "nonsense": "nonsense",
    }


@pytest.fixture(scope="module")
def closed(live: LiveStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that wants credentials."""
    settings = live.settings(
        tmp_path_factory.mktemp("closed"), API_AUTHENTICATION="on", JWT_SECRET=SECRET.decode()
    )
    with serving(stream_application(settings)) as server:
        yield server


@pytest.fixture(scope="module")
def open_server(live: LiveStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = live.settings(tmp_path_factory.mktemp("open"), JWT_SECRET=SECRET.decode())
    with serving(stream_application(settings)) as server:
        yield server


async def plain_outcome(url: str, header: str | None, told: str | None, **more: Any) -> str:
    """ "streams", or why a client of `/ws` may not."""
    address = f"{url.replace('http', 'ws', 1)}/ws"
    headers = {"Authorization": f"Bearer {header}"} if header else {}
    try:
        async with websockets.connect(address, additional_headers=headers, **more) as connection:
            if told is not None:
                first = {"event": "authenticate", "data": {"token": told}}
                await connection.send(orjson.dumps(first).decode())
            # It may be closed already.
            with suppress(websockets.ConnectionClosed):
                await connection.send(SUBSCRIBE)
            async for text in connection:
                document = orjson.loads(text)
                if document["event"] == "chain_update":
                    return "streams"
                if document["event"] == "error":
                    await connection.wait_closed()
                    assert connection.close_code == 4003
                    return str(document["data"]["code"])
    except websockets.InvalidStatus as refused:
        return str(refused.response.status_code)
    raise AssertionError


async def socketio_outcome(url: str, header: str | None, told: str | None, **more: Any) -> str:
    """The same by Socket.IO."""
    client, outcome = socketio.AsyncClient(reconnection=False), asyncio.Event()
    found: list[str] = []

    def end(how: str) -> None:
        found.append(how)
        outcome.set()

    async def refused(reason: Any = None) -> None:
        end(reason["data"]["code"] if isinstance(reason, dict) and "data" in reason else "refused")

    async def update(_: Any) -> None:
        end("streams")

    client.on("chain_update", update)
    client.on("connect_error", refused)
    client.on("disconnect", refused)
    headers = {"Authorization": f"Bearer {header}"} if header else {}
    try:
        await client.connect(
            url, headers={**headers, **more.get("headers", {})},
            auth={"token": told} if told else None,
        )  # fmt: skip
        await client.emit("subscribe", {"type": "chain", "symbol": "NIFTY"})
    except (socketio.exceptions.SocketIOError, RuntimeError):
        # The library reads the body of a refusal when the connection may be gone.
        end("refused")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await outcome.wait()
    await client.disconnect()
    return found[0]


@pytest.mark.parametrize(
    ("header", "told", "outcome"),
    [
        pytest.param("token of a user", None, "streams", id="a token in a header"),
        pytest.param("key to stream", None, "streams", id="a key in a header"),
        pytest.param(None, "token of a user", "streams", id="a token in the first message"),
        pytest.param(None, "key to stream", "streams", id="a key in the first message"),
        pytest.param(None, None, "unauthenticated", id="nothing"),
        pytest.param(None, "nonsense", "unauthenticated", id="nonsense"),
        pytest.param("nonsense", None, "401", id="nonsense in a header"),
        pytest.param(None, "key to read", "forbidden", id="a key without the scope"),
        pytest.param("key to read", None, "403", id="such a key in a header"),
        pytest.param(None, "token of a public account", "streams", id="who sees older data"),
        pytest.param("token of a public account", None, "streams", id="the same by a header"),
    ],
)
def test_where_credentials_are_required(
    closed: Served,
    credentials: dict[str, str],
    header: str | None,
    told: str | None,
    outcome: str,
) -> None:
    given = [None if each is None else credentials[each] for each in (header, told)]

    assert asyncio.run(plain_outcome(closed.url, *given)) == outcome
    by_socketio = asyncio.run(socketio_outcome(closed.url, *given))
    assert by_socketio == ("streams" if outcome == "streams" else "refused")


def test_a_token_that_is_not_needed_is_no_error(
    open_server: Served, credentials: dict[str, str]
) -> None:
    given = credentials["token of a user"]
    assert asyncio.run(plain_outcome(open_server.url, None, given)) == "streams"
    assert asyncio.run(socketio_outcome(open_server.url, None, given)) == "streams"


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        pytest.param("null", True, id="a page from disk"),
        pytest.param("http://localhost:3000", True, id="another port here"),
        pytest.param("https://elsewhere.example.com", False, id="a page from elsewhere"),
        pytest.param("http://localhost.example.com", False, id="a name that looks local"),
    ],
)
def test_pages_of_other_origins(open_server: Served, origin: str, is_allowed: bool) -> None:
    plainly = asyncio.run(plain_outcome(open_server.url, None, None, origin=origin))
    assert plainly == ("streams" if is_allowed else "403")
    headers = {"Origin": origin}
    answer = urllib3.request(
        "GET", f"{open_server.url}/socket.io/?EIO=4&transport=polling", headers=headers,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    shown = answer.headers.get("Access-Control-Allow-Origin")
    assert shown == (origin if is_allowed else None)


def test_a_client_whose_key_is_taken_back_is_disconnected(
    live: LiveStore,
    credentials: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert credentials
    monkeypatch.setattr("data_fetch.serving.streams.service.ADMISSION_SECONDS", 0.1)
    accounts = accounts_in(live.store)
    made = accounts.add_key("user@example.com", "a former bot", [Scope.STREAM])
    settings = live.settings(tmp_path, API_AUTHENTICATION="on", JWT_SECRET=SECRET.decode())

    async def story(url: str) -> None:
        headers = {"X-API-Key": made.secret}
        address = f"{url.replace('http', 'ws', 1)}/ws"
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            websockets.connect(address, additional_headers=headers) as connection,
            socket_io(url, headers=headers) as other,
        ):
            assert b"connected" in await connection.recv(decode=False)
            await asyncio.to_thread(accounts.revoke_key, made.key.key_id)
            await connection.wait_closed()
            assert connection.close_code == 4003
            assert (await other.next("error"))["code"] == "unauthenticated"

    with serving(stream_application(settings)) as server:
        asyncio.run(story(server.url))


def test_while_the_store_is_away_nobody_is_admitted_and_learns_where_it_is(tmp_path: Path) -> None:
    variables = {"API_AUTHENTICATION": "on", "JWT_SECRET": SECRET.decode()}
    away = {"DATA_SOURCE": "upstox", "DATABASE_URL": "postgresql://postgres@127.0.0.1:1/away"}
    settings = Settings.load({**away, **variables}, tmp_path)

    with serving(stream_application(settings)) as server:
        plainly = asyncio.run(plain_outcome(server.url, None, "dfk_unknown"))
        by_socketio = asyncio.run(socketio_outcome(server.url, None, "dfk_unknown"))

    assert (plainly, by_socketio) == ("service_unavailable", "refused")
