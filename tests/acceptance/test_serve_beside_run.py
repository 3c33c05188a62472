"""A collector and a server beside each other: what is collected is served and sent at once.

On both databases, with Redis and without.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from programs import Desk, end, paper_exchange
from stream_clients import DOORS, StreamClient

UPDATES = 2


@pytest.fixture(params=["sqlite-alone", "postgres-redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    if request.param == "sqlite-alone":
        return {"DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}"}
    return {
        "DATABASE_URL": request.getfixturevalue("empty_postgres_url"),
        "REDIS_URL": request.getfixturevalue("redis_url"),
    }


@pytest.fixture
def desk(settings: dict[str, str], tmp_path: Path) -> Iterator[Desk]:
    (place := tmp_path / "desk").mkdir()
    (exchange := tmp_path / "exchange").mkdir()
    with paper_exchange(exchange, "2026-09-16T10:00:00", 30) as url:
        yield Desk.at(place, DATA_SOURCE="paper", UPSTOX_BASE_URL=url, **settings)


@contextmanager
def running(desk: Desk, *command: str) -> Iterator[str]:
    """A command that keeps running; the first line that it prints."""
    process = desk.start(*command)
    assert process.stdout is not None
    try:
        yield process.stdout.readline()
    finally:
        _, said = end(process, signal.SIGTERM)
        assert process.returncode == 0, said


async def updates(door: str, url: str, room: dict[str, str], event: str) -> list[dict[str, object]]:
    """The first *UPDATES* of a room. Those of others come too: every client is in `general`."""
    found = []
    async with DOORS[door](url) as client:
        await _subscribed(client, room)
        while len(found) < UPDATES:
            update = await client.next(event)
            if update["product"] == room["symbol"]:
                found.append(update)
    return found


async def _subscribed(client: StreamClient, room: dict[str, str]) -> None:
    answer = await client.asked("subscribe", room, "subscribed", "error")
    assert answer["room"] == f"{room['type']}:{room['symbol']}", answer


@pytest.mark.long
def test_what_is_collected_is_served_and_sent(desk: Desk) -> None:
    async def all_of(url: str) -> list[list[dict[str, object]]]:
        chain, product = ({"type": each, "symbol": "NIFTY"} for each in ("chain", "product"))
        return list(
            await asyncio.gather(
                updates("websocket", url, chain, "chain_update"),
                updates("socketio", url, product, "underlying_update"),
            )
        )

    desk.run("collect", "--once")
    with (
        running(desk, "serve", "--port", "0", "--json") as line,
        running(desk, "run"),
    ):
        url = orjson.loads(line)["url"]
        chains, prices = asyncio.run(all_of(url))
        answer = urllib3.request(
            "GET", f"{url}/api/data/chain/NIFTY?limit=1", timeout=PATIENCE_SECONDS
        )

    assert answer.status == 200
    served = orjson.loads(answer.data)
    assert served["degraded"] is None
    assert served["chains"][0]["timestamp"] >= chains[-1]["timestamp"]
    for received in (chains, prices):
        instants = [each["timestamp"] for each in received]
        assert instants == sorted(instants)
