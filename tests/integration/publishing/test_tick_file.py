"""Ticks in a file of the working folder."""

import asyncio
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from effort import PATIENCE_SECONDS

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.chains.contract_names import Contract
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Tick, ms_of_instant
from data_fetch.core.world import World
from data_fetch.publishing.redis_streams import OPTION_TICKS, TICKS
from data_fetch.publishing.stream_updates import option_ticks_document, ticks_document
from data_fetch.publishing.tick_file import TickFile, ticks_in
from data_fetch.publishing.tick_file_updates import TickFileUpdates

AT = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
CONTRACT = Contract("NIFTY", date(2026, 9, 22), OptionType.CALL, 24_000.0)


def tick(price: float) -> Tick:
    return Tick("key", Mode.LTPC, price, ms_of_instant(AT), 75, 99.0, AT, AT, None)


def products(**prices: float) -> dict[str, Any]:
    ticks = {name: tick(price) for name, price in prices.items()}
    return ticks_document(ticks, "paper", World.PAPER)


def option(price: float) -> dict[str, Any]:
    return option_ticks_document({CONTRACT: tick(price)}, "paper", World.PAPER)


def prices_in(document: Any) -> dict[str, float]:
    return {each.get("symbol", each["product"]): each["price"] for each in document["ticks"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ticks_paper.json"


@pytest.fixture
def file(path: Path) -> TickFile:
    return TickFile(path)


def test_it_has_the_newest_tick_of_everything_since_the_start(file: TickFile, path: Path) -> None:
    file.publish_ticks(TICKS, products(NIFTY=1.0, TCS=2.0))
    file.publish_ticks(OPTION_TICKS, option(3.0))
    file.publish_ticks(TICKS, products(NIFTY=4.0))

    found = ticks_in(path)

    assert prices_in(found[TICKS]) == {"NIFTY": 4.0, "TCS": 2.0}
    assert prices_in(found[OPTION_TICKS]) == {CONTRACT.name: 3.0}
    assert (found[TICKS]["source"], found[TICKS]["world"]) == ("paper", "paper")


def test_the_next_collector_begins_anew(file: TickFile, path: Path) -> None:
    file.publish_ticks(TICKS, products(NIFTY=1.0, TCS=2.0))

    TickFile(path).publish_ticks(TICKS, products(TCS=3.0))

    assert prices_in(ticks_in(path)[TICKS]) == {"TCS": 3.0}


@pytest.mark.skipif(os.name != "posix", reason="elsewhere files have no such modes")
def test_only_its_owner_can_read_it(file: TickFile, path: Path) -> None:
    file.publish_ticks(TICKS, products(NIFTY=1.0))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("left", [0, 5, 8, 40])
def test_a_part_of_a_file_is_none(file: TickFile, path: Path, left: int) -> None:
    file.publish_ticks(TICKS, products(NIFTY=1.0))
    path.write_bytes(path.read_bytes()[:left])

    assert ticks_in(path) == {}


def test_one_that_cannot_be_written_harms_nothing(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").write_text("a file in the place of the folder")
    file = TickFile(path)
    for price in (1.0, 2.0):
        file.publish_ticks(TICKS, products(NIFTY=price))
    assert [each.message for each in caplog.records] == ["ticks_not_written"]

    (tmp_path / "data").unlink()
    file.publish_ticks(TICKS, products(TCS=3.0))

    assert prices_in(ticks_in(path)[TICKS]) == {"NIFTY": 2.0, "TCS": 3.0}


@contextmanager
def following(path: Path, received: "asyncio.Queue[dict[str, float]]") -> Iterator[None]:
    async def receive(_: str, document: Any) -> None:
        received.put_nowait(prices_in(document))

    task = asyncio.create_task(TickFileUpdates(path, receive).run())
    try:
        yield
    finally:
        task.cancel()


@pytest.mark.parametrize("damaged", [b"", b"12345678[]", b"4c2f32b8[1]"], ids=["no", "old", "odd"])
def test_a_server_gets_what_has_changed_whatever_was_there_before(
    file: TickFile, path: Path, damaged: bytes
) -> None:
    if damaged:
        path.parent.mkdir()
        path.write_bytes(damaged)

    async def story() -> None:
        received: asyncio.Queue[dict[str, float]] = asyncio.Queue()
        async with asyncio.timeout(PATIENCE_SECONDS):
            with following(path, received):
                for published, new in (
                    ({"NIFTY": 1.0, "TCS": 2.0}, {"NIFTY": 1.0, "TCS": 2.0}),
                    ({"NIFTY": 1.0, "TCS": 3.0}, {"TCS": 3.0}),
                    ({"SBIN": 4.0}, {"SBIN": 4.0}),
                ):
                    file.publish_ticks(TICKS, products(**published))
                    assert await received.get() == new

    asyncio.run(story())
