"""The age of a running feed's ticks beside the freshness of quotes and chains."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from candle_shelf import RELIANCE, TUESDAY, Shelf
from live_shelf import live_candle, live_leg

from data_fetch.core.clock import SystemClock
from data_fetch.core.feed.report import FeedReport
from data_fetch.core.feed.tick_ages import LastTick
from data_fetch.core.freshness import Freshness
from data_fetch.reading import freshness
from data_fetch.reading.quote_freshness import QuoteFreshness, quote_freshness
from data_fetch.reading.tick_receipts import option_ticks
from data_fetch.storage.feed import FeedStore
from data_fetch.storage.live_prices import LivePrices

# 09:15 and 10:00 IST of TUESDAY.
OPENING = datetime(2025, 6, 10, 3, 45, tzinfo=UTC)
NOW = datetime(2025, 6, 10, 4, 30, tzinfo=UTC)
EVENING = NOW + timedelta(hours=8)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
RUNS = FeedReport(
    at=NOW,
    state="live",
    cause="prices come",
    since=OPENING,
    expected=True,
    keys={"full": 3},
    left_out={},
    awaited=0,
    unhonoured=0,
    last_tick=NOW,
)


def ticked(shelf: Shelf, received_at: datetime, minute: int = 44) -> None:
    """The feed had a minute of RELIANCE, counted from the opening, at *received_at*."""
    start = OPENING + minute * MINUTE
    LivePrices(shelf.store).record([live_candle(RELIANCE, start, received_at)], [])


def reported(shelf: Shelf, report: FeedReport) -> None:
    FeedStore(shelf.store).record(report, [])


def found(shelf: Shelf, now: datetime = NOW) -> QuoteFreshness:
    return quote_freshness(shelf.settings, shelf.store, shelf.calendar, now, [RELIANCE])


def test_the_newest_receipt_of_any_minute_counts(shelf: Shelf) -> None:
    reported(shelf, RUNS)
    ticked(shelf, NOW - 63 * SECOND, minute=43)
    ticked(shelf, NOW - 3 * SECOND, minute=44)

    assert found(shelf).tick("RELIANCE") == LastTick(True, NOW - 3 * SECOND, 3 * SECOND)


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(None, id="never had a feed"),
        pytest.param(replace(RUNS, at=NOW - 3 * MINUTE - SECOND), id="not reported any more"),
        pytest.param(replace(RUNS, state="stopped"), id="stopped"),
    ],
)
def test_without_a_running_feed_nothing_is_known_of_ticks(
    shelf: Shelf, report: FeedReport | None
) -> None:
    ticked(shelf, NOW - SECOND)
    if report is not None:
        reported(shelf, report)

    assert found(shelf).ticks == {}
    [symbol] = found(shelf).document()["symbols"]
    assert (symbol["last_tick"], symbol["tick_age_seconds"]) == (None, None)


@pytest.mark.parametrize(
    ("received_at", "now", "document"),
    [
        pytest.param(
            NOW - 41.5 * SECOND,
            NOW,
            {"last_tick": "2025-06-10T09:59:18+05:30", "tick_age_seconds": 41.5},
            id="today",
        ),
        pytest.param(
            NOW - timedelta(days=1), NOW, {"last_tick": None, "tick_age_seconds": None}, id="before"
        ),
        pytest.param(
            NOW,
            EVENING,
            {"last_tick": "2025-06-10T10:00:00+05:30", "tick_age_seconds": None},
            id="the market is closed",
        ),
    ],
)
def test_documents_have_the_instant_and_the_age(
    shelf: Shelf, received_at: datetime, now: datetime, document: Mapping[str, Any]
) -> None:
    reported(shelf, replace(RUNS, at=now))
    ticked(shelf, received_at)

    [symbol] = found(shelf, now).document()["symbols"]

    assert document.items() <= symbol.items()


def test_judgements_are_those_of_a_collector_without_a_feed(shelf: Shelf) -> None:
    before = found(shelf)
    reported(shelf, RUNS)
    ticked(shelf, NOW - SECOND)
    after = found(shelf)

    assert before.judgements == after.judgements
    assert (before.stale, after.stale) == (True, True)


def test_a_table_has_the_same(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)
    reported(shelf, RUNS)
    ticked(shelf, NOW - 2.5 * SECOND)

    [row] = freshness("RELIANCE", settings=shelf.settings).table.to_pylist()

    assert (row["last_tick"], row["tick_age_seconds"]) == (NOW - 2.5 * SECOND, 2.5)
    assert (row["state"], row["last_quote"]) == ("never_seen", None)


def test_the_newest_tick_of_a_chain_is_that_of_any_option(shelf: Shelf) -> None:
    reported(shelf, RUNS)
    near, later = date(2025, 6, 12), date(2025, 6, 19)
    legs = [
        live_leg(RELIANCE, 1500, near, NOW - 9 * SECOND),
        live_leg(RELIANCE, 1520, later, NOW - 4 * SECOND),
    ]
    LivePrices(shelf.store).record([], legs)

    ticks = option_ticks(shelf.store, {"RELIANCE": Freshness.FRESH, "TCS": Freshness.FRESH}, NOW)

    assert ticks == {
        "RELIANCE": LastTick(True, NOW - 4 * SECOND, 4 * SECOND),
        "TCS": LastTick(True),
    }


def test_legs_of_former_days_do_not_count(shelf: Shelf) -> None:
    reported(shelf, RUNS)
    yesterday = NOW - timedelta(days=1)
    LivePrices(shelf.store).record([], [live_leg(RELIANCE, 1500, TUESDAY, yesterday)])

    assert option_ticks(shelf.store, {"RELIANCE": Freshness.FRESH}, NOW) == {
        "RELIANCE": LastTick(True)
    }
