"""The collector as a process: it is killed, stopped, doubled, refused and cut off.

The paper exchange runs thirty times as fast as a real market, so a slot passes in two seconds.
A slow machine misses more of them: no test counts on a certain one.
`CHAOS=1` (`make chaos`) kills thirty times as often.
"""

import random
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from effort import times
from frozen import Hanging, hanging
from programs import SYMBOLS, Desk, end, order, paper_exchange, set_clock
from sqlalchemy import func, select

from data_fetch.core.clock import MINUTE
from data_fetch.core.world import World
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import LtpData, SyncRunRow
from data_fetch.storage.feed import disconnects_since, feed_report
from data_fetch.storage.runs import recent_runs

KILLS = times(3, 100)
# On each of two kinds of database.
KILLS_WITH_THE_FEED = times(10, 100)

pytestmark = pytest.mark.long


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "exchange"
    folder.mkdir()
    with paper_exchange(folder, "2026-09-16T09:15:50", speed=30) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, exchange: str) -> Desk:
    """A collector's folder on each kind of database."""
    folder = tmp_path / "collector"
    folder.mkdir()
    name = "empty_postgres_url" if request.param == "postgres" else None
    url = request.getfixturevalue(name) if name else f"sqlite:///{folder / 'store.db'}"
    return Desk.at(folder, DATA_SOURCE="paper", UPSTOX_BASE_URL=exchange, DATABASE_URL=url)


