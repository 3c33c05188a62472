"""Which exchange serves a working folder, and which processes find it."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import pytest
from exchange_client import SYMBOLS, ist

from data_fetch.core.clock import ScaledClock
from data_fetch.core.errors import Unreachable
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.shared import any_exchange, serving_exchange
from data_fetch.sources.paper_clock import fetch_paper_clock

NOON = ist("2026-09-16 12:00")
Start = Callable[[], PaperExchange]


def start() -> PaperExchange:
    return PaperExchange(ScaledClock(NOON), symbols=SYMBOLS)


def start_none() -> PaperExchange:
    raise AssertionError("a second exchange was started")


def time_of(url: str) -> datetime:
    return fetch_paper_clock(url)[0]


@pytest.mark.parametrize("find", [serving_exchange, any_exchange], ids=["run", "one-off"])
def test_other_processes_find_the_exchange_of_a_scheduler(
    tmp_path: Path, find: Callable[[Path, Start], AbstractContextManager[str]]
) -> None:
    with serving_exchange(tmp_path, start) as served, find(tmp_path, start_none) as found:
        assert found == served


def test_a_process_that_found_the_exchange_does_not_stop_it(tmp_path: Path) -> None:
    with serving_exchange(tmp_path, start) as served:
        with serving_exchange(tmp_path, start_none), any_exchange(tmp_path, start_none):
            pass
        assert time_of(served) >= NOON
        with any_exchange(tmp_path, start_none) as found:
            assert found == served


def test_a_scheduler_does_not_rely_on_a_command_that_ends(tmp_path: Path) -> None:
    command = any_exchange(tmp_path, start)
    private = command.__enter__()
    with serving_exchange(tmp_path, start) as served:
        command.__exit__(None, None, None)

        assert served != private
        assert time_of(served) >= NOON


def test_a_command_alone_leaves_nothing_in_the_folder(tmp_path: Path) -> None:
    with any_exchange(tmp_path / "data", start) as private:
        assert time_of(private) >= NOON
    with pytest.raises(Unreachable):
        time_of(private)
    assert list(tmp_path.iterdir()) == []


def test_a_scheduler_that_ends_removes_its_address(tmp_path: Path) -> None:
    with serving_exchange(tmp_path, start) as served:
        assert json.loads((tmp_path / "paper_exchange.json").read_text())["url"] == served
    assert not (tmp_path / "paper_exchange.json").exists()


def test_an_address_published_by_another_process_is_not_removed(tmp_path: Path) -> None:
    address = tmp_path / "paper_exchange.json"
    with serving_exchange(tmp_path, start):
        address.write_text('{"url": "http://127.0.0.1:1", "pid": 1}')
    assert address.exists()


@pytest.mark.parametrize(
    "left",
    [
        pytest.param('{"url": "http://127.0.0.1:1", "pid": 1}', id="of one that was killed"),
        pytest.param("{", id="half written"),
        pytest.param("[]", id="no address"),
    ],
)
def test_an_address_that_does_not_answer_is_replaced(tmp_path: Path, left: str) -> None:
    (tmp_path / "paper_exchange.json").write_text(left)
    with serving_exchange(tmp_path, start) as served:
        assert time_of(served) >= NOON
        with any_exchange(tmp_path, start_none) as found:
            assert found == served
