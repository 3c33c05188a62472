"""What the feed has and the store lacks, as other processes read it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from candle_shelf import RELIANCE, TUESDAY, Shelf
from chain_shelf import chain, keep, received
from live_shelf import live_candle, live_leg

from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import UnknownSymbol
from data_fetch.core.feed.live_prices import FeedCandle, FeedLeg
from data_fetch.reading.live_prices import live_minutes, live_options
from data_fetch.storage.live_prices import LivePrices

# 09:15 and 10:00 IST of TUESDAY.
OPENING = datetime(2025, 6, 10, 3, 45, tzinfo=UTC)
NOW = datetime(2025, 6, 10, 4, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NEAR, NEXT = date(2025, 6, 12), date(2025, 6, 19)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)


def candle(minute: int, close: float = 1500.5, received_at: datetime = NOW) -> FeedCandle:
    return live_candle(RELIANCE, OPENING + minute * MINUTE, received_at, close)


def leg(strike: int, expiry: date = NEAR, received_at: datetime = NOW) -> FeedLeg:
    return live_leg(RELIANCE, strike, expiry, received_at)


def minutes(shelf: Shelf, at: datetime | None = None) -> list[int]:
    """The live candles in minutes after the opening."""
    found = live_minutes(shelf.settings, "RELIANCE", at).candles
    return [(each.start - OPENING) // MINUTE for each in found]


def test_a_store_without_a_feed_has_nothing_live(shelf: Shelf) -> None:
    assert minutes(shelf) == []
    found = live_options(shelf.settings, "RELIANCE")
    assert (found.expiry, found.legs, found.newest) == (None, [], None)


def test_a_minute_is_live_until_the_store_has_its_candle(shelf: Shelf) -> None:
    LivePrices(shelf.store).record([candle(0), candle(1), candle(2)], [])

    shelf.keeps(RELIANCE, TUESDAY, {1: 1501.0}, at=NOW, final=False)

    assert minutes(shelf) == [0, 2]


def test_the_newest_state_of_a_minute_counts(shelf: Shelf) -> None:
    live = LivePrices(shelf.store)
    live.record([candle(0, close=1500.5)], [])
    live.record([candle(0, close=1501.5)], [])

    [found] = live_minutes(shelf.settings, "RELIANCE").candles

    assert found.close == 1501.5


def test_minutes_of_former_days_are_not_live_and_can_be_dropped(shelf: Shelf) -> None:
    day = timedelta(days=1)
    yesterday = replace(candle(0), start=OPENING - day, received_at=NOW - day)
    live = LivePrices(shelf.store)
    live.record([yesterday, candle(3)], [leg(1500, received_at=NOW - day)])

    live.drop_before(TUESDAY)

    assert minutes(shelf) == [3]
    assert live_options(shelf.settings, "RELIANCE").legs == []


def test_what_came_later_is_left_out(shelf: Shelf) -> None:
    LivePrices(shelf.store).record(
        [candle(0, received_at=NOW - MINUTE), candle(1)],
        [leg(1500), leg(1520, received_at=NOW - MINUTE)],
    )

    assert minutes(shelf, at=NOW - MINUTE) == [0]
    found = live_options(shelf.settings, "RELIANCE", at=NOW - MINUTE)
    assert [each.strike for each in found.legs] == [1520]


def test_a_candle_stored_later_leaves_the_minute_as_it_was(shelf: Shelf) -> None:
    LivePrices(shelf.store).record([candle(0, received_at=NOW - MINUTE)], [])
    shelf.keeps(RELIANCE, TUESDAY, {0: 1501.0}, at=NOW, final=False)

    assert minutes(shelf, at=NOW - MINUTE) == [0]
    assert minutes(shelf) == []


def test_legs_are_of_the_nearest_expiry_unless_one_is_named(shelf: Shelf) -> None:
    LivePrices(shelf.store).record([], [leg(1520, NEXT), leg(1500, NEAR), leg(1480, NEAR)])

    near, named = (live_options(shelf.settings, "reliance", day) for day in (None, NEXT))

    assert (near.expiry, [each.strike for each in near.legs]) == (NEAR, [1480, 1500])
    assert (named.expiry, [each.strike for each in named.legs]) == (NEXT, [1520])


def test_a_leg_has_what_the_feed_sent(shelf: Shelf) -> None:
    LivePrices(shelf.store).record([], [leg(1500)])

    [row] = live_options(shelf.settings, "RELIANCE").rows()

    assert row == {
        "instrument_key": "NSE_FO|150012|12-06-2025",
        "strike": 1500.0,
        "option_type": "CE",
        "ltp": 100.0,
        "prev_close": 95.0,
        "bid": 99.5,
        "bid_qty": 50,
        "ask": 100.5,
        "ask_qty": None,
        "volume": 500,
        "oi": 7500,
        "iv": 0.145,
        "delta": 0.5,
        "gamma": 0.001,
        "theta": -3.0,
        "vega": 2.0,
        "rho": 0.1,
        "traded_at": "2025-06-10T04:30:00.000Z",
        "received_at": "2025-06-10T04:30:00.000Z",
    }


def test_a_leg_is_live_until_a_later_snapshot_of_its_chain(shelf: Shelf) -> None:
    LivePrices(shelf.store).record([], [leg(1480, received_at=NOW - 2 * MINUTE), leg(1500)])
    keep(shelf.store, received(chain(1500.0, underlying="RELIANCE", expiry=NEAR), NOW - MINUTE))

    found = live_options(shelf.settings, "RELIANCE")

    assert found.snapshot == NOW - MINUTE
    assert [each.strike for each in found.legs] == [1500]


def test_an_unknown_symbol_is_refused_with_the_nearest(shelf: Shelf) -> None:
    with pytest.raises(UnknownSymbol) as refusal:
        live_options(shelf.settings, "RELIANC")

    assert list(refusal.value.near) == ["RELIANCE"]
