"""A backup is of one state, is proved equal, and is there whole or not at all."""

import json
import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from effort import PATIENCE_SECONDS, times
from filelock import FileLock
from sample_rows import fill
from servers import database_on
from sqlalchemy import column, func, select, table

from data_fetch.core.backups import BackupFormat, Digests
from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import SetupError, StoreFailure, StoreRefused, WrongWorld
from data_fetch.core.world import World
from data_fetch.services.backup import Proof, create_backup, restore_backup, verify_backup
from data_fetch.storage.database import revisions
from data_fetch.storage.database.engine import engine_for, snapshot
from data_fetch.storage.database.leadership import Leadership
from data_fetch.storage.database.progress import no_progress
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.table_digests import table_digests

AT = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
KINDS = ["sqlite", "postgres", "postgres without pg_dump"]
FORMATS = {
    "sqlite": BackupFormat.SQLITE,
    "postgres": BackupFormat.POSTGRES_DUMP,
    "postgres without pg_dump": BackupFormat.SQLITE,
}
CONNECTIONS = table("pg_stat_activity", column("pid"), column("datname"))
NO_SERVER = "sqlite:////none.db"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    if request.param == "postgres without pg_dump":
        monkeypatch.setenv("PATH", str(tmp_path))
    return str(request.param)