# What has nothing to do with the kind of database is tried on one.
on_sqlite = pytest.mark.parametrize("desk", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("desk", ["postgres"], indirect=True)


def store_of(desk: Desk) -> Store:
    return open_store(desk.environment["DATABASE_URL"], World.PAPER)


def read_slot(process: "subprocess.Popen[str]") -> str:
    """Wait for the next line about a slot."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return line


def read_until(process: "subprocess.Popen[str]", word: str) -> list[str]:
    """The lines about slots up to the first one with *word* in it."""
    lines = [read_slot(process)]
    while word not in lines[-1]:
        lines.append(read_slot(process))
    return lines


def quote_runs(store: Store) -> list[tuple[datetime, str, str, int]]:
    query = select(SyncRunRow.due_slot, SyncRunRow.outcome, SyncRunRow.run_id, SyncRunRow.stored)
    with store.reading() as connection:
        rows = connection.execute(
            query.where(SyncRunRow.job == "quotes").order_by(SyncRunRow.due_slot)
        )
        return [tuple(row) for row in rows]


def rows_by_slot(store: Store) -> dict[datetime, tuple[int, int]]:
    """How many rows, and of how many runs, each slot has."""
    query = select(LtpData.timestamp, func.count(), func.count(LtpData.run_id.distinct())).group_by(
        LtpData.timestamp
    )
    with store.reading() as connection:
        return {slot: (rows, runs) for slot, rows, runs in connection.execute(query)}


def test_killed_again_and_again_nothing_is_lost_or_doubled(desk: Desk) -> None:
    chance = random.Random(20260916)
    for _ in range(KILLS):
        process = desk.start("run")
        read_slot(process)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0, 1.5))
        end(process, signal.SIGKILL)
    last = desk.start("run")
    read_slot(last)
    end(last, signal.SIGTERM)

    store = store_of(desk)
    runs, rows = quote_runs(store), rows_by_slot(store)
    slots = [slot for slot, *_ in runs]
    assert slots == [slots[0] + n * MINUTE for n in range(len(slots))], "a slot without a row"
    collected = {slot for slot, outcome, *_ in runs if outcome == "completed"}
    assert collected
    assert {outcome for _, outcome, *_ in runs} <= {"completed", "missed"}
    assert rows == dict.fromkeys(collected, (len(SYMBOLS), 1))


def test_killed_again_and_again_with_the_feed_no_disconnect_stays_open(desk: Desk) -> None:
    """Slots are as without the feed: only those without a process are missed."""
    desk.environment["FEED_ENABLED"] = "true"
    chance = random.Random(20260917)
    for _ in range(KILLS_WITH_THE_FEED):
        process = desk.start("run")
        read_slot(process)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0, 1.5))
        end(process, signal.SIGKILL)
    last = desk.start("run")
    read_until(last, "stored")
    _, remarks = end(last, signal.SIGTERM)

    assert last.returncode == 0, remarks
    store = store_of(desk)
    runs, rows = quote_runs(store), rows_by_slot(store)
    slots = [slot for slot, *_ in runs]
    assert slots == [slots[0] + n * MINUTE for n in range(len(slots))], "a slot without a row"
    assert {outcome for _, outcome, *_ in runs} <= {"completed", "missed"}
    collected = {slot for slot, outcome, *_ in runs if outcome == "completed"}
    assert {slot: rows.get(slot) for slot in collected} == dict.fromkeys(
        collected, (len(SYMBOLS), 1)
    )
    assert [each for each in disconnects_since(store, slots[0]) if each.ended is None] == []
    report = feed_report(store)
    assert report is not None
    assert report.state == "stopped"


@pytest.mark.parametrize(
    ("desk", "how"),
    [("sqlite", signal.SIGTERM), ("postgres", signal.SIGINT)],
    indirect=["desk"],
)
def test_a_stop_finishes_the_slot_in_hand_and_is_no_failure(
    desk: Desk, how: signal.Signals
) -> None:
    process = desk.start("run")
    read_slot(process)
    _, remarks = end(process, how)

    assert process.returncode == 0, remarks
    assert "Stopped after" in remarks
    store = store_of(desk)
    collected = [slot for slot, outcome, *_ in quote_runs(store) if outcome == "completed"]
    assert rows_by_slot(store) == dict.fromkeys(collected, (len(SYMBOLS), 1))


def test_a_second_scheduler_waits_and_takes_over_from_a_killed_one(desk: Desk) -> None:
    first = desk.start("run")
    read_slot(first)
    second = desk.start("run")
    assert f"process {first.pid}" in read_remark(second, "Waiting for")

    end(first, signal.SIGKILL)
    read_slot(second)
    end(second, signal.SIGTERM)

    slots = [slot for slot, *_ in quote_runs(store_of(desk))]
    assert slots == sorted(set(slots))


@on_sqlite
def test_a_standby_fetches_the_instrument_master_while_it_waits(desk: Desk, tmp_path: Path) -> None:
    first = desk.start("run")
    read_slot(first)
    (tmp_path / "standby").mkdir()
    standby = Desk.at(tmp_path / "standby")
    standby.environment |= desk.environment
    second = standby.start("run")
    read_remark(second, "Waiting for")

    masters = standby.folder / "data" / "instruments"
    while not (fetched := list(masters.rglob("NSE_*.findings.json"))):
        assert first.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.1)
    before = fetched[0].stat().st_mtime_ns
    end(first, signal.SIGKILL)
    read_slot(second)
    end(second, signal.SIGTERM)

    assert fetched[0].stat().st_mtime_ns == before, "fetched again"


@on_sqlite
def test_a_bounded_run_ends_by_itself(desk: Desk) -> None:
    done = desk.run("run", "--minutes", "3")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("quotes   slot") >= 3
    assert "Stopped after" in done.stderr


@on_sqlite
def test_a_new_token_in_the_env_file_ends_the_pause_without_a_restart(
    desk: Desk, exchange: str
) -> None:
    env_file = desk.folder / ".env"
    env_file.write_text("UPSTOX_ACCESS_TOKEN=first-day\n")
    process = desk.start("run")
    read_until(process, "stored")

    order(exchange, {"kind": "token-expired", "api": "ltp", "times": 1})
    refused = read_until(process, "UPSTOX_ACCESS_TOKEN")[-1]
    read_until(process, "missed: as before")
    env_file.write_text("UPSTOX_ACCESS_TOKEN=second-day\n")
    read_until(process, "stored")
    _, remarks = end(process, signal.SIGTERM)

    assert "missed" in refused
    logged = "".join(path.read_text() for path in (desk.folder / "logs").glob("*.log"))
    assert logged.count("paused_for_token") == 1
    assert "first-day" not in logged + remarks
    assert "second-day" not in logged + remarks


@on_postgres
def test_slots_that_passed_while_nobody_ran_are_missed_with_the_reason(
    desk: Desk, exchange: str
) -> None:
    desk.run("run", "--minutes", "1")
    set_clock(exchange, "2026-09-16T09:25:00+05:30")
    desk.run("run", "--minutes", "1")

    runs = quote_runs(store_of(desk))
    missed = [slot for slot, outcome, *_ in runs if outcome == "missed"]
    assert missed
    assert runs[-1][0] - runs[0][0] == timedelta(minutes=len(runs) - 1)


@on_postgres
def test_a_clock_that_is_set_back_is_reported_and_slots_follow_the_new_time(
    desk: Desk, exchange: str
) -> None:
    set_clock(exchange, "2026-09-16T11:00:30+05:30")
    process = desk.start("run")
    read_until(process, "stored")
    read_until(process, "stored")
    set_clock(exchange, "2026-09-16T10:29:50+05:30")
    assert "to 10:" in read_remark(process, "the clock was set back")
    lines = read_until(process, "stored")
    end(process, signal.SIGTERM)

    assert "slot 10:" in lines[-1]
    store = store_of(desk)
    ahead = datetime.fromisoformat("2026-09-16T10:50:00+05:30")
    assert {slot >= ahead for slot, *_ in quote_runs(store)} == {False}
    with store.reading() as connection:
        counted = select(LtpData.off_session, func.count()).where(LtpData.timestamp >= ahead)
        assert dict(connection.execute(counted.group_by(LtpData.off_session)).all()).keys() == {
            True
        }
    [step] = recent_runs(store, job="clock")
    assert step.details["withdrawn_slots"] >= 2


# --- a database that hangs --------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hanging]:
    """Each kind of database, ready to hang."""
    postgres = request.param == "postgres"
    url = request.getfixturevalue("postgres_url") if postgres else f"sqlite:///{tmp_path / 's.db'}"
    with hanging(url) as database:
        yield database


@pytest.fixture
def hung(tmp_path: Path, exchange: str, database: Hanging) -> Iterator["subprocess.Popen[str]"]:
    """A collector that has reported that its database hangs."""
    folder = tmp_path / "collector"
    folder.mkdir()
    desk = Desk.at(folder, DATA_SOURCE="paper", UPSTOX_BASE_URL=exchange, DATABASE_URL=database.url)
    process = desk.start("run")
    read_slot(process)
    database.freeze()
    read_remark(process, "Check it: data-fetch doctor")
    yield process
    process.kill()
    process.communicate()


def read_remark(process: "subprocess.Popen[str]", words: str) -> str:
    """Wait for the next remark with *words* in it."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying: {words}")


def test_the_end_of_a_hang_is_reported_and_collecting_goes_on(
    hung: "subprocess.Popen[str]", database: Hanging, tmp_path: Path
) -> None:
    database.thaw()
    read_remark(hung, "answers again after")
    read_until(hung, "stored")
    _, remarks = end(hung, signal.SIGTERM)

    assert hung.returncode == 0, remarks
    logged = (tmp_path / "collector" / "logs" / "data_scheduler.log").read_text()
    assert logged.count("store_silent") == logged.count("store_answers") == 1


def test_a_stop_does_not_wait_for_a_database_that_hangs(hung: "subprocess.Popen[str]") -> None:
    _, remarks = end(hung, signal.SIGTERM)

    assert hung.returncode == 4, remarks
    named = "does not answer|another program has locked|nothing (can|could) be stored"
    assert re.search(f"^data-fetch: .*({named})", remarks, re.MULTILINE), remarks


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_second_signal_ends_it_at_once(hung: "subprocess.Popen[str]") -> None:
    hung.send_signal(signal.SIGTERM)
    # It notices signals twice a second.
    with pytest.raises(subprocess.TimeoutExpired):
        hung.wait(1.0)
    end(hung, signal.SIGTERM)

    assert hung.returncode == -signal.SIGTERM
