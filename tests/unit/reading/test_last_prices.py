"""Which of a tick and a quote is shown as the last price of a symbol."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

import orjson
import pytest

from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Tick, ms_of_instant
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.dashboard.last_price_cards import origins, shown_prices
from data_fetch.publishing.redis_streams import TICKS
from data_fetch.publishing.stream_updates import ticks_document
from data_fetch.publishing.tick_file import TickFile
from data_fetch.reading.last_prices import LastPrice, Origin, newest_prices, newest_ticks

# 10:00 IST of a Wednesday.
NOW = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)


def price(symbol: str, of: Origin, value: float, seconds: float) -> LastPrice:
    """A price that was received so many *seconds* after ten."""
    at = NOW + timedelta(seconds=seconds)
    return LastPrice(
        symbol=symbol,
        price=value,
        change_percent=0.5,
        origin=of,
        source="upstox",
        since=at - timedelta(seconds=1),
        received_at=at,
    )


QUOTES = [price("NIFTY", Origin.QUOTE, 24_000.0, 1), price("TCS", Origin.QUOTE, 3_000.0, 1)]


@pytest.mark.parametrize(
    ("ticks", "shown", "where_from"),
    [
        pytest.param([], [24_000.0, 3_000.0], "quotes of the minute", id="without a feed"),
        pytest.param(
            [("NIFTY", 24_001.0, 2), ("TCS", 3_001.0, 9)],
            [24_001.0, 3_001.0],
            "ticks of the live feed",
            id="a live feed",
        ),
        pytest.param(
            [("NIFTY", 24_001.0, 2), ("TCS", 3_001.0, 0.5), ("SBIN", 1.0, 2)],
            [24_001.0, 3_000.0],
            "1 of 2 are ticks of the live feed, the rest quotes of the minute",
            id="a symbol that is quiet",
        ),
        pytest.param(
            [("NIFTY", 24_001.0, -59), ("TCS", 3_001.0, -58)],
            [24_000.0, 3_000.0],
            "quotes of the minute",
            id="a feed that is away since the minute before",
        ),
    ],
)
def test_what_was_received_last_is_shown(
    ticks: list[tuple[str, float, float]], shown: list[float], where_from: str
) -> None:
    found = newest_prices(QUOTES, {name: price(name, Origin.TICK, *of) for name, *of in ticks})

    assert [each.price for each in found] == shown
    assert origins(found) == f"Last prices: {where_from}"


def test_a_price_says_since_when_it_is_and_of_what() -> None:
    [tick, quote] = shown_prices([price("NIFTY", Origin.TICK, 24_000.5, 2), QUOTES[1]])

    assert (tick.title, tick.text, tick.change) == (
        "NIFTY",
        "24,000.50",
        "+0.50 % · tick 10:00:01",
    )
    assert tick.hover == (
        "trade of 16 Sep 2026 10:00:01 IST, received by the live feed of upstox at "
        "16 Sep 2026 10:00:02 IST"
    )
    assert quote.change == "+0.50 % · quote 10:00:00"
    assert quote.hover == ("quote of the minute, received from upstox at 16 Sep 2026 10:00:01 IST")


def settings_in(folder: Path) -> Settings:
    return Settings.load({"DATA_SOURCE": "upstox", "UPSTOX_ACCESS_TOKEN": "x"}, folder)


def test_ticks_are_those_of_the_folder_but_not_of_a_clock_that_was_ahead(tmp_path: Path) -> None:
    settings, now = settings_in(tmp_path), SystemClock().now()
    assert newest_ticks(settings) == {}
    ahead = now + timedelta(hours=1)
    traded = now.astimezone(IST).replace(microsecond=0) - timedelta(seconds=3)
    ticks = {
        "NIFTY": Tick("1", Mode.FULL, 101.0, ms_of_instant(traded), None, 100.0, now, now, None),
        "TCS": Tick("2", Mode.FULL, 1.0, 0, None, None, now, now, None),
        "SBIN": Tick("3", Mode.FULL, 1.0, 0, None, None, ahead, now, None),
    }
    TickFile(settings.tick_file).publish_ticks(TICKS, ticks_document(ticks, "upstox", World.LIVE))

    found = newest_ticks(settings)

    assert found.keys() == {"NIFTY", "TCS"}
    nifty, tcs = found["NIFTY"], found["TCS"]
    assert (nifty.change_percent, nifty.since, nifty.source) == (1.0, traded, "upstox")
    assert (tcs.change_percent, tcs.since) == (None, tcs.received_at)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param([], id="no object"),
        pytest.param({TICKS: {"ticks": []}}, id="of no source"),
        pytest.param({TICKS: {"source": "paper", "ticks": [{"product": "A"}]}}, id="no price"),
        pytest.param({TICKS: {"source": "paper", "ticks": 1}}, id="no ticks"),
    ],
)
def test_a_file_of_another_version_has_no_ticks(tmp_path: Path, document: object) -> None:
    settings = settings_in(tmp_path)
    settings.tick_file.parent.mkdir(parents=True, exist_ok=True)
    body = orjson.dumps(document)
    settings.tick_file.write_bytes(b"%08x" % crc32(body) + body)

    assert newest_ticks(settings) == {}


def test_a_file_that_cannot_be_read_has_no_ticks(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.tick_file.mkdir(parents=True)

    assert newest_ticks(settings) == {}
