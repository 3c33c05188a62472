"""Streams over both doors, and a store that another program writes into."""

import asyncio
import shutil
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
import websockets
from effort import PATIENCE_SECONDS
from served import Served, serving
from stream_clients import DOORS, Door, plain, socket_io
from stream_shelf import NIFTY, TCS, LiveStore, without

from data_fetch.serving.streams.app import stream_application

CHAIN = {
    "product", "expiry", "spot_price", "strikes", "pcr_oi", "pcr_volume", "atm_strike",
    "atm_straddle_price", "max_pain_strike", "total_call_oi", "total_put_oi", "call_buildup_otm",
    "put_buildup_otm", "calls", "puts", "timestamp", "processed_at",
}  # fmt: skip
SUMMARY = {
    "product", "expiry", "spot_price", "pcr_oi", "pcr_volume", "atm_straddle_price", "timestamp",
    "max_pain_strike",
}  # fmt: skip
PRICE = {"product", "price", "timestamp", "type", "processed_at"}
NUMBERED = {"seq", "as_of", "room"}
CHAIN_OF_NIFTY = {"type": "chain", "symbol": "NIFTY"}
PRICE_OF_NIFTY = {"type": "product", "symbol": "NIFTY"}
PRICE_OF_TCS = {"type": "product", "symbol": "TCS"}


@pytest.fixture
def live(database_url: str) -> Iterator[LiveStore]:
    live = LiveStore.at(database_url)
    live.price(NIFTY, 24_000.5, 1)
    live.price(TCS, 3_000.0, 1)
    live.chain(24_010.0, 70)
    yield live
    live.store.close()


@pytest.fixture
def server(live: LiveStore, tmp_path: Path) -> Iterator[Served]:
    with serving(stream_application(live.settings(tmp_path))) as server:
        yield server


