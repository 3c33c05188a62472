"""The newest quotes in Redis: what screens find there, and that a dead Redis costs nothing."""

import json
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from effort import PATIENCE_SECONDS

from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.world import World
from data_fetch.publishing.redis_quotes import QuoteFeed

SLOT = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
RUN = SyncRun(
    run_id="run-1",
    job="quotes",
    due_slot=SLOT,
    started_at=SLOT,
    finished_at=SLOT,
    outcome=Outcome.COMPLETED,
)


def quote(symbol: str, price: float, slot: datetime = SLOT) -> StoredQuote:
    return StoredQuote(
        symbol=symbol,
        slot=slot,
        quote=Quote(
            instrument_key=f"NSE_EQ|ZZP{symbol}", last_price=price, volume=1200, prev_close=100.0
        ),
        off_session=False,
        received_at=slot + timedelta(seconds=61),
        source="paper",
        run_id="run-1",
    )


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def latest(client: Any) -> dict[str, Any]:
    return {
        symbol.decode(): json.loads(row)
        for symbol, row in client.hgetall("quotes:paper:latest").items()
    }


def test_the_newest_quote_of_each_symbol_is_in_the_hash(redis_url: str, client: Any) -> None:
    QuoteFeed(redis_url, World.PAPER)(RUN, [quote("TCS", 105.5), quote("M&M", 99.0)])

    held = latest(client)
    assert held.keys() == {"TCS", "M&M"}
    assert held["TCS"] == {
        "symbol": "TCS",
        "instrument_key": "NSE_EQ|ZZPTCS",
        "slot": "2026-09-16T04:30:00+00:00",
        "ltp": 105.5,
        "volume": 1200,
        "change": 5.5,
        "change_percent": 5.5,
        "off_session": False,
        "received_at": "2026-09-16T04:31:01+00:00",
        "source": "paper",
    }


def test_a_later_slot_replaces_only_the_symbols_it_brings(redis_url: str, client: Any) -> None:
    feed = QuoteFeed(redis_url, World.PAPER)
    feed(RUN, [quote("TCS", 105.5), quote("INFY", 99.0)])

    feed(RUN, [quote("TCS", 106.0, SLOT + timedelta(minutes=1))])

    assert {symbol: row["ltp"] for symbol, row in latest(client).items()} == {
        "TCS": 106.0,
        "INFY": 99.0,
    }


def test_each_slot_is_published_as_one_message(redis_url: str, client: Any) -> None:
    with client.pubsub(ignore_subscribe_messages=True) as listening:
        listening.subscribe("quotes:paper")
        listening.get_message(timeout=60)  # the subscription itself

        QuoteFeed(redis_url, World.PAPER)(RUN, [quote("TCS", 105.5), quote("INFY", 99.0)])
        message = listening.get_message(timeout=60)
        after = listening.get_message(timeout=0)

    assert message is not None
    rows = json.loads(message["data"])
    assert [(row["symbol"], row["ltp"]) for row in rows] == [("TCS", 105.5), ("INFY", 99.0)]
    assert after is None


def test_a_slot_without_quotes_changes_nothing(redis_url: str, client: Any) -> None:
    feed = QuoteFeed(redis_url, World.PAPER)
    feed(RUN, [quote("TCS", 105.5)])

    feed(RUN, [])

    assert latest(client).keys() == {"TCS"}


@pytest.fixture
def nobody_listens() -> str:
    """The address of a port without a server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"redis://127.0.0.1:{port}/0"


def test_a_redis_that_is_down_costs_one_warning_and_no_slot(
    nobody_listens: str, caplog: pytest.LogCaptureFixture
) -> None:
    feed = QuoteFeed(nobody_listens, World.PAPER)

    for _ in range(3):
        feed(RUN, [quote("TCS", 105.5)])

    assert caplog.messages == ["quote_feed_down"]
    assert caplog.records[0].levelno == logging.WARNING


def test_a_redis_that_comes_back_and_goes_again_is_reported_again(
    redis_url: str, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    feed = QuoteFeed(redis_url, World.PAPER)
    client.set("quotes:paper:latest", "another program's")  # no hash can be written there
    feed(RUN, [quote("TCS", 105.5)])

    client.delete("quotes:paper:latest")
    feed(RUN, [quote("TCS", 106.0)])
    assert latest(client)["TCS"]["ltp"] == 106.0

    client.delete("quotes:paper:latest")
    client.set("quotes:paper:latest", "another program's")
    feed(RUN, [quote("TCS", 107.0)])

    assert caplog.messages == ["quote_feed_down"] * 2


def test_a_redis_that_is_silent_is_given_up_after_one_try(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_SECONDS)
        feed = QuoteFeed(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", World.PAPER)

        feed(RUN, [quote("TCS", 105.5)])

        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert caplog.messages == ["quote_feed_down"]


def test_the_password_of_redis_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    feed = QuoteFeed("redis://:pw-4711@127.0.0.1:1/0", World.PAPER)

    feed(RUN, [quote("TCS", 105.5)])

    given = [str(record.__dict__) for record in caplog.records]
    assert given
    assert "4711" not in repr(feed) + "".join(given)


def test_invented_prices_never_stand_where_real_ones_are_looked_for(
    redis_url: str, client: Any
) -> None:
    QuoteFeed(redis_url, World.PAPER)(RUN, [quote("TCS", 105.5)])

    assert client.hgetall("quotes:live:latest") == {}
