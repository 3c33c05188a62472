"""What the feed has and the store lacks, over HTTP."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from candle_shelf import RELIANCE, TUESDAY, shelf_at
from live_shelf import live_candle, live_leg
from served import Served, served

from data_fetch.core.clock import SystemClock
from data_fetch.storage.live_prices import LivePrices

# 10:00 IST of TUESDAY.
NOW = datetime(2025, 6, 10, 4, 30, tzinfo=UTC)
RECEIVED = NOW - timedelta(seconds=5)
EXPIRY = date(2025, 6, 12)


@pytest.fixture
def api(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A store with a minute and an option of RELIANCE that no request has brought."""
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)
    shelf = shelf_at(database_url, tmp_path)
    shelf.lists(TUESDAY, RELIANCE)
    minute = live_candle(RELIANCE, NOW - timedelta(minutes=1), RECEIVED)
    LivePrices(shelf.store).record([minute], [live_leg(RELIANCE, 1500, EXPIRY, RECEIVED)])
    with served(shelf.settings) as found:
        yield found
    shelf.store.close()


@pytest.mark.parametrize(
    ("path", "facts", "of"),
    [
        pytest.param(
            "candles/reliance", {"symbol": "RELIANCE", "count": 1}, "minutes", id="minutes"
        ),
        pytest.param(
            "chain/reliance",
            {"symbol": "RELIANCE", "expiry": "2025-06-12", "snapshot": None, "count": 1},
            "legs",
            id="legs",
        ),
    ],
)
def test_what_is_live_is_framed_alike(
    api: Served, path: str, facts: dict[str, Any], of: str
) -> None:
    status, _, found = api.get(f"/api/data/live/{path}")

    assert status == 200
    assert {name: found[name] for name in facts} == facts
    assert (found["source"], found["unit"], found["reasons"]) == ("feed", "shares", [])
    assert found["completeness"]["of"] == of
    assert found["completeness"]["present"] == 1
    assert found["staleness_seconds"] == 5


def test_nothing_live_has_its_reason(api: Served) -> None:
    status, _, found = api.get("/api/data/live/chain/RELIANCE?expiry=2025-06-19")

    assert (status, found["count"], found["legs"]) == (200, 0, [])
    assert [each["code"] for each in found["reasons"]] == ["nothing_live"]
