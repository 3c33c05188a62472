"""The parts of a collector's feed, joined."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import pytest
import redis
from feed_folders import patient_recorder
from feed_stub import PATIENCE_SECONDS
from own_redis import OwnRedis, own_redis

from data_fetch.archive.recording_folder import recorded_days
from data_fetch.core.chains.chains import OptionType
from data_fetch.core.chains.contract_names import Contract
from data_fetch.core.feed.liveness import Sentinel
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Tick, ms_of_instant
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.publishing.redis_streams import OPTION_TICKS, TICKS, RedisNames, StreamPublisher
from data_fetch.runtime.feed import TickNames, TickPublisher, recorder_at, sentinels_on
from data_fetch.sources.transport.tick_board import TickBoard
from data_fetch.sources.upstox.feed import SENTINELS
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.instruments import save_master

AT = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
NIFTY, OPTION = "NSE_INDEX|Nifty 50", "NSE_FO|45450"
CONTRACT = Contract("NIFTY", date(2026, 9, 22), OptionType.CALL, 25_000.0)


def tick(key: str) -> Tick:
    return Tick(key, Mode.FULL, 25_000.5, ms_of_instant(AT), None, 24_900.0, AT, AT, None)


@pytest.fixture
def own() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


def test_ticks_of_the_listed_symbols_and_of_options_are_published(own: OwnRedis) -> None:
    board = TickBoard()
    publisher = TickPublisher(
        board,
        TickNames({NIFTY: "NIFTY"}, {OPTION: CONTRACT}),
        StreamPublisher(own.url, RedisNames("paper")),
        source_name="paper",
        world=World.PAPER,
    )
    with redis.Redis.from_url(own.url) as client, client.pubsub() as heard:
        heard.psubscribe("*")
        heard.get_message(timeout=PATIENCE_SECONDS)
        publisher.start()
        board.put({key: tick(key) for key in (OPTION, NIFTY, "NSE_FO|1")})
        messages = [heard.get_message(timeout=PATIENCE_SECONDS) for _ in range(2)]
    publisher.stop()

    found = {each["channel"].decode(): orjson.loads(each["data"]) for each in messages if each}
    assert {channel: len(each["ticks"]) for channel, each in found.items()} == {
        f"paper:{TICKS}": 1,
        f"paper:{OPTION_TICKS}": 1,
    }
    for document in found.values():
        assert (document["source"], document["world"]) == ("paper", "paper")
    [of_nifty], [of_option] = (found[f"paper:{each}"]["ticks"] for each in (TICKS, OPTION_TICKS))
    assert of_nifty["product"] == "NIFTY"
    assert of_option["symbol"] == "NIFTY20260922C25000"


def test_the_nearest_future_of_nifty_is_a_sentinel_where_the_master_lists_it(store: Store) -> None:
    index = Instrument(
        instrument_key=NIFTY,
        live_key=NIFTY,
        symbol="NIFTY",
        segment="NSE_INDEX",
        instrument_type="INDEX",
    )
    future = Instrument(
        instrument_key="NSE_FO|50001|29-09-2026",
        live_key="NSE_FO|50001",
        symbol="NIFTY FUT 29 SEP 26",
        segment="NSE_FO",
        instrument_type="FUT",
        underlying_key=NIFTY,
        expiry=date(2026, 9, 29),
    )
    assert sentinels_on(store, AT.date()) == SENTINELS

    save_master(store, [index, future], AT.date(), AT)

    assert sentinels_on(store, AT.date()) == {
        **SENTINELS,
        "NSE_FO|50001": Sentinel("NIFTY FUT 29 SEP 26", FUTURES_AND_OPTIONS),
    }


@pytest.mark.parametrize(
    ("days", "kept"),
    [("0", [13, 14, 15, 16]), ("2", [14, 15, 16])],
    ids=["not recorded", "two days and today"],
)
def test_days_of_recordings_that_are_too_old_are_removed_at_the_start(
    tmp_path: Path, days: str, kept: list[int]
) -> None:
    settings = Settings.load({"DATA_SOURCE": "paper", "FEED_RECORDING_DAYS": days}, tmp_path)
    earlier = patient_recorder(settings.feed_folder)
    for number in range(4):
        earlier.add(b"a message", AT - number * timedelta(days=1))
    earlier.close()

    recorder = recorder_at(settings, AT)

    assert [day.day for day in recorded_days(settings.feed_folder)] == kept
    assert (recorder.status() is None) is (days == "0")
