"""`status` and `doctor` show how a store has its large tables."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from data_fetch.cli.main import main
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.layout_status import StoreLayout, configured_layout
from data_fetch.storage.database.layouts import Layout
from data_fetch.storage.database.store import open_store

LINES = [
    (StoreLayout("sqlite", Layout.PLAIN, Layout.PLAIN), False, "SQLite, plain tables"),
    (
        StoreLayout("postgresql", Layout.PLAIN, Layout.PARTITIONS),
        True,
        "PostgreSQL, plain tables; it can have native partitions",
    ),
    (
        StoreLayout("postgresql", Layout.PARTITIONS, Layout.PARTITIONS),
        False,
        "PostgreSQL, native partitions",
    ),
    (
        StoreLayout("postgresql", Layout.PARTITIONS, Layout.HYPERTABLES),
        False,
        "PostgreSQL, native partitions; it can have compressed hypertables of TimescaleDB",
    ),
    (
        StoreLayout("postgresql", Layout.HYPERTABLES, Layout.HYPERTABLES),
        False,
        "PostgreSQL, compressed hypertables of TimescaleDB",
    ),
]


@pytest.mark.parametrize(("found", "is_dated", "line"), LINES, ids=lambda each: str(each)[:60])
def test_lines(found: StoreLayout, is_dated: bool, line: str) -> None:
    assert found.line == line
    assert found.is_dated is is_dated


URLS = {"sqlite_url": "plain", "postgres_url": "plain", "partitioned_url": "partitions"}


@pytest.mark.parametrize(("fixture", "tables"), URLS.items(), ids=URLS)
def test_status(
    fixture: str,
    tables: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = request.getfixturevalue(fixture)
    with closing(open_store(url, World.PAPER)) as store, store.writing():
        pass
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("DATA_SOURCE", "paper")
    with pytest.raises(SystemExit):
        main(["status", "--json"])
    shown = json.loads(capsys.readouterr().out)["layout"]
    found = configured_layout(
        Settings.load({"DATABASE_URL": url, "DATA_SOURCE": "paper"}, tmp_path)
    )
    assert shown == found.document()
    assert shown["tables"] == tables
    assert shown["database"] == ("sqlite" if fixture == "sqlite_url" else "postgresql")
    with pytest.raises(SystemExit):
        main(["status"])
    assert f"Layout  {found.line}\n" in capsys.readouterr().out
