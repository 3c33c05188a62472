"""The archiver as a process: killed at any instant, read all the time, beside a collector."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import duckdb
import pytest
from archive_rounds import Rounds
from archive_shelf import WEDNESDAY, opening, store_day, store_quotes
from checkout import CHECKOUT
from effort import PATIENCE_SECONDS, times
from programs import Desk, end, paper_exchange

from data_fetch.core.files import UNFINISHED
from data_fetch.core.world import World
from data_fetch.storage.database.store import Store, open_store

SUPPORT = CHECKOUT / "tests" / "support"
NEXT_MORNING = opening(WEDNESDAY, 24 * 60)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    store = open_store(sqlite_url, World.PAPER)
    store_day(store, WEDNESDAY, looks=5)
    yield store
    store.close()


@contextmanager
def archiving(store: Store, root: Path) -> Iterator["subprocess.Popen[str]"]:
    """Rounds of an archiver without end, in a process of its own."""
    command = [sys.executable, str(SUPPORT / "archive_loop.py"), str(store.engine.url), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_kills_at_random_instants_lose_and_double_nothing(store: Store, tmp_path: Path) -> None:
    rounds, chance = Rounds(store, tmp_path / "data", NEXT_MORNING), Random(1)
    for attempt in range(times(5, 200)):
        store_quotes(store, WEDNESDAY, 1, first=30 + attempt % 300)
        with archiving(store, rounds.root):
            time.sleep(chance.random() * 1.5)
        rounds.now = NEXT_MORNING
        rounds.settle()
        assert rounds.differences([WEDNESDAY]) == [], attempt
        assert list(rounds.root.rglob(f"*{UNFINISHED}*")) == []


def test_readers_see_no_lock_and_no_half_of_anything(store: Store, tmp_path: Path) -> None:
    """Queries from another process while parts, days and views are replaced."""
    rounds = Rounds(store, tmp_path / "data", NEXT_MORNING)
    rounds.settle()
    seconds = times(4, 600)
    reader = [sys.executable, str(SUPPORT / "archive_reader.py")]
    reader += [str(rounds.folder.database), str(seconds)]
    with (
        archiving(store, rounds.root),
        subprocess.Popen(reader, stdout=subprocess.PIPE, text=True) as reading,
    ):
        slot = 30
        while reading.poll() is None:
            store_quotes(store, WEDNESDAY, 1, first=30 + slot % 300)
            slot += 1
        assert reading.stdout is not None
        seen = json.loads(reading.stdout.read())
    assert seen.pop("queries") > 0
    assert seen.pop("rows") >= 10
    assert {what: number for what, number in seen.items() if number} == {}


@pytest.mark.long
def test_a_collector_has_an_archiver_of_its_own_that_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()
    (tmp_path / "desk").mkdir()
    with paper_exchange(tmp_path / "market", "2026-09-16T10:00:30", speed=1) as url:
        desk = Desk.at(tmp_path / "desk", UPSTOX_BASE_URL=url, ARCHIVE_ENABLED="true")
        process = desk.start("run")
        minutes = tmp_path / "desk" / "data" / "options_parquet" / "20260916"
        latest = time.monotonic() + PATIENCE_SECONDS
        while not [*minutes.glob("*.ltp_data.parquet")] and time.monotonic() < latest:
            time.sleep(0.5)
        refused = desk.run("archive", "run", "--once")
        end(process, signal.SIGTERM)
        assert [*minutes.glob("*.ltp_data.parquet")] != []
        assert refused.returncode == 2
        assert "another program archives into" in refused.stderr
        # Its lock is free again: it has ended.
        document = desk.json("archive", "run", "--once")
        assert {run["outcome"] for run in document["runs"]} == {"completed"}
        with duckdb.connect(document["database"], read_only=True) as archive:
            assert archive.execute("SELECT count(*) FROM chain_receipts").fetchall() == [(0,)]


def slots_of(desk: Desk) -> int:
    return int(desk.json("status")["slots"].get("completed", 0))


def eventually(condition: Callable[[], bool]) -> None:
    """Each question is a program of its own, which takes its time."""
    latest = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < latest


@pytest.mark.long
def test_a_collector_goes_on_beside_an_archive_that_cannot_be_written(tmp_path: Path) -> None:
    """Its folder is a file, which no user can write into."""
    for name in ("market", "desk"):
        (tmp_path / name).mkdir()
    no_folder = tmp_path / "no folder"
    no_folder.touch()
    with paper_exchange(tmp_path / "market", "2026-09-16T10:00:30", speed=60) as url:
        desk = Desk.at(
            tmp_path / "desk",
            UPSTOX_BASE_URL=url,
            ARCHIVE_ENABLED="true",
            ARCHIVE_FOLDER=str(no_folder),
        )
        process = desk.start("run")
        eventually(lambda: desk.json("archive", "status")["last_run"] is not None)
        slots = slots_of(desk)
        eventually(lambda: slots_of(desk) >= slots + 3)
        assert process.poll() is None
        status = desk.json("archive", "status")
        end(process, signal.SIGTERM)
    last = status["last_run"]
    assert last["outcome"] == "failed"
    assert f"the archive cannot be written to {no_folder}" in last["error"]
    assert "set ARCHIVE_FOLDER to another folder" in last["error"]
    assert all(not any(one["days_by_state"].values()) for one in status["datasets"])
