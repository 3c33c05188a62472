"""A dump is in use when its rows were compared, and leaves no scratch database behind."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from effort import PATIENCE_SECONDS
from sample_rows import fill
from servers import database_on
from sqlalchemy import text

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import SetupError, StoreRefused
from data_fetch.core.world import World
from data_fetch.services.backup import Proof, create_backup, restore_backup, verify_backup
from data_fetch.storage.backups.scratch_databases import (
    PREFIX,
    drop_abandoned,
    in_autocommit,
    scratch_database,
)
from data_fetch.storage.copy import closing_engine
from data_fetch.storage.database.engine import engine_for
from data_fetch.storage.database.progress import no_progress
from data_fetch.storage.database.store import Store, open_store

AT = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
DATABASES = text("SELECT datname FROM pg_database WHERE starts_with(datname, :prefix)")
CHECKING = """
import sys
from data_fetch.storage.backups.scratch_databases import scratch_database
from data_fetch.storage.database.engine import engine_for

with scratch_database(engine_for(sys.argv[1])) as url:
    print(url.database, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with closing(open_store(postgres_url, World.PAPER)) as store:
        fill(store, range(3))
        yield store


@pytest.fixture
def backup(store: Store, tmp_path: Path) -> Path:
    return create_backup(store, tmp_path, VirtualClock(AT), no_progress)[0]


@pytest.fixture
def new_url(postgres_server: str) -> Iterator[str]:
    with database_on(postgres_server) as url:
        yield url


def url_of(store: Store) -> str:
    return store.engine.url.render_as_string(hide_password=False)


def scratch_databases(store: Store) -> set[str]:
    with store.reading() as connection:
        return set(connection.scalars(DATABASES, {"prefix": PREFIX}))


def with_other_digest(file: Path) -> None:
    record = file.with_name(f"{file.name}.json")
    document = json.loads(record.read_text())
    document["tables"]["ltp_data"]["digest"] = "0" * 32
    record.write_text(json.dumps(document))


class Interrupted(Exception):
    """The restore ends here."""


def interrupting(*_: object) -> None:
    raise Interrupted


def restore(file: Path, url: str) -> None:
    restore_backup(file, url, World.PAPER, file.parent, no_progress)


def test_rows_that_are_not_those_of_the_backup_are_not_used(backup: Path, new_url: str) -> None:
    honest = backup.with_name(f"{backup.name}.json").read_text()
    with_other_digest(backup)
    with pytest.raises(StoreRefused, match="ltp_data has other values"):
        restore(backup, new_url)
    with pytest.raises(SetupError, match="restore into this database has not ended"):
        open_store(new_url, World.PAPER)

    backup.with_name(f"{backup.name}.json").write_text(honest)
    restore(backup, new_url)
    open_store(new_url, World.PAPER).close()


def test_a_restore_that_ended_before_the_comparison_is_not_used(backup: Path, new_url: str) -> None:
    """`pg_restore` has committed; the rows are being read."""
    with pytest.raises(Interrupted):
        restore_backup(backup, new_url, World.PAPER, backup.parent, interrupting)
    with pytest.raises(SetupError, match="run `data-fetch backup restore` again"):
        open_store(new_url, World.PAPER)
    restore(backup, new_url)
    with closing(open_store(new_url, World.PAPER)) as restored, restored.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM ltp_data")) > 0


def test_of_two_restores_at_once_one_is_refused(backup: Path, new_url: str) -> None:
    refused = []

    def beside(*_: object) -> None:
        if not refused:
            with pytest.raises(SetupError, match="another restore") as refusal:
                restore(backup, new_url)
            refused.append(refusal)

    restore_backup(backup, new_url, World.PAPER, backup.parent, beside)
    assert refused


def test_a_killed_check_leaves_a_database_to_the_next_one(store: Store, backup: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-c", CHECKING, url_of(store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout is not None
    left = killed.stdout.readline().strip()
    assert left in scratch_databases(store)
    assert left not in drop_abandoned(store.engine), "it is in use"
    killed.kill()
    killed.communicate(timeout=PATIENCE_SECONDS)

    assert verify_backup(backup, url_of(store), backup.parent, no_progress).proof is Proof.RESTORED
    assert left not in scratch_databases(store)


def test_databases_in_use_and_of_others_stay(store: Store, postgres_server: str) -> None:
    """Also beside a check that is configured with another database of the server."""
    foreign = f"{PREFIX}notes"
    in_autocommit(store.engine, f"CREATE DATABASE {foreign}")
    try:
        with (
            database_on(postgres_server) as other_url,
            closing_engine(engine_for(other_url)) as other,
        ):
            with scratch_database(other) as used:
                assert used.database not in drop_abandoned(store.engine)
                assert {used.database, foreign} <= scratch_databases(store)
            assert used.database not in scratch_databases(store)
    finally:
        in_autocommit(store.engine, f"DROP DATABASE {foreign}")