@pytest.fixture
def store(kind: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store with rows in every table."""
    store = open_store(request.getfixturevalue(f"{kind.split()[0]}_url"), World.PAPER)
    fill(store)
    yield store
    store.close()


@pytest.fixture
def new_url(kind: str, tmp_path: Path, postgres_server: str) -> Iterator[str]:
    """The URL of a store of the same kind that has nothing in it."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'restored.db'}"
        return
    with database_on(postgres_server) as url:
        yield url


def url_of(store: Store) -> str:
    return store.engine.url.render_as_string(hide_password=False)


def create(store: Store, target: Path, watcher: Callable[[str, int], None] = no_progress) -> Path:
    return create_backup(store, target, VirtualClock(AT), watcher)[0]


def restore(file: Path, url: str, world: World | None = None) -> Any:
    return restore_backup(file, url, world, file.parent, no_progress)


def verify(file: Path, server_url: str = NO_SERVER) -> Any:
    return verify_backup(file, server_url, file.parent, no_progress)


def digests(url: str) -> Digests:
    engine = engine_for(url)
    try:
        with snapshot(engine) as connection:
            return table_digests(connection)
    finally:
        engine.dispose()


@pytest.fixture
def backup(store: Store, tmp_path: Path) -> Path:
    return create(store, tmp_path / "backups")


def edit_record(file: Path, **changes: Any) -> None:
    record = file.with_name(f"{file.name}.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | changes))


def test_a_backup_comes_back_equal(store: Store, kind: str, backup: Path, new_url: str) -> None:
    expected = digests(url_of(store))

    assert backup.name == f"paper-20260916T100000Z.{FORMATS[kind]}"
    restored = restore(backup, new_url, World.PAPER)

    assert restored.proof is Proof.READ
    assert digests(new_url) == expected == restored.record.tables
    assert set(expected) >= {"ltp_data", "option_chain_data", "accounts", "store_meta"}


@pytest.mark.parametrize("layout", ["partitioned", "timescale"])
def test_a_store_in_another_layout_comes_back_equal(
    layout: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = "timescale_server" if layout == "timescale" else "postgres_server"
    store = open_store(request.getfixturevalue(f"{layout}_url"), World.PAPER)
    fill(store)
    expected = digests(url_of(store))

    backup = create(store, tmp_path / "backups")
    proof = verify(backup, url_of(store)).proof
    with database_on(request.getfixturevalue(server)) as url:
        restore(backup, url)
        restored = digests(url)
    store.close()

    assert proof in {Proof.READ, Proof.RESTORED}
    assert restored == expected


def test_a_backup_is_verified_as_far_as_possible(store: Store, kind: str, backup: Path) -> None:
    proofs = {"sqlite": Proof.READ, "postgres": Proof.RESTORED}

    assert verify(backup, url_of(store)).proof is proofs.get(kind, Proof.READ)
    if kind == "postgres":
        assert verify(backup).proof is Proof.CONTENTS


def test_the_record_says_what_is_in_the_backup(store: Store, kind: str, backup: Path) -> None:
    record = json.loads(backup.with_name(f"{backup.name}.json").read_text())

    assert record["format"] == FORMATS[kind]
    assert record["world"] == "paper"
    assert record["revision"] == revisions.head()
    assert record["taken_at"] == AT.isoformat()
    assert record["store"] == store.name
    assert record["tables"]["ltp_data"]["rows"] == 24
    assert record["size_bytes"] == backup.stat().st_size
    assert len(record["sha256"]) == 64


@pytest.mark.skipif(os.name != "posix", reason="elsewhere files have no such modes")
def test_only_the_owner_can_read_a_backup(backup: Path) -> None:
    for made in (backup.parent, *backup.parent.iterdir()):
        if made.name != ".backup.lock":
            assert stat.S_IMODE(made.stat().st_mode) & 0o077 == 0, made


def test_files_of_the_archive_are_named_and_missed(backup: Path) -> None:
    named = json.loads(backup.with_name(f"{backup.name}.json").read_text())["archive_files"]
    assert len(named) == 24
    edit_record(backup, archive_files=["a/there.parquet", "a/gone.parquet"])
    (backup.parent / "a").mkdir()
    (backup.parent / "a" / "there.parquet").touch()

    assert verify(backup).missing_files == ("a/gone.parquet",)


def test_a_backup_beside_a_writer_is_of_one_state(
    store: Store, kind: str, tmp_path: Path, new_url: str
) -> None:
    """Each transaction of the writer adds the same rows to every table of `fill`."""
    writer_store, stop, written = open_store(url_of(store), World.PAPER), Event(), Event()

    def write() -> None:
        number = 1_000
        while not stop.is_set():
            fill(writer_store, [number])
            number += 1
            written.set()

    writer = Thread(target=write)
    writer.start()
    try:
        assert written.wait(PATIENCE_SECONDS)
        backup = create(store, tmp_path / "backups")
    finally:
        stop.set()
        writer.join()
        writer_store.close()

    restored = restore(backup, new_url)

    assert digests(new_url) == restored.record.tables
    assert digests(url_of(store)) != restored.record.tables
    # The tables are filled in one order: no later one has a row that an earlier one lacks.
    assert restored.record.tables["ltp_data"].rows > 24


def test_no_password_is_on_a_command_line(
    store: Store, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind != "postgres":
        pytest.skip("only pg_dump is another program")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (programs / name).write_text(
            f'#!/bin/sh\necho "$@" >> {programs}/lines\nexec /usr/bin/env '
            f'PATH="$REAL_PATH" {name} "$@"\n'
        )
        (programs / name).chmod(0o755)
    monkeypatch.setenv("REAL_PATH", os.environ["PATH"])
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    url = store.engine.url.set(password="s3cr3t%@x").update_query_dict({"sslmode": "prefer"})
    with_password = open_store(url.render_as_string(hide_password=False), World.PAPER)

    file = create(with_password, tmp_path / "backups")
    with_password.close()

    assert verify(file, url.render_as_string(hide_password=False)).proof is Proof.RESTORED
    lines = (programs / "lines").read_text()
    assert "--snapshot=" in lines
    assert "--single-transaction" in lines
    assert "s3cr3t" not in lines
    assert "s3cr3t" not in file.with_name(f"{file.name}.json").read_text()


def torn(file: Path) -> None:
    with file.open("rb+") as opened:
        opened.truncate(file.stat().st_size // 2)


def flipped(file: Path) -> None:
    with file.open("rb+") as opened:
        opened.seek(file.stat().st_size // 2)
        byte = opened.read(1)
        opened.seek(-1, os.SEEK_CUR)
        opened.write(bytes([byte[0] ^ 1]))


def without_record(file: Path) -> None:
    file.with_name(f"{file.name}.json").unlink()


BAD_FILES = [
    pytest.param(torn, StoreRefused, "bytes instead of", id="torn in the middle"),
    pytest.param(flipped, StoreRefused, "not those that were written", id="one bit"),
    pytest.param(without_record, SetupError, "record .* is missing", id="no record"),
    pytest.param(Path.unlink, SetupError, "there is no backup", id="no file"),
    pytest.param(
        lambda file: file.with_name(f"{file.name}.json").write_text("{"),
        SetupError,
        "no JSON",
        id="a record that is torn",
    ),
    pytest.param(
        lambda file: file.with_name(f"{file.name}.json").write_text("[]"),
        SetupError,
        "not the record of a backup",
        id="another document",
    ),
    pytest.param(
        lambda file: edit_record(file, revision="9999"), SetupError, "newer data-fetch", id="newer"
    ),
]


@pytest.mark.parametrize(("damage", "error", "why"), BAD_FILES)
def test_a_bad_backup_is_neither_verified_nor_restored(
    backup: Path, new_url: str, damage: Callable[[Path], None], error: type[Exception], why: str
) -> None:
    damage(backup)

    with pytest.raises(error, match=why):
        verify(backup)
    with pytest.raises(error, match=why):
        restore(backup, new_url)
    if new_url.startswith("sqlite"):
        assert not Path(engine_for(new_url).url.database or "").exists()


def test_a_backup_whose_rows_are_not_the_recorded_ones_is_refused(
    store: Store, backup: Path, new_url: str
) -> None:
    record = json.loads(backup.with_name(f"{backup.name}.json").read_text())
    record["tables"]["ltp_data"]["digest"] = "0" * 32
    edit_record(backup, tables=record["tables"])

    with pytest.raises(StoreRefused, match="ltp_data has other values"):
        verify(backup, url_of(store))
    with pytest.raises(StoreRefused, match="ltp_data has other values"):
        restore(backup, new_url)


def test_a_backup_of_the_other_world_is_not_restored(backup: Path, new_url: str) -> None:
    with pytest.raises(WrongWorld, match="paper store; this is the live world"):
        restore(backup, new_url, World.LIVE)


def test_a_store_with_rows_is_not_restored_over(store: Store, backup: Path) -> None:
    before = digests(url_of(store))

    with pytest.raises(SetupError, match="has rows already"):
        restore(backup, url_of(store))
    assert digests(url_of(store)) == before


def test_a_store_with_a_collector_is_not_restored_over(backup: Path, new_url: str) -> None:
    opened = open_store(new_url, World.PAPER)
    lead = Leadership(opened)
    lead.try_acquire()

    with pytest.raises(SetupError, match=r"at work|has rows"):
        restore(backup, new_url)
    lead.release()
    opened.close()


def test_a_dump_is_not_restored_into_a_file(kind: str, backup: Path, tmp_path: Path) -> None:
    if kind != "postgres":
        pytest.skip("only pg_dump writes dumps")
    with pytest.raises(SetupError, match="db copy"):
        restore(backup, f"sqlite:///{tmp_path / 'new.db'}")


def test_a_file_comes_back_in_the_other_database(
    kind: str, store: Store, backup: Path, tmp_path: Path, empty_postgres_url: str
) -> None:
    if kind == "postgres":
        pytest.skip("a dump is for PostgreSQL")
    other = empty_postgres_url if kind == "sqlite" else f"sqlite:///{tmp_path / 'other.db'}"

    restore(backup, other)

    assert digests(other) == digests(url_of(store))


def test_an_existing_file_is_not_written_over(store: Store, tmp_path: Path) -> None:
    taken = tmp_path / "mine.db"
    taken.write_text("mine")

    with pytest.raises(SetupError, match="exists already"):
        create(store, taken)
    assert taken.read_text() == "mine"


def test_an_empty_store_is_not_backed_up(new_url: str, tmp_path: Path) -> None:
    empty = open_store(new_url, World.PAPER)

    with pytest.raises(SetupError, match="nothing to back up"):
        create(empty, tmp_path / "backups")
    empty.close()


def test_of_two_at_once_in_a_folder_one_is_refused(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    with FileLock(folder / ".backup.lock"), pytest.raises(SetupError, match="being written"):
        create(store, folder)
    assert verify(create(store, folder)).record.rows


def left_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.name != ".backup.lock"]


def test_a_server_that_goes_away_leaves_no_file(
    kind: str, store: Store, tmp_path: Path, postgres_server: str
) -> None:
    if kind == "sqlite":
        pytest.skip("there is no server")

    def cut_off(_name: str, _rows: int) -> None:
        engine = engine_for(postgres_server)
        with engine.connect() as connection:
            ours = CONNECTIONS.c.datname == store.engine.url.database
            connection.execute(select(func.pg_terminate_backend(CONNECTIONS.c.pid)).where(ours))
        engine.dispose()

    with pytest.raises(StoreFailure):
        create(store, tmp_path / "backups", cut_off)
    assert left_in(tmp_path / "backups") == []


PROGRAM = """
import sys
from pathlib import Path
from data_fetch.core.clock import SystemClock
from data_fetch.core.world import World
from data_fetch.services.backup import create_backup, restore_backup
from data_fetch.storage.database.store import open_store

what, url, path, megabytes = sys.argv[1:]
if int(megabytes):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(megabytes) * 2**20,) * 2)
watch = lambda *seen: print(*seen, flush=True)
if what == "create":
    create_backup(open_store(url, World.PAPER), Path(path), SystemClock(), watch)
else:
    restore_backup(Path(path), url, None, Path(path).parent, watch)
"""


def begun(what: str, url: str, path: Path, megabytes: int = 0) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, what, url, str(path), str(megabytes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name != "posix", reason="elsewhere no size can be limited")
def test_a_disk_that_is_full_leaves_no_file(store: Store, tmp_path: Path) -> None:
    """The limit of a file's size stands for the end of the disk: the sample has a megabyte."""
    fill(store, range(30, 4_000))
    process = begun("create", url_of(store), tmp_path / "backups", megabytes=1)

    _, errors = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode != 0
    assert "Refused" in errors or "File too large" in errors, errors
    assert left_in(tmp_path / "backups") == []


def ended_somewhere(process: "subprocess.Popen[str]", chance: random.Random) -> None:
    """Kill it after some lines, or leave it to its end."""
    assert process.stdout is not None
    for _ in range(chance.randrange(60)):
        process.stdout.readline()
    process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)


def test_a_backup_that_is_killed_leaves_none_or_a_whole_one(store: Store, tmp_path: Path) -> None:
    chance = random.Random(5)
    for attempt in range(times(1, 20)):
        folder = tmp_path / "backups" / str(attempt)
        ended_somewhere(begun("create", url_of(store), folder), chance)
        for file in folder.glob("paper-*[!n]"):
            assert verify(file).record.rows

        assert verify(create(store, folder)).record.rows


def test_a_restore_that_is_killed_leaves_nothing_or_all(
    store: Store, backup: Path, new_url: str
) -> None:
    """Of a killed one, `pg_restore` goes on to its end, or to that of its transaction."""
    chance = random.Random(8)
    for _ in range(times(1, 20)):
        ended_somewhere(begun("restore", new_url, backup), chance)
    with suppress(SetupError):
        # A late kill: it has the rows already.
        restore(backup, new_url)

    assert digests(new_url) == digests(url_of(store))
