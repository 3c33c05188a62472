"""Ticks from the receipt of a frame of the feed to a client of `/ws`, on this machine.

Frames are decoded, handed over and relayed as in a collector; Redis is a real one, and the server a
program of its own, whose client follows every symbol. BENCH_REDIS_URL names the Redis.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from statistics import quantiles
from threading import Event, Thread
from uuid import uuid4

import orjson
import redis
import websockets
from upstox_client.feeder.proto import MarketDataFeedV3_pb2

from benchmarks.figure import Figure
from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.feed.ticks import TickBook, ms_of_instant
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.world import World
from data_fetch.publishing.redis_streams import TICKS, RedisNames, StreamPublisher
from data_fetch.publishing.stream_updates import ticks_document
from data_fetch.services.ticks import TickRelay
from data_fetch.sources.transport.tick_board import TickBoard
from data_fetch.sources.upstox.feed_messages import FeedResponse, read_message
from data_fetch.storage.database.store import open_store
from data_fetch.storage.instruments.instruments import save_master

REDIS = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/15")
SYMBOLS = {f"NSE_EQ|INE{number:09d}": f"SYMBOL{number}" for number in range(200)}
FRAMES_A_SECOND, SECONDS, WARM_UP_SECONDS = 20, 12.0, 2.0
MEDIAN_MS, P99_MS = 50.0, 200.0
# How often each symbol trades; the second is as often as one is sent at most.
RATES = (1, 5)
PATIENCE_SECONDS = 60.0

pb = MarketDataFeedV3_pb2


def measure() -> Iterator[Figure]:
    try:
        redis.Redis.from_url(REDIS).ping()
    except redis.ConnectionError:
        yield Figure("ticks", float("nan"), "ms", detail="no server: set BENCH_REDIS_URL")
        return
    with tempfile.TemporaryDirectory() as folder:
        names = RedisNames(f"bench-{uuid4().hex}")
        with _server(Path(folder), names.prefix) as url:
            _await_listener(names)
            for rate in RATES:
                yield from _figures(rate, _latencies(url, names, rate))


def _figures(rate: int, milliseconds: list[float]) -> Iterator[Figure]:
    cuts = quantiles(milliseconds, n=100)
    name = f"frame to /ws, {len(SYMBOLS)} symbols, {rate} a second each"
    detail = (
        f"p50 {cuts[49]:.1f}, p90 {cuts[89]:.1f}, p99 {cuts[98]:.1f}, "
        f"most {max(milliseconds):.1f} ms; {len(milliseconds) / SECONDS:.0f} updates/s"
    )
    yield Figure(f"{name}: median", cuts[49], "ms", bound=MEDIAN_MS, detail=detail)
    yield Figure(f"{name}: p99", cuts[98], "ms", bound=P99_MS)


def _latencies(url: str, names: RedisNames, rate: int) -> list[float]:
    """Milliseconds from the receipt of its frame to the client, of each tick that arrived."""
    board, stop = TickBoard(), Event()
    publisher = StreamPublisher(REDIS, names)
    relay = TickRelay(
        board,
        SYMBOLS,
        lambda ticks: publisher.publish_ticks(TICKS, ticks_document(ticks, "upstox", World.LIVE)),
    )
    feed = Thread(target=_receive, args=(board, rate, stop))
    with ExitStack() as running:
        running.callback(publisher.close)
        relay.start()
        running.callback(relay.stop)
        feed.start()
        running.callback(feed.join)
        running.callback(stop.set)
        return asyncio.run(_received(url))


def _receive(board: TickBoard, rate: int, stop: Event) -> None:
    """Take frames as a connection of the feed does; each symbol trades *rate* times a second."""
    clock, book, keys = SystemClock(), TickBook(), list(SYMBOLS)
    book.request(frozenset(keys))
    groups = FRAMES_A_SECOND // rate
    number = 0
    while not stop.wait(1 / FRAMES_A_SECOND):
        number += 1
        message = _frame(keys[number % groups :: groups], number, ms_of_instant(clock.now()))
        received_at = clock.now()
        board.put(read_message(message, received_at, book).ticks)


def _frame(keys: list[str], number: int, now_ms: int) -> bytes:
    entries = {
        key: pb.Feed(ltpc=pb.LTPC(ltp=100.0 + number % 50, ltt=now_ms, ltq=5, cp=99.0))
        for key in keys
    }
    message = FeedResponse(type=1, feeds=entries, currentTs=now_ms)
    return bytes(message.SerializeToString())


async def _received(url: str) -> list[float]:
    clock, found = SystemClock(), []
    async with websockets.connect(f"{url.replace('http', 'ws', 1)}/ws", max_size=None) as client:
        for symbol in SYMBOLS.values():
            data = {"type": "ticks", "symbol": symbol}
            await client.send(orjson.dumps({"event": "subscribe", "data": data}).decode())
        subscribed = 0
        while subscribed < len(SYMBOLS):
            subscribed += orjson.loads(await client.recv())["event"] == "subscribed"
        begins = time.monotonic() + WARM_UP_SECONDS
        while (now := time.monotonic()) < begins + SECONDS:
            message = orjson.loads(await client.recv())
            if message["event"] == "tick_update" and now >= begins:
                received_at = datetime.fromisoformat(message["data"]["received_at"])
                found.append((clock.now() - received_at).total_seconds() * 1e3)
    return found


@contextmanager
def _server(folder: Path, prefix: str) -> Iterator[str]:
    """`data-fetch stream` over a store with the symbols; its address."""
    store_url, now = f"sqlite:///{folder}/store.db", SystemClock().now()
    with closing(open_store(store_url, World.LIVE)) as store:
        listed = [
            Instrument(
                instrument_key=key, live_key=key, symbol=symbol, segment="NSE_EQ",
                instrument_type="EQ",
            )
            for key, symbol in SYMBOLS.items()
        ]  # fmt: skip
        save_master(store, listed, now.astimezone(IST).date(), now)
    given = {
        "PYTHONPATH": os.getcwd(),
        "DATA_SOURCE": "upstox",
        "DATABASE_URL": store_url,
        "REDIS_URL": REDIS,
        "REDIS_PREFIX": prefix,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "data_fetch", "stream", "--port", "0", "--json"],
        cwd=folder, env={**os.environ, **given}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield orjson.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


def _await_listener(names: RedisNames) -> None:
    """Return when the server listens to ticks."""
    patience = time.monotonic() + PATIENCE_SECONDS
    with redis.Redis.from_url(REDIS) as client:
        while not client.pubsub_numsub(names.of(TICKS))[0][1]:
            if time.monotonic() > patience:
                raise TimeoutError("the server does not listen to Redis")
            time.sleep(0.05)
