"""What other programs read of a tick file beside last prices: options and running minutes."""

from collections.abc import Callable, Sized
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson
import pytest
from option_ticks import DETAIL, option_tick, ticks_of_chain

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.clock import SystemClock
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import MinuteBar, Tick
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.publishing.redis_streams import OPTION_TICKS, TICKS
from data_fetch.publishing.stream_updates import ticks_document
from data_fetch.publishing.tick_file import TickFile
from data_fetch.reading.option_ticks import newest_option_ticks
from data_fetch.reading.running_minutes import running_minutes

# 10:00 IST of a Wednesday.
NOW = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
NEAR, NEXT = date(2026, 9, 22), date(2026, 9, 29)
CALL, PUT = (24_000.0, OptionType.CALL), (24_000.5, OptionType.PUT)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"DATA_SOURCE": "upstox", "UPSTOX_ACCESS_TOKEN": "x"}, tmp_path)


def test_a_folder_without_a_feed_has_neither(settings: Settings) -> None:
    assert newest_option_ticks(settings) == {}
    assert running_minutes(settings) == {}


def test_options_are_found_by_their_chain(settings: Settings) -> None:
    file = TickFile(settings.tick_file)
    for price in (100.0, 101.0):
        near = {CALL: option_tick(price, NOW), PUT: option_tick(90.0, NOW, None)}
        file.publish_ticks(OPTION_TICKS, ticks_of_chain("NIFTY", NEAR, near, World.LIVE))
    ahead = {CALL: option_tick(1.0, NOW + 61 * SECOND)}
    file.publish_ticks(OPTION_TICKS, ticks_of_chain("NIFTY", NEXT, ahead, World.LIVE))

    found = newest_option_ticks(settings)

    assert found.keys() == {("NIFTY", NEAR)}
    chain = found["NIFTY", NEAR]
    assert chain.keys() == {CALL, PUT}
    call, put = chain[CALL], chain[PUT]
    assert (call.ltp, call.bid, call.ask, call.volume, call.oi) == (101.0, 99.5, 100.5, 500, 7_500)
    assert (call.iv, call.delta, call.gamma, call.theta, call.vega) == (0.145, 0.5, 0.001, -3.0, 2)
    assert (call.source, call.received_at) == ("paper", NOW)
    assert (put.ltp, put.bid, put.oi, put.iv, put.delta) == (90.0, None, None, None, None)


def test_the_running_minute_is_that_of_the_newest_tick(settings: Settings) -> None:
    minutes = (NOW - timedelta(minutes=1), NOW)
    bars = tuple(
        MinuteBar(int(start.timestamp() * 1000), 100.0 + number, 103.0, 99.0, 102.0, 70)
        for number, start in enumerate(minutes)
    )
    ticks = {
        "TCS": Tick("1", Mode.FULL, 102.0, 0, None, None, NOW, NOW, DETAIL._replace(bars=bars)),
        "SBIN": Tick("2", Mode.LTPC, 5.0, 0, None, None, NOW, NOW, None),
    }
    TickFile(settings.tick_file).publish_ticks(TICKS, ticks_document(ticks, "upstox", World.LIVE))

    found = running_minutes(settings)

    assert found.keys() == {"TCS"}
    minute = found["TCS"]
    assert (minute.start, minute.received_at, minute.source) == (NOW, NOW, "upstox")
    assert (minute.open, minute.high, minute.low, minute.close, minute.volume) == (
        101.0, 103.0, 99.0, 102.0, 70,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("channel", "read", "tick"),
    [
        pytest.param(OPTION_TICKS, newest_option_ticks, {"symbol": "NIFTY"}, id="no contract"),
        pytest.param(
            OPTION_TICKS, newest_option_ticks, {"symbol": "NIFTY20260922C24000"}, id="no price"
        ),
        pytest.param(TICKS, running_minutes, {"product": "A", "minute": {}}, id="no instant"),
        pytest.param(
            TICKS,
            running_minutes,
            {"product": "A", "minute": None, "received_at": "2026-09-16T10:00:00"},
            id="an instant without a zone",
        ),
    ],
)
def test_a_file_of_another_version_has_neither(
    settings: Settings, channel: str, read: Callable[[Settings], Sized], tick: dict[str, Any]
) -> None:
    settings.tick_file.parent.mkdir(parents=True, exist_ok=True)
    body = orjson.dumps({channel: {"source": "upstox", "world": "live", "ticks": [tick]}})
    settings.tick_file.write_bytes(b"%08x" % crc32(body) + body)

    assert len(read(settings)) == 0