@pytest.fixture(scope="module")
def steady_server(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One for all tests that only read."""
    folder = tmp_path_factory.mktemp("steady")
    shutil.copyfile(sqlite_template, folder / "store.db")
    live = LiveStore.at(f"sqlite:///{folder / 'store.db'}")
    live.chain(24_010.0, 70)
    with serving(stream_application(live.settings(folder))) as server:
        yield server
    live.store.close()


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> Door:
    return DOORS[request.param]


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def written(write: Any, *arguments: Any) -> None:
    """Another program writes into the store."""
    await asyncio.to_thread(write, *arguments)


def test_subscribing_brings_the_newest_value_and_then_every_change(
    live: LiveStore, server: Served, door: Door
) -> None:
    async def story() -> None:
        async with door(server.url) as client:
            welcome = await client.next("connected")
            assert welcome.keys() >= {"message", "client_id", "rooms"}
            assert welcome["rooms"] == ["general"]

            answer = await client.asked("subscribe", CHAIN_OF_NIFTY, "subscribed")
            assert answer.keys() >= {"room", "message"}
            assert answer["room"] == "chain:NIFTY"
            first = await client.next("chain_update")
            assert first.keys() >= CHAIN | NUMBERED
            assert (first["spot_price"], first["strikes"]) == (24_010.0, [24_000.0])

            await written(live.chain, 24_020.0, 71)
            second = await client.next("chain_update")
            assert (second["spot_price"], second["seq"]) == (24_020.0, first["seq"] + 1)

            answer = await client.asked("subscribe", PRICE_OF_TCS, "subscribed")
            assert answer["room"] == "product:TCS"
            price = await client.next("underlying_update")
            assert price.keys() >= PRICE | NUMBERED
            assert (price["product"], price["price"]) == ("TCS", 3_000.0)
            await written(live.price, TCS, 3_001.5, 2)
            assert (await client.next("underlying_update"))["price"] == 3_001.5

            answer = await client.asked("unsubscribe", PRICE_OF_TCS, "unsubscribed")
            assert answer["room"] == "product:TCS"
            products = await client.asked("get_products", None, "products")
            assert products == {"products": ["NIFTY"]}

    run(story())


def test_everybody_gets_the_index_and_its_summary(
    live: LiveStore, server: Served, door: Door
) -> None:
    async def story() -> None:
        async with door(server.url) as client:
            found = await client.each_of("chain_summary", "underlying_update")
            summary = found["chain_summary"]
            assert summary.keys() >= SUMMARY | NUMBERED
            assert all(isinstance(summary[name], float) for name in ("pcr_oi", "pcr_volume"))
            assert found["underlying_update"]["price"] == 24_000.5

            unknown = without("pcr_oi", live.received(24_030.0, 72))
            await written(live.keep, unknown)
            status = await client.next("chain_status", "chain_summary")
            assert [each["code"] for each in status["reasons"]] == ["no_open_interest"]

    run(story())


def test_a_price_comes_once_to_a_client_in_both_rooms(
    live: LiveStore, server: Served, door: Door
) -> None:
    async def story() -> None:
        async with door(server.url) as client:
            await client.asked("subscribe", PRICE_OF_NIFTY, "subscribed")
            await written(live.price, NIFTY, 24_001.0, 2)
            await written(live.price, NIFTY, 24_002.0, 3)
            prices = [0.0]
            while prices[-1] != 24_002.0:
                prices.append((await client.next("underlying_update"))["price"])
            await client.next("heartbeat")
            assert len(prices[1:]) == len(set(prices[1:]))
            assert client.events.empty()

    run(story())


BAD = {
    "a text": ("subscribe", "product", "not_an_object"),
    "nothing": ("subscribe", None, "not_an_object"),
    "a list": ("subscribe", ["product", "NIFTY"], "not_an_object"),
    "a nested symbol": ("subscribe", {"type": "chain", "symbol": {"a": [1]}}, "missing_symbol"),
    "a number": ("subscribe", {"type": "chain", "symbol": 7}, "missing_symbol"),
    "no symbol": ("subscribe", {"type": "chain"}, "missing_symbol"),
    "a blank symbol": ("subscribe", {"type": "chain", "symbol": " "}, "missing_symbol"),
    "an unknown type": ("subscribe", {"type": "room", "symbol": "NIFTY"}, "unknown_type"),
    "a nested type": ("subscribe", {"type": ["chain"], "symbol": "NIFTY"}, "unknown_type"),
    "no type": ("subscribe", {"symbol": "NIFTY"}, "unknown_type"),
    "an unknown symbol": ("subscribe", {"type": "chain", "symbol": "NIFTI"}, "unknown_symbol"),
    "a long symbol": ("subscribe", {"type": "chain", "symbol": "N" * 9_999}, "unknown_symbol"),
    "a path": ("subscribe", {"type": "chain", "symbol": "../etc"}, "unknown_symbol"),
    "a zero byte": ("subscribe", {"type": "chain", "symbol": "NIFTY\0"}, "unknown_symbol"),
    "a number that is a text": ("subscribe", {**PRICE_OF_TCS, "since": "1"}, "bad_since"),
    "a negative number": ("subscribe", {**PRICE_OF_TCS, "since": -1}, "bad_since"),
    "no such stream": ("subscribe", {**PRICE_OF_TCS, "since": 1, "stream": 1}, "bad_since"),
    "leaving general": ("unsubscribe", {"type": "general"}, "unknown_type"),
    "leaving a text": ("unsubscribe", "chain:NIFTY", "not_an_object"),
    "an unknown event": ("order", {"symbol": "NIFTY"}, "unknown_event"),
}  # fmt: skip


def test_what_is_not_served_is_answered_with_code_and_near_symbols(
    steady_server: Served, door: Door
) -> None:
    async def story() -> None:
        async with door(steady_server.url) as client, door(steady_server.url) as other:
            for name, (event, data, code) in BAD.items():
                error = await client.asked(event, data, "error")
                assert error.keys() == {"message", "code", "near"}, name
                assert error["code"] == code, name
            error = await client.asked("subscribe", BAD["an unknown symbol"][1], "error")
            assert error["near"] == ["NIFTY"]
            # The room of another client is no product.
            theirs = (await other.next("connected"))["client_id"]
            error = await client.asked("subscribe", {"type": "product", "symbol": theirs}, "error")
            assert error["code"] == "unknown_symbol"
            await client.asked("subscribe", CHAIN_OF_NIFTY, "subscribed")

    run(story())


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param("subscribe", "not_json", id="no JSON"),
        pytest.param("[]", "not_an_object", id="no object"),
        pytest.param(b"\x00\x01", "not_text", id="a binary frame"),
        pytest.param('{"event": ["subscribe"]}', "unknown_event", id="a nested event"),
        pytest.param("{}", "unknown_event", id="no event"),
        pytest.param("[" * 5_000, "not_json", id="deeply nested"),
    ],
)
def test_a_frame_that_is_no_event_is_answered(
    steady_server: Served, sent: str | bytes, code: str
) -> None:
    async def story() -> None:
        url = steady_server.url.replace("http", "ws", 1)
        async with websockets.connect(f"{url}/ws") as connection:
            await connection.send(sent)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while code not in (text := await connection.recv()):
                    assert '"error"' not in str(text)

    run(story())


def test_health_and_metrics_count_the_clients(server: Served) -> None:
    def get(path: str) -> Any:
        answer = urllib3.request(
            "GET",
            server.url + path,
            headers={"Accept": "application/json"},
            timeout=PATIENCE_SECONDS,
        )
        return orjson.loads(answer.data)

    async def story() -> None:
        async with plain(server.url) as one, socket_io(server.url) as other:
            await one.asked("subscribe", CHAIN_OF_NIFTY, "chain_update")
            await other.asked("subscribe", PRICE_OF_TCS, "subscribed")
            health = await asyncio.to_thread(get, "/health")
            assert (health["status"], health["clients"]) == ("healthy", 2)
            assert health["service"]
            assert await asyncio.to_thread(get, "/metrics") == {
                "total_clients": 2,
                "rooms": {"general": 2, "chain:NIFTY": 1, "product:TCS": 1},
            }

    run(story())


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x00\x01", id="a binary frame that nothing announced"),
        pytest.param("42", id="no event"),
        pytest.param('42["subscribe"', id="half of an event"),
        pytest.param("42{}", id="no list"),
        pytest.param("42[]", id="an empty list"),
        pytest.param("42[null,{}]", id="a name that is null"),
        pytest.param("42[[1],{}]", id="a name that is a list"),
        pytest.param('451-["subscribe",{"_placeholder":true,"num":0}]', id="a part is missing"),
        pytest.param('459999999999-["subscribe"]', id="too many parts"),
        pytest.param("4x", id="no packet"),
        pytest.param("9", id="no packet of the engine"),
        pytest.param("", id="nothing"),
        pytest.param("42" + "[" * 20_000, id="deeply nested"),
        pytest.param('42/other,["subscribe",{}]', id="another namespace"),
        pytest.param('42999999999999999999999["subscribe",{}]', id="a long acknowledgement"),
    ],
)  # fmt: skip
def test_a_client_that_breaks_the_protocol_harms_nobody(
    steady_server: Served, sent: str | bytes
) -> None:
    async def story() -> None:
        address = steady_server.url.replace("http", "ws", 1)
        path = f"{address}/socket.io/?EIO=4&transport=websocket"
        async with websockets.connect(path) as connection, socket_io(steady_server.url) as other:
            await connection.send("40")
            # Whether it is answered, passed over or disconnected is the library's.
            with suppress(websockets.ConnectionClosed):
                await connection.send(sent)
                await connection.send("2probe")
                await connection.send('42["subscribe",{"type":"chain","symbol":"NIFTY"}]')
            await other.asked("subscribe", CHAIN_OF_NIFTY, "chain_update")

    run(story())


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("9", id="no packet of the engine"),
        pytest.param("42{}", id="no list"),
        pytest.param('459999-["subscribe",{"_placeholder":true,"num":0}]', id="too many parts"),
        pytest.param(b"\x00\x01", id="a part of nothing"),
    ],
)
def test_breaking_the_protocol_ends_the_connection_and_is_one_line_of_the_log(
    steady_server: Served, sent: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        address = steady_server.url.replace("http", "ws", 1)
        path = f"{address}/socket.io/?EIO=4&transport=websocket"
        async with asyncio.timeout(PATIENCE_SECONDS), websockets.connect(path) as connection:
            await connection.send("40")
            # A client must not fill the log, nor the memory with parts of one event.
            with suppress(websockets.ConnectionClosed):
                for _ in range(100):
                    await connection.send(sent)
            await connection.wait_closed()

    run(story())
    assert len(caplog.records) <= 1
    assert [each.exc_info for each in caplog.records if each.exc_info] == []


def test_a_script_gets_no_answer(steady_server: Served) -> None:
    """A page of any origin could run it."""
    address = f"{steady_server.url}/socket.io/?EIO=4&transport=polling"

    answer = urllib3.request("GET", f"{address}&j=0", timeout=PATIENCE_SECONDS)

    assert (answer.status, answer.json()["code"]) == (400, "jsonp")
    usual = urllib3.request("GET", address, timeout=PATIENCE_SECONDS)
    assert (usual.status, usual.headers["X-Content-Type-Options"]) == (200, "nosniff")


def test_binary_data_by_socketio_is_answered(steady_server: Served) -> None:
    async def story() -> None:
        async with socket_io(steady_server.url) as client:
            error = await client.asked("subscribe", b"\x00\x01", "error")
            assert error["code"] == "not_an_object"
            nested = {"type": "chain", "symbol": b"NIFTY"}
            error = await client.asked("subscribe", nested, "error")
            assert error["code"] == "missing_symbol"

    run(story())
