"""Streams fed by Redis: what a collector publishes, several servers, and a Redis that goes away."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from chain_shelf import OPENS
from effort import PATIENCE_SECONDS, times
from own_redis import OwnRedis, own_redis
from served import Served, serving
from stream_clients import StreamClient, plain
from stream_shelf import NIFTY, LiveStore

from data_fetch.core.chains.polls import Poll
from data_fetch.core.settings import Settings
from data_fetch.runtime.reporting import SILENT
from data_fetch.scheduling.stream_relay import published
from data_fetch.serving.streams.app import stream_application

CHAIN_OF_NIFTY = {"type": "chain", "symbol": "NIFTY"}
# Ten minutes of them in the long run.
CHANGES = times(1, 250)


@pytest.fixture
def live(sqlite_url: str) -> Iterator[LiveStore]:
    live = LiveStore.at(sqlite_url)
    live.price(NIFTY, 24_000.5, 1)
    live.chain(24_010.0, 70)
    yield live
    live.store.close()


def polled(symbol: str) -> Poll:
    return Poll(symbol, OPENS)


def keys_of(client: Any) -> dict[str, Any]:
    """The newest values in Redis by key, once they are all there."""
    waited = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < waited:
        names = [name for name in client.scan_iter() if not name.startswith(b"data_fetch_tests")]
        if any(name.startswith(b"volatility_surface") for name in names):
            return {name.decode(): orjson.loads(client.get(name)) for name in names}
    raise AssertionError("nothing was published")


def test_a_collector_publishes_under_the_older_names(
    live: LiveStore, redis_url: str, tmp_path: Path
) -> None:
    settings = live.settings(tmp_path, REDIS_URL=redis_url)
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as heard:
        heard.psubscribe("market:*", "enriched:*")
        with published(settings, SILENT) as reporter:
            reporter.polled(polled("NIFTY"))
            keys = keys_of(client)
        messages = _messages(heard)

    [leg] = [name for name in keys if name.startswith("latest:option:")]
    expiry = keys[leg]["expiry"]
    assert keys.keys() == {
        "latest:underlying:NIFTY", f"latest:chain:NIFTY:{expiry}", f"latest:pcr:NIFTY:{expiry}",
        leg, "volatility_surface:NIFTY", "ohlc:NIFTY:1m", "ohlc:NIFTY:5m", "ohlc:NIFTY:15m",
    }  # fmt: skip
    assert leg == f"latest:option:NIFTY{expiry.replace('-', '')}C24000"
    assert keys["latest:underlying:NIFTY"].keys() == {"product", "price", "timestamp"}
    assert keys[f"latest:pcr:NIFTY:{expiry}"]["pcr_oi"] == 1.25
    assert keys["ohlc:NIFTY:5m"]["num_ticks"] == 1
    assert {channel: document.keys() for channel, document in messages.items()} == {
        "market:underlying": {"type", "product", "price", "timestamp", "tick_id", "world"},
        "market:option_chain": {
            "product", "expiry", "spot_price", "strikes", "calls", "puts", "timestamp", "world",
        },
        "market:option_quote": keys[leg].keys(),
        "enriched:underlying": messages["enriched:underlying"].keys(),
        "enriched:option_chain": keys[f"latest:chain:NIFTY:{expiry}"].keys(),
    }  # fmt: skip


def _messages(heard: Any) -> dict[str, Any]:
    found = {}
    while (message := heard.get_message(timeout=1)) is not None:
        if message["type"] == "pmessage":
            found[message["channel"].decode()] = orjson.loads(message["data"])
    return found


def test_a_prefix_keeps_two_stores_apart(live: LiveStore, redis_url: str, tmp_path: Path) -> None:
    settings = live.settings(tmp_path, REDIS_URL=redis_url, REDIS_PREFIX="live")
    with redis.Redis.from_url(redis_url) as client:
        with published(settings, SILENT) as reporter:
            reporter.polled(polled("NIFTY"))
        assert client.get("latest:underlying:NIFTY") is None
        assert client.get("live:latest:underlying:NIFTY") is not None


@pytest.fixture
def own() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.fixture
def servers(
    live: LiveStore, own: OwnRedis, tmp_path: Path
) -> Iterator[tuple[Settings, list[Served]]]:
    settings = live.settings(tmp_path, REDIS_URL=own.url)
    with ExitStack() as running:
        yield (
            settings,
            [running.enter_context(serving(stream_application(settings))) for _ in range(2)],
        )


async def _state(client: StreamClient, degraded: bool) -> None:
    """Return when the heartbeat says so."""
    while ((await client.next("heartbeat"))["degraded"] is not None) != degraded:
        pass


async def _spot(client: StreamClient, expected: float) -> None:
    """Return when *client* has the newest chain."""
    while (await client.next("chain_update"))["spot_price"] != expected:
        pass


@pytest.mark.long
def test_every_client_has_the_newest_state_after_redis_was_killed_and_cut(
    live: LiveStore, own: OwnRedis, servers: tuple[Settings, list[Served]]
) -> None:
    settings, both = servers
    second = 70

    async def story() -> None:
        nonlocal second
        async with plain(both[0].url) as one, plain(both[1].url) as other:
            clients = (one, other)
            for client in clients:
                await client.asked("subscribe", CHAIN_OF_NIFTY, "subscribed")
                await _state(client, degraded=False)

            async def changed(announced: bool) -> None:
                nonlocal second
                second += 1
                await asyncio.to_thread(live.chain, 24_000.0 + second, second)
                if announced:
                    await asyncio.to_thread(reporter.polled, polled("NIFTY"))
                for client in clients:
                    await _spot(client, 24_000.0 + second)

            with published(settings, SILENT) as reporter:
                for _ in range(3):
                    for _ in range(CHANGES):
                        await changed(announced=True)
                    await asyncio.to_thread(own.kill)
                    # Following the store goes on, and a change that nobody published is seen.
                    for _ in range(CHANGES):
                        await changed(announced=False)
                    for client in clients:
                        await _state(client, degraded=True)
                    await asyncio.to_thread(own.start)
                    for client in clients:
                        await _state(client, degraded=False)
                    await changed(announced=True)
                for _ in range(CHANGES):
                    await asyncio.to_thread(own.cut_subscriptions)
                    await changed(announced=True)
                await asyncio.to_thread(own.pause)
                await changed(announced=False)
                for client in clients:
                    await _state(client, degraded=True)
                await asyncio.to_thread(own.resume)
                for client in clients:
                    await _state(client, degraded=False)
                await changed(announced=True)

    asyncio.run(story())


def test_updates_of_another_world_are_not_streamed(
    live: LiveStore, own: OwnRedis, servers: tuple[Settings, list[Served]]
) -> None:
    _, [server, _] = servers

    async def story() -> None:
        async with plain(server.url) as client:
            await client.asked("subscribe", {"type": "product", "symbol": "NIFTY"}, "subscribed")
            await _state(client, degraded=False)
            foreign = {
                "product": "NIFTY", "price": 1.0, "timestamp": "2099-01-01T00:00:00Z",
                "world": "paper",
            }  # fmt: skip
            with redis.Redis.from_url(own.url) as publisher:
                for broken in (b"", b"[]", b"null", b"{}", b'{"world": "live"}', b"\xff"):
                    publisher.publish("enriched:option_chain", broken)
                    publisher.publish("enriched:underlying", broken)
                publisher.publish("enriched:underlying", orjson.dumps(foreign))
            beat = await client.next("heartbeat")
            while beat["degraded"] is None:
                beat = await client.next("heartbeat", "underlying_update")
                assert beat.get("price") != 1.0
            assert "REDIS_PREFIX" in beat["degraded"]

    asyncio.run(story())
