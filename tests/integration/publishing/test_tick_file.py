"""Ticks in a file of the working folder."""

import asyncio
import os
import stat
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.chains.contract_names import Contract
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Tick, ms_of_instant
from data_fetch.core.world import World
from data_fetch.publishing import tick_file_updates
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


class Server:
    """What a server has received from the tick file at *path*, document by document."""

    def __init__(self, path: Path) -> None:
        self.received: list[dict[str, float]] = []
        self._updates = TickFileUpdates(path, self._receive)

    def look(self, times: int = 1) -> list[dict[str, float]]:
        """What came with so many looks."""
        self.received.clear()
        for _ in range(times):
            asyncio.run(self._updates.look())
        return list(self.received)

    async def _receive(self, _: str, document: Any) -> None:
        self.received.append(prices_in(document))


@pytest.mark.parametrize(
    "before", [None, b"", b"12345678[]", b"4c2f32b8[1]"], ids=["none", "empty", "old", "odd"]
)
def test_a_server_gets_what_has_changed_whatever_was_there_before(
    file: TickFile, path: Path, before: bytes | None
) -> None:
    if before is not None:
        path.parent.mkdir()
        path.write_bytes(before)
    server = Server(path)
    assert server.look(times=3) == []

    for published, new in (
        ({"NIFTY": 1.0, "TCS": 2.0}, {"NIFTY": 1.0, "TCS": 2.0}),
        ({"NIFTY": 1.0, "TCS": 3.0}, {"TCS": 3.0}),
        ({"SBIN": 4.0}, {"SBIN": 4.0}),
    ):
        file.publish_ticks(TICKS, products(**published))
        assert server.look(times=2) == [new]


def test_a_write_in_the_same_instant_and_of_the_same_size_is_seen(
    file: TickFile, path: Path
) -> None:
    """File systems of older kernels know instants of some milliseconds."""
    server = Server(path)
    for price in (1.0, 2.0):
        file.publish_ticks(TICKS, products(NIFTY=price))
        os.utime(path, ns=(0, 0))
        assert server.look() == [{"NIFTY": price}]


def test_what_a_killed_collector_has_left_is_read_a_few_times_only(
    file: TickFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.publish_ticks(TICKS, products(NIFTY=1.0))
    with path.open("ab") as torn:
        torn.write(b"the end of a longer one")
    reads = []

    def read(path: Path) -> Mapping[str, Any]:
        reads.append(path)
        return ticks_in(path)

    monkeypatch.setattr(tick_file_updates, "ticks_in", read)
    server = Server(path)

    assert server.look(times=10) == []
    assert len(reads) == 2
    file.publish_ticks(TICKS, products(NIFTY=2.0))
    assert server.look() == [{"NIFTY": 2.0}]


def test_a_file_of_another_version_is_logged_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(path)
    other = TickFile(path)
    for number in range(3):
        other.publish_ticks(TICKS, {"ticks": [{"product": "NIFTY", "price": number}]})
        content = path.read_bytes().replace(b"product", b"another")[8:]
        path.write_bytes(b"%08x" % crc32(content) + content)
        assert server.look(times=2) == []

    assert [each.message for each in caplog.records] == ["ticks_not_read"]
