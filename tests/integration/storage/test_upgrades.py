"""Upgrades of the schema: beside programs that use it, and with rows of every earlier revision."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from effort import PATIENCE_SECONDS
from sqlalchemy import Connection, Engine, MetaData, Table, select
from sqlalchemy.types import JSON, Boolean, Date, DateTime, Float, Integer, Numeric

from data_fetch import PACKAGE_FOLDER
from data_fetch.core.errors import SchemaDiffers, StoreBusy, StoreUnreachable
from data_fetch.core.world import World
from data_fetch.storage.database import migrations
from data_fetch.storage.database.engine import engine_for, reading, writing
from data_fetch.storage.database.layouts import Layout
from data_fetch.storage.database.revisions import current, head, known_revisions
from data_fetch.storage.database.store import Store, open_store

CHECKOUT = PACKAGE_FOLDER.parent

pytestmark = pytest.mark.filterwarnings(
    "ignore:Skipped unsupported reflection of expression-based index"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(migrations, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    store = open_store(postgres_url, World.PAPER)
    yield store
    store.close()


@pytest.fixture
def upgrading(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store whose upgrade has begun, and lasts."""
    begun, over = Event(), Event()

    def last(*_: object) -> None:
        begun.set()
        over.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(migrations, "lay_out_empty", last)
    with ThreadPoolExecutor(1) as pool:
        upgrade = pool.submit(migrations.upgrade, store.engine)
        assert begun.wait(PATIENCE_SECONDS)
        yield store
        over.set()
        upgrade.result(PATIENCE_SECONDS)


def to(engine: Engine, verb: str, revision: str) -> None:
    with writing(engine) as connection:
        config = Config(CHECKOUT / "alembic.ini", attributes={"connection": connection})
        getattr(command, verb)(config, revision)


# --- beside programs that use it --------------------------------------------------------------


def test_an_upgrade_lets_no_transaction_of_a_store_begin(upgrading: Store) -> None:
    with pytest.raises(StoreUnreachable, match="is being upgraded"), upgrading.writing():
        pytest.fail("it was let in")


def test_an_upgrade_waits_for_those_that_have_begun(store: Store) -> None:
    reports: list[str] = []
    waits = Event()

    def report(message: str) -> None:
        reports.append(message)
        waits.set()

    with ThreadPoolExecutor(1) as pool:
        with store.writing():
            upgrade = pool.submit(migrations.upgrade, store.engine, report=report)
            assert waits.wait(PATIENCE_SECONDS)
            assert not upgrade.done()
        assert upgrade.result(PATIENCE_SECONDS) == (head(), head())
    assert reports == [
        "Another program upgrades the schema, or writes. Waiting for its transaction."
    ]


def test_a_store_of_an_older_revision_that_is_being_upgraded(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_for(postgres_url)
    to(engine, "downgrade", "-1")
    with writing(engine) as other:
        migrations.take_turn(other, print)
        with pytest.raises(StoreUnreachable, match="is being upgraded"):
            open_store(postgres_url, World.PAPER)

    with pytest.raises(SchemaDiffers, match="data-fetch db upgrade"):
        open_store(postgres_url, World.PAPER)
    engine.dispose()


def test_a_process_of_an_older_version_writes_nothing_into_a_newer_schema(store: Store) -> None:
    with writing(store.engine) as newer:
        newer.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaDiffers, match="revision 9999") as refused, store.writing():
        pytest.fail("it was let in")

    assert "newer version" in refused.value.hint


def test_a_reader_delays_an_upgrade_and_is_not_waited_for_long(postgres_url: str) -> None:
    """What comes after the upgrade would queue behind it."""
    engine = engine_for(postgres_url)
    to(engine, "downgrade", "0003")
    reader = engine.connect()
    reader.exec_driver_sql("LOCK TABLE sync_runs IN ACCESS SHARE MODE")
    reports: list[str] = []

    def report(message: str) -> None:
        reports.append(message)
        if len(reports) == 2:
            reader.close()

    assert migrations.upgrade(engine, Layout.PLAIN, report) == ("0003", head())

    assert [message[:26] for message in reports] == ["Nothing is changed yet: th"] * 2
    engine.dispose()


def test_an_upgrade_that_others_never_let_in_changes_nothing(postgres_url: str) -> None:
    engine = engine_for(postgres_url)
    to(engine, "downgrade", "0003")
    with engine.connect() as reader:
        reader.exec_driver_sql("LOCK TABLE sync_runs IN ACCESS SHARE MODE")
        with pytest.raises(StoreBusy, match="a lock that another program has"):
            migrations.upgrade(engine)
    assert current(engine) == "0003"
    engine.dispose()


def test_of_two_upgrades_at_once_one_has_nothing_to_do(database_url: str) -> None:
    engines = [engine_for(database_url) for _ in range(2)]
    to(engines[0], "downgrade", "base")

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(migrations.upgrade, engines, [Layout.PLAIN] * 2))

    assert sorted(done, key=str) == [(head(), head()), (None, head())]
    for engine in engines:
        engine.dispose()


# --- rows of every earlier revision -----------------------------------------------------------

# What a revision rewrites; tests of its own are in test_storage_schema.
REWRITTEN = {
    "0004": {("data_sync_status", "status")},
    "0015": {("chain_summary", "inputs"), ("chain_summary", "build_up")},
}
ROWS = 3


def test_rows_of_every_earlier_revision_are_kept(engine: Engine) -> None:
    """Each revision finds rows in every table, of all revisions before it."""
    to(engine, "downgrade", "base")
    for number, revision in enumerate(reversed(known_revisions())):
        before = contents(engine)

        to(engine, "upgrade", revision)

        after = contents(engine)
        assert before.keys() <= after.keys()
        for name, rows in before.items():
            same = {
                column
                for column in set(rows[0]) & set(after[name][0])
                if (name, column) not in REWRITTEN.get(revision, ())
            }
            assert restricted(rows, same) == restricted(after[name], same), (revision, name)
        add_rows(engine, number)


def add_rows(engine: Engine, number: int) -> None:
    """Rows in every table as the database has it now; each revision has values of its own."""
    with writing(engine) as connection:
        for of in tables_of(connection):
            rows = [
                {column.name: value_of(column.type, number * ROWS + n) for column in of.columns}
                for n in range(ROWS)
            ]
            connection.execute(of.insert(), rows)


def value_of(kind: Any, number: int) -> Any:
    match kind:
        case Boolean():
            return number % 2 == 0
        case Date():
            return date(2026, 9, 1) + timedelta(days=number)
        case DateTime():
            return datetime(2026, 9, 1, tzinfo=UTC) + timedelta(minutes=number)
        case JSON():
            return {}
        case Integer() | Float() | Numeric():
            return number
    return f"text {number}"


def tables_of(connection: Connection) -> list[Table]:
    found = MetaData()
    found.reflect(connection)
    return [of for of in found.sorted_tables if of.name != "alembic_version"]


def contents(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table that has some."""
    with reading(engine) as connection:
        read = {
            of.name: [dict(row) for row in connection.execute(select(of)).mappings()]
            for of in tables_of(connection)
        }
    return {name: rows for name, rows in read.items() if rows}


def restricted(rows: list[dict[str, Any]], columns: set[str]) -> list[str]:
    return sorted(str([(name, row[name]) for name in sorted(columns)]) for row in rows)
