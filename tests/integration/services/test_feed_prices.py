"""What a collector keeps of the feed's ticks for other processes to read."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import enumerate as enumerate_threads

import pytest
from feed_stub import until

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.feed.live_prices import FeedCandle
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Detail, MinuteBar, Tick, ms_of_instant
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.world import World
from data_fetch.services.feed_prices import FeedPrices, PriceRefresher
from data_fetch.sources.transport.tick_board import TickBoard
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.live_prices import LivePrices, live_candles

KEY = "NSE_INDEX|Nifty 50"
NIFTY = Instrument(
    instrument_key=KEY, live_key=KEY, symbol="NIFTY", segment="NSE_INDEX", instrument_type="INDEX"
)
# 09:15 IST of a Wednesday.
OPENING = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def store(database_url: str) -> Store:
    return open_store(database_url, World.PAPER)


@pytest.fixture
def board() -> TickBoard:
    return TickBoard()


@pytest.fixture
def prices(store: Store, board: TickBoard) -> FeedPrices:
    return FeedPrices(
        members=Members.as_of([NIFTY], OPENING),
        calendar=MarketCalendar.reviewed(),
        latest=board.latest,
        contracts={},
        repository=LivePrices(store),
    )


def ticks(start: datetime, close: float = 101.0) -> Mapping[str, Tick]:
    """The tick of NIFTY with one bar, received half a minute after its *start*."""
    bar = MinuteBar(ms_of_instant(start), 100.0, 102.0, 99.0, close, 0)
    detail = Detail(None, None, None, None, None, (bar,))
    at = start + MINUTE / 2
    return {KEY: Tick(KEY, Mode.FULL, close, ms_of_instant(at), None, None, at, at, detail)}


def kept(store: Store) -> list[FeedCandle]:
    with store.reading() as connection:
        return live_candles(connection, KEY, OPENING - DAY)


def test_each_minute_has_its_newest_state(
    prices: FeedPrices, board: TickBoard, store: Store
) -> None:
    for close in (101.0, 101.5):
        board.put(ticks(OPENING, close))
        prices.store(OPENING + MINUTE)
    board.put(ticks(OPENING + MINUTE))
    prices.store(OPENING + 2 * MINUTE)

    assert [(each.start, each.close) for each in kept(store)] == [
        (OPENING, 101.5),
        (OPENING + MINUTE, 101.0),
    ]


def test_minutes_of_a_former_day_are_deleted_on_the_next_one(
    prices: FeedPrices, board: TickBoard, store: Store
) -> None:
    board.put(ticks(OPENING))
    prices.store(OPENING + MINUTE)

    # In the morning the tick of the evening is still the newest.
    prices.store(OPENING + DAY - MINUTE)
    assert kept(store) == []

    board.put(ticks(OPENING + DAY))
    prices.store(OPENING + DAY + MINUTE)
    assert [each.start for each in kept(store)] == [OPENING + DAY]


def test_what_could_not_be_stored_is_stored_by_the_next_call(
    prices: FeedPrices, board: TickBoard, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("disk full")

    board.put(ticks(OPENING))
    with monkeypatch.context() as refusing:
        refusing.setattr(LivePrices, "record", refuse)
        with pytest.raises(OSError, match="disk full"):
            prices.store(OPENING + MINUTE)
    prices.store(OPENING + 2 * MINUTE)

    assert [each.start for each in kept(store)] == [OPENING]


def test_between_two_jobs_prices_are_refreshed_until_the_end(
    prices: FeedPrices, board: TickBoard, store: Store
) -> None:
    board.put(ticks(OPENING, 101.0))
    refresher = PriceRefresher(prices, VirtualClock(OPENING + MINUTE), seconds=0.01)

    refresher.start()
    refresher.start()
    until(lambda: [each.close for each in kept(store)] == [101.0])
    board.put(ticks(OPENING, 101.5))
    until(lambda: [each.close for each in kept(store)] == [101.5])
    refresher.stop()
    refresher.stop()

    assert "live-prices" not in {thread.name for thread in enumerate_threads()}


def test_a_store_that_refuses_is_logged_once_and_tried_again(
    prices: FeedPrices,
    board: TickBoard,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = []

    def refuse(*_: object) -> None:
        refusals.append(1)
        raise StoreUnreachable("the store does not answer", hint="Start it.")

    board.put(ticks(OPENING))
    refresher = PriceRefresher(prices, VirtualClock(OPENING + MINUTE), seconds=0.01)
    with monkeypatch.context() as refusing:
        refusing.setattr(LivePrices, "record", refuse)
        refresher.start()
        until(lambda: len(refusals) > 3)
    until(lambda: kept(store))
    refresher.stop()

    assert [each.message for each in caplog.records].count("live_prices_not_stored") == 1
