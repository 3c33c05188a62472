"""Streams with many clients, and with clients that do not read."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
import urllib3
import websockets
from effort import PATIENCE_SECONDS
from programs import Desk
from served import Served, serving
from stream_clients import plain, socket_io
from stream_shelf import LiveStore

from data_fetch.core.chains.chains import ChainLeg, OptionType
from data_fetch.serving.streams.app import stream_application

MANY = 500
# A chain of about half a megabyte fills what the system buffers soon.
LEGS = [
    ChainLeg(strike=Decimal(10_000 + 50 * number), option_type=kind, ltp=100.0, oi=75.0)
    for number in range(600)
    for kind in (OptionType.CALL, OptionType.PUT)
]
CHAIN_OF_NIFTY = {"type": "chain", "symbol": "NIFTY"}
SUBSCRIBE = orjson.dumps({"event": "subscribe", "data": CHAIN_OF_NIFTY}).decode()


@pytest.mark.long
def test_five_hundred_clients_that_come_back_at_once_all_get_the_newest_chain(
    tmp_path: Path,
) -> None:
    desk = Desk.at(tmp_path, DATA_SOURCE="paper")
    desk.json("chain", "collect", "--symbols", "NIFTY")
    server = desk.start("stream", "--port", "0", "--json")

    async def one(url: str) -> int:
        async with websockets.connect(url, max_size=None, open_timeout=None) as connection:
            await connection.send(SUBSCRIBE)
            async for text in connection:
                document = orjson.loads(text)
                if document["event"] == "chain_update":
                    return len(document["data"]["strikes"])
        raise AssertionError

    async def story(url: str) -> None:
        address = f"{url.replace('http', 'ws', 1)}/ws"
        for _ in range(2):
            async with asyncio.timeout(PATIENCE_SECONDS):
                strikes = await asyncio.gather(*(one(address) for _ in range(MANY)))
            assert len(set(strikes)) == 1
        async with plain(url) as client:
            await client.asked("get_products", None, "products")

    try:
        assert server.stdout is not None
        asyncio.run(story(orjson.loads(server.stdout.readline())["url"]))
    finally:
        server.kill()
        server.communicate()


@pytest.fixture
def live(sqlite_url: str) -> Iterator[LiveStore]:
    live = LiveStore.at(sqlite_url)
    live.chain(24_000.0, 60, *LEGS)
    yield live
    live.store.close()


@pytest.fixture
def server(live: LiveStore, tmp_path: Path) -> Iterator[Served]:
    with serving(stream_application(live.settings(tmp_path))) as server:
        yield server


def masked(text: str) -> bytes:
    """A text frame of a client, masked by zeros."""
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text.encode()


def stalled(server: Served, path: str, *texts: str) -> socket.socket:
    """A WebSocket that sends *texts*, and reads nothing but that it was accepted."""
    port = int(server.url.rpartition(":")[2])
    connection = socket.socket()
    # Little fits in between.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", port))
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    accepted = b""
    while b"\r\n\r\n" not in accepted:
        accepted += connection.recv(1)
    for text in texts:
        connection.sendall(masked(text))
    return connection


def polled(server: Served) -> str:
    """The id of a client of Socket.IO that has polled once."""
    address = f"{server.url}/socket.io/?EIO=4&transport=polling"
    answer = urllib3.request("GET", address, timeout=PATIENCE_SECONDS)
    sid: str = orjson.loads(answer.data[1:])["sid"]
    urllib3.request("POST", f"{address}&sid={sid}", body=b"40", timeout=PATIENCE_SECONDS)
    return sid


def clients(server: Served) -> int:
    answer = urllib3.request(
        "GET", f"{server.url}/metrics", headers={"Accept": "application/json"},
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    total: int = orjson.loads(answer.data)["total_clients"]
    return total


@pytest.mark.long
def test_clients_that_never_read_are_disconnected_and_another_misses_nothing(
    live: LiveStore, server: Served
) -> None:
    async def story() -> None:
        async with plain(server.url) as healthy:
            await healthy.asked("subscribe", CHAIN_OF_NIFTY, "chain_update")
            seq = second = 0
            while await asyncio.to_thread(clients, server) > 1:
                second += 1
                await asyncio.to_thread(live.chain, 24_000.0 + second, 60 + second, *LEGS)
                update = await healthy.next("chain_update")
                assert update["spot_price"] == 24_000.0 + second
                assert seq in {0, update["seq"] - 1}
                seq = update["seq"]

    chain = '{"type":"chain","symbol":"NIFTY"}'
    events = "/socket.io/?EIO=4&transport=websocket"
    subscribed = f'42["subscribe",{chain}]'
    mute = [
        stalled(server, "/ws", f'{{"event":"subscribe","data":{chain}}}'),
        stalled(server, events, "40", subscribed),
        stalled(server, f"{events}&sid={polled(server)}", "2probe", "5", subscribed),
    ]
    try:
        while clients(server) < len(mute):
            pass
        asyncio.run(story())
        # Nothing is left of their connections.
        for each in mute:
            with suppress(ConnectionError):
                while each.recv(1_000_000):
                    pass
    finally:
        for each in mute:
            each.close()


def test_answers_that_are_never_read_end_the_connection(server: Served) -> None:
    """Ten thousand subscriptions, and nobody reads what became of them."""
    connection = stalled(server, "/ws")
    text = masked('{"event":"subscribe","data":{"type":"chain","symbol":"NIFTY"}}')
    with connection:
        # It is cut before it has sent all.
        with suppress(OSError):
            for _ in range(10_000):
                connection.sendall(text)
        while clients(server):
            pass


def test_thousands_of_subscriptions_are_answered_one_by_one(server: Served) -> None:
    async def story() -> None:
        async with plain(server.url) as client, socket_io(server.url) as other:
            for each in (client, other):
                for number in range(2_000):
                    symbol = f"NOSUCH{number % 7}"
                    await each.send("subscribe", {"type": "chain", "symbol": symbol})
                await each.send("get_products", None)
                codes = set()
                answered = 0
                while answered < 2_000:
                    codes.add((await each.next("error"))["code"])
                    answered += 1
                assert codes == {"unknown_symbol"}
                await each.next("products")

    asyncio.run(story())
