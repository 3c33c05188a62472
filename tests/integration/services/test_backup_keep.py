"""`--keep N`: the newest backups of a store stay, and nothing else of the folder is touched."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sample_rows import fill
from servers import database_on

from data_fetch.cli.main import main
from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import SetupError
from data_fetch.core.world import World
from data_fetch.services.backup import (
    Proof,
    Thinned,
    create_backup,
    give_id,
    keep_newest,
    verify_backup,
)
from data_fetch.storage.database.progress import no_progress
from data_fetch.storage.database.store import Store, open_store

AT = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
NO_SERVER = "sqlite:////none.db"


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url, World.PAPER)) as store:
        fill(store, range(3))
        yield store


@pytest.fixture
def folder(store: Store, tmp_path: Path) -> Path:
    """Backups of four nights."""
    folder = tmp_path / "backups"
    for night in range(4):
        taken(store, folder, night)
    return folder


def taken(store: Store, folder: Path, night: int) -> Path:
    clock = VirtualClock(AT + timedelta(days=night))
    give_id(store)
    return create_backup(store, folder, clock, no_progress)[0]


def keep(file: Path, count: int) -> Thinned:
    return keep_newest(file, verify_backup(file, NO_SERVER, file.parent, no_progress), count)


def nights(folder: Path) -> list[int]:
    """Of the backups that are there with their records."""
    return sorted(
        int(file.name[12:14]) - AT.day
        for file in folder.glob("paper-*.db")
        if file.with_name(f"{file.name}.json").exists()
    )


@pytest.mark.parametrize(
    ("count", "left"), [(1, [4]), (2, [3, 4]), (4, [1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])]
)
def test_the_newest_stay(store: Store, folder: Path, count: int, left: list[int]) -> None:
    thinned = keep(taken(store, folder, 4), count)
    assert nights(folder) == left
    assert (len(thinned.kept), len(thinned.removed)) == (len(left), 5 - len(left))
    assert len(list(folder.glob("paper-*"))) == 2 * len(left)


def test_files_of_others_stay(store: Store, folder: Path, tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path / 'other.db'}", World.PAPER)) as other:
        fill(other, range(3))
        give_id(other)
        of_other_store = create_backup(other, folder / "other.db", VirtualClock(AT), no_progress)[0]
    without_record = folder / "paper-20260901T000000Z.db"
    shutil.copyfile(of_other_store, without_record)
    not_ours = {
        "notes.txt": "",
        "letter.json": "{}",
        "paper-20260902T000000Z.db.json": "[",
        "without an id.db.json": json.dumps(
            {**json.loads((folder / "other.db.json").read_text()), "store_id": None}
        ),
    }
    for name, content in not_ours.items():
        (folder / name).write_text(content)
    there = set(folder.iterdir())
    newest = taken(store, folder, 4)
    thinned = keep(newest, 1)
    assert thinned.kept == (newest,)
    assert {file.name for file in there - set(folder.iterdir())} == {
        f"paper-202609{day}T100000Z.db{end}" for day in (16, 17, 18, 19) for end in ("", ".json")
    }


def test_a_damaged_one_counts_for_nothing_and_stays(store: Store, folder: Path) -> None:
    damaged = folder / "paper-20260919T100000Z.db"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    thinned = keep(taken(store, folder, 4), 2)
    assert nights(folder) == [2, 3, 4]
    assert list(thinned.unusable) == [damaged]
    assert "is damaged" in thinned.unusable[damaged]


def test_the_new_one_stays_where_a_clock_was_set_back(store: Store, folder: Path) -> None:
    new = taken(store, folder, -3)
    assert keep(new, 2).kept[0] == new
    assert nights(folder) == [-3, 3]


def test_nothing_is_removed_unless_the_new_one_is_verified(store: Store, folder: Path) -> None:
    new = taken(store, folder, 4)
    new.write_bytes(new.read_bytes()[:-100])
    with pytest.raises(Exception, match="is damaged"):
        keep(new, 1)
    assert nights(folder) == [0, 1, 2, 3, 4]


def test_nothing_is_removed_unless_its_rows_were_read(
    store: Store, folder: Path, postgres_server: str, tmp_path: Path
) -> None:
    with database_on(postgres_server) as url, closing(open_store(url, World.PAPER)) as other:
        fill(other, range(3))
        first, second = (taken(other, tmp_path / "dumps", night) for night in (0, 1))
    verified = verify_backup(second, NO_SERVER, tmp_path, no_progress)
    assert verified.proof is Proof.CONTENTS
    with pytest.raises(SetupError, match="no older backup was removed"):
        keep_newest(second, verified, 1)
    assert first.exists()


def test_the_command(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", str(store.engine.url))
    monkeypatch.setenv("DATA_SOURCE", "paper")
    folder = tmp_path / "data" / "backups"
    for night in range(3):
        taken(store, folder, night)

    def shown(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["backup", "create", *arguments])
        assert end.value.code == 0
        return capsys.readouterr().out

    assert "2 backups kept, 2 removed" in shown("--keep", "2")
    document = json.loads(shown(str(tmp_path / "another.db"), "--keep", "3", "--json"))
    assert document["kept"] == [str(tmp_path / "another.db")]
    assert document["removed"] == document["unusable"] == []
