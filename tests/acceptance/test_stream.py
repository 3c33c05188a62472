"""`data-fetch stream` as a process, beside a program that collects."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from programs import Desk, paper_exchange
from stream_clients import plain, socket_io


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_streams_until_it_is_stopped_even_with_clients(
    tmp_path: Path, stop: signal.Signals
) -> None:
    desk = Desk.at(tmp_path, DATA_SOURCE="paper")
    desk.json("chain", "collect", "--symbols", "NIFTY")
    server = desk.start("stream", "--port", "0", "--json")

    async def story(url: str) -> None:
        async with plain(url) as one, socket_io(url, transports=["polling"]) as other:
            for client in (one, other):
                await client.send("subscribe", {"type": "chain", "symbol": "NIFTY"})
                assert len((await client.next("chain_update"))["strikes"]) > 20
            health = await asyncio.to_thread(
                urllib3.request, "GET", f"{url}/health", timeout=PATIENCE_SECONDS
            )
            assert orjson.loads(health.data)["clients"] == 2
            server.send_signal(stop)
            await asyncio.to_thread(server.wait, PATIENCE_SECONDS)

    try:
        assert server.stdout is not None
        asyncio.run(story(orjson.loads(server.stdout.readline())["url"]))
        _, said = server.communicate(timeout=PATIENCE_SECONDS)
    finally:
        server.kill()

    assert (server.returncode, said) == (0, "The server has stopped.\n")


@pytest.fixture(params=["sqlite", "postgres beside redis"])
def collecting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """A desk whose market runs fast, on a store of its own."""
    (folder := tmp_path / "exchange").mkdir()
    (place := tmp_path / "desk").mkdir()
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}"}
    if request.param != "sqlite":
        environment = {
            "DATABASE_URL": request.getfixturevalue("empty_postgres_url"),
            "REDIS_URL": request.getfixturevalue("redis_url"),
        }
    with paper_exchange(folder, "2026-09-16T10:00:00", 30) as url:
        yield Desk.at(place, DATA_SOURCE="paper", UPSTOX_BASE_URL=url, **environment)


@pytest.mark.long
def test_clients_see_what_a_collector_stores(collecting: Desk) -> None:
    collector = collecting.start("run")
    server = collecting.start("serve", "--port", "0", "--json")

    async def story(url: str) -> None:
        async with plain(url) as client, socket_io(url) as other:
            for each in (client, other):
                await each.asked("subscribe", {"type": "chain", "symbol": "NIFTY"}, "subscribed")
                await each.asked("subscribe", {"type": "product", "symbol": "TCS"}, "subscribed")
                chains = [await each.next("chain_update") for _ in range(3)]
                assert [one["seq"] for one in chains] == sorted({one["seq"] for one in chains})
                prices = set()
                while len(prices) < 3:
                    price = await each.next("underlying_update")
                    if price["product"] == "TCS":
                        prices.add(price["timestamp"])

    try:
        assert collector.stdout is not None
        # A slot is stored, so there is a schema to read.
        assert collector.stdout.readline()
        assert server.stdout is not None
        asyncio.run(story(orjson.loads(server.stdout.readline())["url"]))
    finally:
        for each in (server, collector):
            each.kill()
            each.communicate()
