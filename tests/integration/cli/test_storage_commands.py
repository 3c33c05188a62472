"""`data-fetch db`, and PostgreSQL's first set-up."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sample_rows import fill
from servers import database_on
from sqlalchemy import make_url

from data_fetch.cli.main import main
from data_fetch.core.errors import SetupError, StoreUnreachable
from data_fetch.core.world import World
from data_fetch.runtime.database_setup import postgres_config
from data_fetch.storage.database import revisions
from data_fetch.storage.database.engine import engine_for
from data_fetch.storage.database.store import open_store

Run = Callable[..., dict[str, object]]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "POSTGRES_HOST", "DB_HOST", "UPSTOX_ACCESS_TOKEN", "DATA_SOURCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with --json and gives back its document."""

    def command(*arguments: str) -> dict[str, object]:
        with pytest.raises(SystemExit) as end:
            main(["db", *arguments, "--json"])
        assert end.value.code == 0
        document: dict[str, object] = json.loads(capsys.readouterr().out)
        return document

    return command


@pytest.fixture
def missing_database_url(postgres_server: str) -> Iterator[str]:
    """The URL of a database that a reachable server does not have yet."""
    with database_on(postgres_server) as url:
        pass
    yield url
    parsed = make_url(url)
    with database_on(postgres_server) as neighbour:
        drop(neighbour, parsed.database or "")


def drop(connect_to: str, name: str) -> None:
    engine = engine_for(connect_to)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    engine.dispose()


def test_upgrade_makes_the_embedded_store_where_one_stands(run: Run, tmp_path: Path) -> None:
    head = revisions.head()

    assert run("upgrade")["to"] == head
    assert (tmp_path / "data" / "paper.db").is_file()
    assert run("upgrade")["from"] == head


def test_current_tells_and_makes_nothing(run: Run, tmp_path: Path) -> None:
    found = run("current")

    assert found["revision"] is None
    assert found["up_to_date"] is False
    assert not (tmp_path / "data" / "paper.db").exists()
    run("upgrade")
    assert run("current")["up_to_date"] is True


def test_upgrade_creates_the_postgresql_database_too(
    run: Run, missing_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", missing_database_url)

    done = run("upgrade")

    assert (done["created"], done["from"], done["to"]) == (True, None, revisions.head())
    assert run("upgrade")["created"] is False


def test_copy_prints_rows_and_digest_of_each_table(
    run: Run, sqlite_url: str, postgres_url: str
) -> None:
    store = open_store(sqlite_url, World.PAPER)
    fill(store, range(3))
    store.close()

    tables = run("copy", sqlite_url, postgres_url)["tables"]

    assert isinstance(tables, dict)
    assert tables["ltp_data"]["rows"] == 3
    assert len(tables["ltp_data"]["digest"]) == 32


def test_merge_counts_what_changed(run: Run, sqlite_url: str, postgres_url: str) -> None:
    store = open_store(sqlite_url, World.PAPER)
    with store.writing():
        pass
    store.close()

    merged = run("merge", sqlite_url, postgres_url)

    assert merged["changed"] == dict.fromkeys(
        [
            "instruments",
            "instrument_lineage",
            "ltp_data",
            "candles",
            "candle_revisions",
            "coverage",
            "coverage_revisions",
            "lineage_revisions",
            "sync_runs",
            "data_sync_status",
            "instrument_terms",
            "instrument_masters",
            "auction_days",
            "symbol_config",
            "chain_receipts",
            "chain_snapshots",
            "option_chain_data",
            "chain_summary",
            "feed_disconnects",
        ],
        0,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        pytest.param(["merge", "sqlite:///a.db", "sqlite:///a.db"], 2, "into itself", id="itself"),
        pytest.param(["merge", "sqlite:///a.db", "mysql://x/y"], 2, "mysql", id="unknown kind"),
        pytest.param(
            ["merge", "postgresql://a:s3cret@127.0.0.1:9/x", "sqlite:///a.db"],
            4,
            "does not answer",
            id="no server",
        ),
    ],
)
def test_a_refusal_says_why_and_shows_no_password(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["db", *arguments])

    printed = capsys.readouterr()
    assert end.value.code == status
    assert message in printed.err
    assert "s3cret" not in printed.err + printed.out


def test_people_are_told_what_was_done_and_what_is_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["upgrade"], ["current"]):
        with pytest.raises(SystemExit):
            main(["db", *arguments])

    message = capsys.readouterr().out
    assert f"from nothing to revision {revisions.head()}" in message
    assert "Next: data-fetch run" in message


def test_the_documented_call_sets_postgresql_up(
    missing_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", missing_database_url)

    first = postgres_config.setup_postgres_for_data_collection()
    second = postgres_config.setup_postgres_for_data_collection()

    head = revisions.head()
    assert (first.database_created, first.revision_before, first.revision) == (True, None, head)
    assert (second.database_created, second.revision_before) == (False, head)


def test_set_up_without_postgresql_says_what_to_set() -> None:
    with pytest.raises(SetupError, match="DATABASE_URL=postgresql://"):
        postgres_config.setup_postgres_for_data_collection()


def test_set_up_with_a_server_that_is_down_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://a:s3cret@127.0.0.1:9/market")

    with pytest.raises(StoreUnreachable, match="does not answer"):
        postgres_config.setup_postgres_for_data_collection()


def test_the_migrations_of_an_installed_package_are_found(tmp_path: Path) -> None:
    """A wheel carries them inside the package."""
    installed = tmp_path / "site-packages" / "data_fetch"
    packaged = installed / "packaged" / "alembic"
    shutil.copytree(revisions.scripts_folder(), packaged)

    assert revisions.scripts_folder(installed) == packaged


def test_an_installation_without_migrations_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Install data-fetch again"):
        revisions.scripts_folder(tmp_path / "data_fetch")


def backed_up(*arguments: str, status: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        main(["backup", *arguments])
    assert end.value.code == status


def test_a_store_is_backed_up_verified_and_restored(
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = open_store(sqlite_url, World.PAPER)
    fill(store, range(3))
    store.close()
    monkeypatch.setenv("DATABASE_URL", sqlite_url)

    backed_up("create", "kept/tonight.db")
    assert "Wrote kept/tonight.db: " in capsys.readouterr().out
    backed_up("verify", "kept/tonight.db")
    shown = capsys.readouterr()
    assert "every row was read" in shown.out
    assert "3 files of the archive, whose days are not in the backup" in shown.err

    backed_up("restore", "kept/tonight.db", status=2)
    assert "has rows already" in capsys.readouterr().err
    backed_up("restore", "kept/tonight.db", "--to", f"sqlite:///{tmp_path / 'new.db'}")
    assert "every row is equal" in capsys.readouterr().out
    backed_up("verify", "kept/tonight.db", "--json")
    document = json.loads(capsys.readouterr().out)
    assert document["proof"] == "read"
    assert len(document["missing_archive_files"]) == 3
