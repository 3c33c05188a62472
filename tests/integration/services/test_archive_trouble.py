"""What is in the archiver's way: damaged files, other owners, a full disk, the end of its process.

The store has every row, so after each of these the files are those of the store again.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from archive_rounds import Rounds
from archive_shelf import WEDNESDAY, digests, opening, store_day, store_quotes
from effort import CHAOS
from filelock import FileLock
from pyarrow import parquet as pq
from sqlalchemy import delete

from data_fetch.archive import parquet_files
from data_fetch.archive.minute_files import MinuteFiles
from data_fetch.core import files
from data_fetch.core.errors import SetupError, WrongWorld
from data_fetch.core.runs import Outcome
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.runtime.archive import archive_folder_for, archive_workers_for
from data_fetch.services.archive_workers import ArchiveWorker
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.quotes import ltp_data
from data_fetch.storage.runs import recent_runs

NOON = opening(WEDNESDAY, 165)
NEXT_MORNING = opening(WEDNESDAY, 24 * 60)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    store = open_store(sqlite_url, World.PAPER)
    store_day(store, WEDNESDAY, looks=7)
    yield store
    store.close()


@pytest.fixture
def rounds(store: Store, tmp_path: Path) -> Rounds:
    rounds = Rounds(store, tmp_path / "data", NOON)
    rounds.settle()
    return rounds


def one(rounds: Rounds) -> Path:
    return rounds.folder.minute_file("ltp_data", opening(WEDNESDAY, 1))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_another_program(path: Path) -> None:
    pq.write_table(pa.table({"price": [1.0]}), path)


def that_lies(path: Path) -> None:
    with pq.ParquetFile(path) as honest:
        facts = {**honest.metadata.metadata, b"data_fetch.rows": b"99"}
        rows = honest.read()
    pq.write_table(rows.replace_schema_metadata(facts), path)


DAMAGES = {
    "torn": (cut, "not a complete Parquet file"),
    "empty": (emptied, "not a complete Parquet file"),
    "foreign": (of_another_program, "a Parquet file of another program"),
    "lying": (that_lies, "says that it has 99 rows, and has 2"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_cannot_be_used_is_set_apart_and_written_again(
    rounds: Rounds, damage: Callable[[Path], None], reason: str
) -> None:
    damage(one(rounds))
    rounds.settle()
    (kept,) = rounds.folder.quarantine.glob("*.reason.json")
    assert reason in json.loads(kept.read_text())["reason"]
    assert len([line for line in rounds.reports if reason in line]) == 1
    assert rounds.differences([WEDNESDAY]) == []


def test_a_damaged_page_is_found_when_the_file_is_joined(rounds: Rounds, store: Store) -> None:
    with pq.ParquetFile(one(rounds)) as file:
        last_of_a_page = file.metadata.row_group(0).column(4).data_page_offset - 3
    content = bytearray(one(rounds).read_bytes())
    content[last_of_a_page] ^= 0xFF
    one(rounds).write_bytes(content)
    # Another minute of the same part changes.
    with store.writing() as connection:
        connection.execute(delete(ltp_data).where(ltp_data.c.timestamp == opening(WEDNESDAY, 2)))

    rounds.restart()
    rounds.write()
    rounds.load()
    assert not one(rounds).exists()
    assert rounds.query("SELECT count(*) FROM ltp_data") == [(14,)], "as readers saw it before"
    rounds.settle()
    assert rounds.differences([WEDNESDAY]) == []


def test_files_with_other_names_are_left_alone(rounds: Rounds) -> None:
    theirs = rounds.folder.minutes_of(WEDNESDAY) / "NIFTY_0915.parquet"
    of_another_program(theirs)
    elsewhere = rounds.folder.minutes / "notes"
    elsewhere.mkdir()
    rounds.settle()
    assert theirs.exists()
    assert elsewhere.exists()
    assert rounds.reports == []


def test_a_duckdb_file_of_another_program_is_not_replaced(store: Store, tmp_path: Path) -> None:
    rounds = Rounds(store, tmp_path / "data", NOON)
    rounds.root.mkdir()
    with duckdb.connect(str(rounds.folder.database)) as theirs:
        theirs.execute("CREATE TABLE legs AS SELECT 1 AS strike")
    with pytest.raises(SetupError, match="of another program"):
        rounds.settle()
    assert rounds.query("SELECT * FROM legs") == [(1,)]


def test_the_archive_of_another_store_or_world_is_refused(
    rounds: Rounds, store: Store, tmp_path: Path
) -> None:
    other = Rounds(store, rounds.root, NOON, store_id="another one")
    with pytest.raises(SetupError, match="another store"):
        other.settle()
    manifest = json.loads(rounds.folder.manifest.read_text())
    rounds.folder.manifest.write_text(json.dumps({**manifest, "world": "live"}))
    with pytest.raises(WrongWorld, match="archive of the live world"):
        rounds.settle()


def settings_at(store: Store, folder: Path) -> Settings:
    given = {"DATA_SOURCE": "paper", "DATABASE_URL": str(store.engine.url)}
    return Settings.load(given, folder)


def test_the_archives_of_two_worlds_are_apart(rounds: Rounds, store: Store, tmp_path: Path) -> None:
    assert archive_folder_for(settings_at(store, tmp_path)).root == tmp_path / "data"
    live = settings_at(store, tmp_path).model_copy(update={"data_source": "upstox"})
    assert archive_folder_for(live).root == tmp_path / "data" / "live"


def test_a_second_archiver_is_refused(store: Store, tmp_path: Path) -> None:
    settings = settings_at(store, tmp_path)
    with archive_workers_for(settings, print) as workers:
        with (
            pytest.raises(SetupError, match="another program archives into"),
            archive_workers_for(settings, print),
        ):
            pass
        assert {run.outcome for run in workers.once()} == {Outcome.COMPLETED}
    with archive_workers_for(settings, print):
        pass


def test_an_archiver_that_cannot_begin_is_in_the_audit_and_drops_nothing(
    store: Store, tmp_path: Path
) -> None:
    no_folder = tmp_path / "no folder"
    no_folder.touch()
    settings = settings_at(store, tmp_path).model_copy(update={"archive_folder": no_folder})
    before = digests(store, [WEDNESDAY])
    with (
        pytest.raises(SetupError, match="the archive cannot be written to"),
        archive_workers_for(settings, print),
    ):
        pass
    [run] = recent_runs(store, job="archive-days")
    assert run.outcome is Outcome.FAILED
    assert run.error is not None
    assert "set ARCHIVE_FOLDER to another folder" in run.error
    assert digests(store, [WEDNESDAY]) == before


def worker_of(rounds: Rounds, reports: list[str]) -> ArchiveWorker:
    return ArchiveWorker(
        job="archive-minutes",
        work=rounds.write,
        every=timedelta(minutes=1),
        offset=timedelta(),
        store=rounds.store,
        now=lambda: rounds.now,
        report=reports.append,
    )


def test_a_folder_that_cannot_be_written_is_in_the_audit_and_ends_nothing(
    store: Store, tmp_path: Path
) -> None:
    rounds, reports = Rounds(store, tmp_path / "data", NOON), []
    rounds.root.mkdir()
    rounds.folder.minutes.write_text("a file where the folder would be")
    worker = worker_of(rounds, reports)
    for _ in range(2):
        assert worker.once().outcome is Outcome.FAILED
    assert len(reports) == 1
    (newest, *_) = recent_runs(store, job="archive-minutes")
    assert newest.error is not None
    assert "Check folder and disk" in newest.error

    rounds.folder.minutes.unlink()
    assert worker.once().outcome is Outcome.COMPLETED
    assert worker.status.error is None
    rounds.settle()
    assert rounds.differences([WEDNESDAY]) == []


def test_a_full_disk_is_reported_and_the_minute_is_written_later(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, reports = Rounds(store, tmp_path / "data", NOON), []

    def full(_path: Path) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(parquet_files, "sha256_of", full)
        run = worker_of(rounds, reports).once()
    assert run.error == "No space left on device. Check folder and disk."
    assert list(rounds.folder.minutes.rglob("*")) == [rounds.folder.minutes_of(WEDNESDAY)]
    rounds.settle()
    assert rounds.differences([WEDNESDAY]) == []


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """End the work at the *step*-th time that something becomes durable: before a file gets its
    name, after it has it, or before one is removed. What is left unfinished stays."""
    steps = count(1)
    reached = 0
    replace, unlink = Path.replace, Path.unlink

    def at_a_step() -> None:
        nonlocal reached
        reached = next(steps)
        if reached == step:
            raise Killed

    def replacing(self: Path, target: Path) -> Path:
        at_a_step()
        renamed = replace(self, target)
        at_a_step()
        return renamed

    def unlinking(self: Path, missing_ok: bool = False) -> None:
        if reached >= step:
            # A process that was killed tidies up nothing.
            return
        if not self.name.endswith(files.UNFINISHED):
            at_a_step()
        unlink(self, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replacing)
        patched.setattr(Path, "unlink", unlinking)
        yield lambda: reached


def test_the_end_of_the_process_at_any_step_loses_and_doubles_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that grows, becomes one file, and gets late rows; ended before and after each rename
    and each removal in turn."""
    rounds = Rounds(store, tmp_path / "data", NOON)
    for step in count(1, 1 if CHAOS else 5):
        store_quotes(store, WEDNESDAY, 1, first=20 + step)
        rounds.now = NEXT_MORNING if step % 2 else NOON
        with killed_at(step, monkeypatch) as reached, suppress(Killed):
            rounds.settle()
        ended = reached() < step
        rounds.settle()
        assert rounds.differences([WEDNESDAY]) == [], step
        left = [path.name for path in rounds.root.rglob(f"*{files.UNFINISHED}*")]
        assert left == [], step
        if ended:
            break
    assert step > 10


def test_the_state_of_a_file_is_read_once(rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    known = MinuteFiles(rounds.folder, World.PAPER, rounds.reports.append)
    first = known.states(WEDNESDAY)
    monkeypatch.delattr(parquet_files.pq, "ParquetFile")
    assert known.states(WEDNESDAY) == first


def test_everything_is_for_its_owner_only(rounds: Rounds) -> None:
    modes = {
        (path.is_dir(), os.stat(path).st_mode & 0o077)
        for folder in (rounds.folder.minutes, rounds.folder.processed)
        for path in [folder, *folder.rglob("*")]
        if not path.name.endswith(".lock")
    }
    assert modes == {(True, 0), (False, 0)}


def test_a_program_that_changes_the_list_waits_for_its_turn(rounds: Rounds) -> None:
    with FileLock(rounds.folder.processed / "manifest.lock"):
        assert rounds.query("SELECT count(*) FROM ltp_data") == [(14,)]
