"""A sealed file of a day that is in files only is gone or cut off: everything else is still shown.

Nothing of such a day is deleted, and the file that is put back is shown again.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from archive_life import Archive
from archive_rounds import Rounds
from archive_shelf import STOCKS, THURSDAY, TUESDAY, WEDNESDAY, digests, opening, store_day

from data_fetch import reading
from data_fetch.cli.main import main
from data_fetch.core.archive.days import Dataset, DayState
from data_fetch.core.archive.lifecycle import Step
from data_fetch.core.archive.manifest import FileKind
from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.services.archive_steps import DayLost
from data_fetch.storage.database.store import Store, open_store, store_id
from data_fetch.storage.instruments.instruments import save_master

DAYS = (TUESDAY, WEDNESDAY, THURSDAY)
TABLE = "chain_snapshots"


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def without_an_end(file: Path) -> None:
    """Of the same size: what a loss of power may leave."""
    content = file.read_bytes()
    file.write_bytes(content[:-40] + b"\0" * 40)


DAMAGES = {
    "gone": (Path.unlink, "it is not there"),
    "torn": (torn, "bytes; "),
    "emptied": (emptied, "it has 0 bytes; "),
    "without its end": (without_an_end, "it cannot be read"),
}


def replaced_by_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def below_a_file(file: Path) -> None:
    """The folder of the day is a file."""
    file.unlink()
    file.parent.rmdir()
    file.parent.touch()


Damage = Callable[[Path], None]
damages = pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url, World.LIVE)) as store:
        save_master(store, iter(STOCKS), TUESDAY, opening(TUESDAY, -60))
        for day in DAYS:
            store_day(store, day)
        yield store


@pytest.fixture
def archive(store: Store, tmp_path: Path) -> Archive:
    """Tuesday and Wednesday are in files only."""
    archive = Archive(store, tmp_path / "data", store_id=store_id(store))
    archive.round()
    return archive


def shown(archive: Archive, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(archive.folder.database), read_only=True) as opened:
        return opened.execute(sql).fetchall()


def days_shown(archive: Archive, table: str) -> set[date]:
    found = shown(archive, f"SELECT DISTINCT timestamp::DATE FROM {table}")  # noqa: S608 - ours
    return {day for (day,) in found}


@damages
def test_the_rest_is_shown(
    archive: Archive, damage: Damage, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = archive.file(TABLE, TUESDAY)
    content, place = file.read_bytes(), archive.folder.relative(file)
    damage(file)
    with caplog.at_level(logging.WARNING):
        archive.catalog.rebuild_views()
    assert [entry.file for entry in caplog.records if entry.msg == "archive_file_left_out"] == [
        place
    ]
    assert days_shown(archive, TABLE) == {WEDNESDAY, THURSDAY}
    assert days_shown(archive, "option_chain_data") == set(DAYS)
    assert days_shown(archive, "ltp_data") == set(DAYS)
    [(table, day, path, why)] = shown(archive, "SELECT * FROM archive_damaged_files")
    assert (table, day, path) == (TABLE, TUESDAY, place)
    assert reason in why
    assert shown(archive, f"SELECT * FROM archive_files WHERE path = '{path}'") == []  # noqa: S608 - ours

    file.write_bytes(content)
    archive.catalog.refresh(archive.catalog.read())
    assert days_shown(archive, TABLE) == set(DAYS)
    assert shown(archive, "SELECT * FROM archive_damaged_files") == []


@damages
def test_a_round_names_the_file_and_goes_on(archive: Archive, damage: Damage, reason: str) -> None:
    file = archive.file(TABLE, TUESDAY)
    damage(file)
    left = file.read_bytes() if file.exists() else None
    friday = date(2026, 9, 18)
    store_day(archive.store, friday)
    archive.clock.sleep(opening(friday) - opening(THURSDAY))
    report = archive.lifecycle.round()
    [problem] = report.problems
    assert f"chains of {TUESDAY}: " in problem
    assert reason in problem
    assert f"from a backup of the archive, as {file}" in problem
    assert (report.count(Step.SEAL), report.count(Step.DROP)) == (3, 3)
    assert days_shown(archive, TABLE) == {WEDNESDAY, THURSDAY, friday}
    # Nothing of it is deleted or moved.
    assert (file.read_bytes() if file.exists() else None) == left
    assert archive.states()[0] is DayState.CLEARED
    assert archive.catalog.read().sealed(TABLE, TUESDAY)


@damages
def test_a_file_of_a_day_that_is_stored_is_written_anew(
    archive: Archive, damage: Damage, reason: str
) -> None:
    damage(archive.file(TABLE, THURSDAY))
    assert archive.round() == {Step.SEAL: 1, Step.VERIFY: 1}
    assert archive.lifecycle.verify() == []
    assert days_shown(archive, TABLE) == set(DAYS)


@damages
def test_commands_name_the_file_and_end_with_status_3(
    archive: Archive,
    damage: Damage,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(archive.folder.root.parent)
    monkeypatch.setenv("DATABASE_URL", str(archive.store.engine.url))
    monkeypatch.setenv("DATA_SOURCE", "upstox")
    assert ended(["archive", "status"]) == 0
    file = archive.file(TABLE, TUESDAY)
    damage(file)
    for command, key in (("status", "damaged_files"), ("verify", "bad_files")):
        capsys.readouterr()
        assert ended(["archive", command]) == 3
        text = capsys.readouterr().out
        assert archive.folder.relative(file) in text
        assert f"as {file}" in text
        assert ended(["archive", command, "--json"]) == 3
        [document] = json.loads(capsys.readouterr().out)[key]
        assert document["trading_date"] == TUESDAY.isoformat()
        assert document["dataset"] == "chains"
    assert reason in text or command == "verify"


def ended(arguments: list[str]) -> object:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code or 0


@damages
def test_only_questions_about_that_day_are_refused(
    archive: Archive, damage: Damage, reason: str, tmp_path: Path
) -> None:
    settings = Settings.load(
        {"DATA_SOURCE": "upstox", "DATABASE_URL": str(archive.store.engine.url)}, tmp_path
    )

    def quotes(day: date) -> int:
        return reading.quotes("M&M", day, day, settings=settings).table.num_rows

    assert [quotes(day) for day in DAYS] == [4, 4, 4]
    damage(archive.file("ltp_data", TUESDAY))
    with pytest.raises(SetupError, match="data-fetch archive verify"):
        quotes(TUESDAY)
    assert [quotes(day) for day in (WEDNESDAY, THURSDAY)] == [4, 4]


@damages
def test_a_part_of_today_is_written_anew(
    store: Store, tmp_path: Path, damage: Damage, reason: str
) -> None:
    rounds = Rounds(store, tmp_path / "parts", opening(THURSDAY, 165))
    rounds.settle()
    [part] = rounds.manifest.of("ltp_data", THURSDAY)
    assert part.kind is FileKind.PART
    damage(rounds.root / part.path)
    rounds.load()
    assert rounds.differences([THURSDAY]) == []
    assert rounds.query("SELECT * FROM archive_damaged_files") == []


@pytest.mark.parametrize("damage", [replaced_by_a_folder, below_a_file])
def test_odd_things_in_the_place_of_a_file(archive: Archive, damage: Damage) -> None:
    damage(archive.file(TABLE, TUESDAY))
    assert len(archive.problems()) == 1
    archive.catalog.rebuild_views()
    assert days_shown(archive, TABLE) == {WEDNESDAY, THURSDAY}
    assert [problem.file.trading_date for problem in archive.lifecycle.verify()] == [TUESDAY]
    with pytest.raises(DayLost, match="Put that file back"):
        archive.lifecycle.restore(Dataset.CHAINS, TUESDAY, TUESDAY)


def test_a_dropped_day_whose_file_was_put_back_is_restored(archive: Archive) -> None:
    file = archive.file(TABLE, TUESDAY)
    content = file.read_bytes()
    torn(file)
    assert len(archive.problems()) == 1
    file.write_bytes(content)
    assert archive.problems() == []
    assert archive.lifecycle.restore(Dataset.CHAINS, TUESDAY, TUESDAY) == [TUESDAY]
    assert digests(archive.store, [TUESDAY], [Dataset.CHAINS])[TABLE, TUESDAY][0] > 0
