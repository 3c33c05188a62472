"""What the API says of a running feed beside the freshness of the store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from candle_shelf import RELIANCE
from live_shelf import live_candle
from range_shelf import RangeServer, range_server

from data_fetch.core.clock import SystemClock
from data_fetch.core.feed.report import FeedReport, UnhonouredKey
from data_fetch.core.feed.subscriptions import NO_ENTRY
from data_fetch.reading.feed_status import UNDELIVERED
from data_fetch.serving.models import operations
from data_fetch.storage.feed import FeedStore
from data_fetch.storage.live_prices import LivePrices

# 09:35 IST of a Wednesday.
NOW = datetime(2025, 6, 11, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
REPORT = FeedReport(
    at=NOW - 30 * SECOND,
    state="live",
    cause="prices come",
    since=NOW - 600 * SECOND,
    expected=True,
    keys={"full": 3},
    left_out={},
    awaited=0,
    unhonoured=1,
    last_tick=NOW - 30 * SECOND,
    unhonoured_keys=(UnhonouredKey("NSE_EQ|INE467B01029", "TCS", NO_ENTRY),),
)


def answered(server: RangeServer) -> dict[str, Any]:
    body = server.served.ask("/api/data/freshness").data
    operations.FreshnessAnswer.model_validate_json(body)
    document: dict[str, Any] = orjson.loads(body)
    return document


def test_freshness_has_the_ticks_and_the_state_of_the_feed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)
    with range_server(database_url, tmp_path) as server:
        without = answered(server)
        FeedStore(server.shelf.store).record(REPORT, [])
        tick = live_candle(RELIANCE, NOW - 60 * SECOND, NOW - 2.5 * SECOND)
        LivePrices(server.shelf.store).record([tick], [])
        beside = answered(server)
        monkeypatch.setattr(SystemClock, "now", lambda _: NOW + 3_600 * SECOND)
        gone = answered(server)["feed"]

    # No collector requests anything any more.
    assert (gone["state"], gone["unhonoured"], gone["then"]) == ("not running", 1, None)
    assert without["feed"] is None
    assert without["columns"]["last_tick"] == without["columns"]["tick_age_seconds"] == [None] * 3
    assert beside["feed"] == {
        "reported_at": "2025-06-11T04:04:30.000Z",
        "state": "live",
        "cause": "prices come",
        "unhonoured": 1,
        "unhonoured_keys": [{"key": "NSE_EQ|INE467B01029", "symbol": "TCS", "reason": NO_ENTRY}],
        "then": UNDELIVERED,
    }
    assert beside["columns"]["symbol"] == ["M&M", "RELIANCE", "TCS"]
    assert beside["columns"]["last_tick"] == [None, "2025-06-11T04:04:57.500000Z", None]
    assert beside["columns"]["tick_age_seconds"] == [None, 2.5, None]
    assert beside["columns"]["state"] == without["columns"]["state"]
    assert beside["completeness"] == without["completeness"]
