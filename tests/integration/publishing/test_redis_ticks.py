"""Ticks in Redis, and a Redis that goes away."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import redis
from feed_stub import until
from own_redis import OwnRedis, own_redis

from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Detail, MinuteBar, Tick, ms_of_instant
from data_fetch.core.world import World
from data_fetch.publishing.redis_streams import TICKS, RedisNames, StreamPublisher
from data_fetch.publishing.stream_updates import tick_updates, ticks_document

AT = datetime(2026, 9, 16, 5, 0, 0, 123_456, tzinfo=UTC)
DETAIL = Detail(volume=900, open_interest=75, iv=None, greeks=None, best=None, bars=None)
WHOLE = Tick("NSE_FO|1", Mode.FULL, 24_000.5, ms_of_instant(AT), 75, 23_900.0, AT, AT, DETAIL)
RUNNING = MinuteBar(
    ms_of_instant(AT) // 60_000 * 60_000, 24_000.0, 24_001.0, 23_999.0, 24_000.5, 75
)
BARS = (RUNNING._replace(start_ms=RUNNING.start_ms - 60_000, close=23_999.5), RUNNING)
POOR = WHOLE._replace(traded_ms=0, ltq=None, prev_close=None, detail=None)


def document(**ticks: Tick) -> dict[str, Any]:
    return ticks_document(ticks, "upstox", World.LIVE)


@pytest.fixture
def own() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.mark.parametrize(
    ("tick", "facts"),
    [
        pytest.param(
            WHOLE,
            {"ltq": 75, "traded_at": "2026-09-16T05:00:00.123Z", "prev_close": 23_900.0,
             "volume": 900, "open_interest": 75, "minute": None},
            id="all is known",
        ),
        pytest.param(
            WHOLE._replace(detail=Detail(900, 75, None, None, None, BARS)),
            {"ltq": 75, "traded_at": "2026-09-16T05:00:00.123Z", "prev_close": 23_900.0,
             "volume": 900, "open_interest": 75,
             "minute": {"timestamp": "2026-09-16T05:00:00.000Z", "open": 24_000.0,
                        "high": 24_001.0, "low": 23_999.0, "close": 24_000.5, "volume": 75}},
            id="with the last minute and the running one",
        ),
        pytest.param(
            POOR,
            dict.fromkeys(
                ("ltq", "traded_at", "prev_close", "volume", "open_interest", "minute")
            ),
            id="the feed has the price only",
        ),
    ],
)  # fmt: skip
def test_what_is_published_is_what_is_streamed(tick: Tick, facts: dict[str, Any]) -> None:
    [update] = tick_updates(orjson.loads(orjson.dumps(document(NIFTY=tick))))

    assert orjson.loads(update.body()) == {
        "product": "NIFTY", "price": 24_000.5, "received_at": "2026-09-16T05:00:00.123Z",
        "source": "upstox", "world": "live", **facts,
    }  # fmt: skip
    assert update.at == AT - timedelta(microseconds=456)


def test_several_ticks_are_one_message_under_the_prefix(own: OwnRedis) -> None:
    publisher = StreamPublisher(own.url, RedisNames("paper"))
    with redis.Redis.from_url(own.url) as client, client.pubsub() as heard:
        heard.psubscribe("*")
        heard.get_message(timeout=5)
        publisher.publish_ticks(TICKS, document(NIFTY=WHOLE, TCS=POOR))
        message = heard.get_message(timeout=5)
        rest = heard.get_message(timeout=0.1)
    publisher.close()

    assert message["channel"].decode() == f"paper:{TICKS}"
    assert [each["product"] for each in orjson.loads(message["data"])["ticks"]] == ["NIFTY", "TCS"]
    assert rest is None


def test_they_go_on_when_redis_is_back(own: OwnRedis) -> None:
    publisher = StreamPublisher(own.url, RedisNames())
    publisher.publish_ticks(TICKS, document(NIFTY=WHOLE))
    own.kill()
    publisher.publish_ticks(TICKS, document(NIFTY=WHOLE))
    own.start()
    with redis.Redis.from_url(own.url) as client, client.pubsub() as heard:
        heard.subscribe(TICKS)

        def arrives() -> bool:
            publisher.publish_ticks(TICKS, document(NIFTY=WHOLE))
            message = heard.get_message(timeout=0.1)
            return message is not None and message["type"] == "message"

        until(arrives)
    publisher.close()
