"""The parts of a collector's feed, joined."""

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
import pytest
import redis
from feed_stub import PATIENCE_SECONDS
from own_redis import OwnRedis, own_redis

from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Tick, ms_of_instant
from data_fetch.core.world import World
from data_fetch.publishing.redis_streams import TICKS, RedisNames
from data_fetch.runtime.feed import TickPublisher
from data_fetch.sources.transport.tick_board import TickBoard

AT = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
NIFTY, OPTION = "NSE_INDEX|Nifty 50", "NSE_FO|45450"


def tick(key: str) -> Tick:
    return Tick(key, Mode.FULL, 25_000.5, ms_of_instant(AT), None, 24_900.0, AT, AT, None)


@pytest.fixture
def own() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


def test_ticks_of_the_listed_symbols_are_published(own: OwnRedis) -> None:
    board = TickBoard()
    publisher = TickPublisher(
        board, {NIFTY: "NIFTY"}, own.url, RedisNames("paper"), "paper", World.PAPER
    )
    with redis.Redis.from_url(own.url) as client, client.pubsub() as heard:
        heard.psubscribe("*")
        heard.get_message(timeout=PATIENCE_SECONDS)
        publisher.start()
        board.put({OPTION: tick(OPTION), NIFTY: tick(NIFTY)})
        message = heard.get_message(timeout=PATIENCE_SECONDS)
    publisher.stop()

    assert message is not None
    assert message["channel"].decode() == f"paper:{TICKS}"
    document = orjson.loads(message["data"])
    assert (document["source"], document["world"]) == ("paper", "paper")
    assert [each["product"] for each in document["ticks"]] == ["NIFTY"]
