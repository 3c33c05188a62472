"""Migrations and models agree, and the schema of a store is created, upgraded or rejected."""

import re
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, Float, Integer, Numeric, TableClause, inspect, select, text
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.exc import IntegrityError

from data_fetch import PACKAGE_FOLDER
from data_fetch.core.errors import SetupError, StoreUnreachable
from data_fetch.core.world import World
from data_fetch.storage.database import migrations, revisions
from data_fetch.storage.database.engine import engine_for, reading, redacted, writing
from data_fetch.storage.database.store import open_store
from data_fetch.storage.database.tables import Base

CHECKOUT = PACKAGE_FOLDER.parent


def described(engine: Engine) -> dict[str, object]:
    """The schema by inspection of the database."""
    found = inspect(engine)
    return {
        name: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)],
            found.get_pk_constraint(name)["constrained_columns"],
            sorted(str((i["name"], i["column_names"])) for i in found.get_indexes(name)),
        )
        for name in found.get_table_names()
        if name != "alembic_version"
    }


def alembic(engine: Engine, verb: str, to: str) -> None:
    with writing(engine) as connection:
        config = Config(CHECKOUT / "alembic.ini", attributes={"connection": connection})
        getattr(command, verb)(config, to)


def test_models_and_migrations_agree(engine: Engine) -> None:
    with reading(engine) as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_down_and_up_again_leaves_the_same_schema(engine: Engine) -> None:
    before = described(engine)

    alembic(engine, "downgrade", "base")
    assert described(engine) == {}
    alembic(engine, "upgrade", "head")

    assert described(engine) == before


def test_keys_have_their_columns_in_the_order_of_the_models(engine: Engine) -> None:
    keys = {
        name: inspect(engine).get_pk_constraint(name)["constrained_columns"]
        for name in Base.metadata.tables
    }

    assert keys == {
        name: [column.name for column in described.primary_key]
        for name, described in Base.metadata.tables.items()
    }


def filled_row(engine: Engine, name: str, **facts: object) -> None:
    """A row of a table as the database has it, with any values in its other columns."""
    columns = inspect(engine).get_columns(name)
    values = {
        column["name"]: facts.get(column["name"], 1 if is_number(column["type"]) else "2026-09-16")
        for column in columns
    }
    if "details" in values:
        values["details"] = "{}"
    with writing(engine) as connection:
        connection.execute(untyped(name, *values).insert().values(values))


def untyped(name: str, *columns: str) -> TableClause:
    return sql_table(name, *map(sql_column, columns))


def is_number(kind: object) -> bool:
    return isinstance(kind, Integer | Numeric | Float)


def test_rows_survive_the_renaming_in_both_directions(engine: Engine) -> None:
    alembic(engine, "downgrade", "0003")
    filled_row(engine, "sync_runs", set_aside=3)
    filled_row(engine, "chain_snapshots", set_aside=4)
    filled_row(engine, "data_sync_status", symbol="TCS", status="set_aside")
    filled_row(engine, "data_sync_status", symbol="INFY", status="ok")

    def found(column: str) -> list[object]:
        statuses = untyped("data_sync_status", "symbol", "status").c
        queries = [
            *(select(untyped(name, column).c[column]) for name in ("sync_runs", "chain_snapshots")),
            select(statuses.status).order_by(statuses.symbol),
        ]
        with reading(engine) as connection:
            return [value for query in queries for value in connection.scalars(query)]

    alembic(engine, "upgrade", "head")
    assert found("rejected") == [3, 4, "ok", "rejected"]
    alembic(engine, "downgrade", "0003")
    assert found("set_aside") == [3, 4, "ok", "set_aside"]


def test_figures_may_be_unknown_in_a_store_that_has_rows(engine: Engine) -> None:
    figures = {"ltp_data": "volume", "candles": "oi", "candle_revisions": "oi"}
    flags = {"is_final": True, "off_session": False}
    alembic(engine, "downgrade", "0005")
    for name in figures:
        filled_row(engine, name, instrument_key="before", symbol="BEFORE", **flags)

    alembic(engine, "upgrade", "head")
    for name, column in figures.items():
        facts = {column: None, "instrument_key": "after", "symbol": "AFTER"}
        filled_row(engine, name, **facts, **flags)

    def found(name: str) -> list[object]:
        of = untyped(name, "instrument_key", figures[name]).c
        query = select(of[figures[name]]).order_by(of.instrument_key)
        with reading(engine) as connection:
            return list(connection.scalars(query))

    assert [found(name) for name in figures] == [[None, 1]] * 3
    if engine.dialect.name == "sqlite":
        with reading(engine) as connection:
            assert connection.execute(text("PRAGMA integrity_check")).all() == [("ok",)]
    alembic(engine, "downgrade", "0005")
    assert [found(name) for name in figures] == [[0, 1]] * 3
    with pytest.raises(IntegrityError):
        filled_row(engine, "candles", oi=None, instrument_key="later", **flags)


def test_dates_of_masters_and_eligibility_follow_from_stored_instruments(engine: Engine) -> None:
    alembic(engine, "downgrade", "0004")
    for key, eligible, last_seen in (("A", True, "2026-09-16"), ("B", False, "2026-09-17")):
        filled_row(
            engine,
            "instruments",
            instrument_key=key,
            segment="NSE_EQ",
            cas_eligible=eligible,
            first_seen="2026-09-15",
            last_seen=last_seen,
        )
        filled_row(engine, "instrument_terms", instrument_key=key, effective_from="2026-09-15")
    filled_row(
        engine,
        "instruments",
        instrument_key="C",
        segment="NSE_FO",
        cas_eligible=False,
        first_seen="2026-09-14",
    )

    alembic(engine, "upgrade", "head")

    terms = untyped("instrument_terms", "instrument_key", "cas_eligible").c
    masters = untyped("instrument_masters", "as_of").c
    with reading(engine) as connection:
        rows = connection.execute(select(terms.instrument_key, terms.cas_eligible)).all()
        dates = sorted(map(str, connection.scalars(select(masters.as_of))))
    assert {key: bool(eligible) for key, eligible in rows} == {"A": True, "B": False}
    assert dates == ["2026-09-15", "2026-09-16", "2026-09-17"]


def test_plain_alembic_works_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'made' / 'here.db'}")

    command.upgrade(Config(CHECKOUT / "alembic.ini"), "head")

    engine = engine_for(f"sqlite:///{tmp_path / 'made' / 'here.db'}")
    assert revisions.current(engine) == revisions.head()
    engine.dispose()


def test_a_sqlite_store_is_created_with_its_folder(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'data' / 'paper.db'}", World.PAPER)

    assert revisions.current(store.engine) == revisions.head()
    store.close()


def test_an_empty_postgresql_database_gets_the_schema(empty_postgres_url: str) -> None:
    store = open_store(empty_postgres_url, World.PAPER)

    assert revisions.current(store.engine) == revisions.head()
    store.close()


def test_an_old_postgresql_schema_is_not_upgraded_unasked(postgres_url: str) -> None:
    engine = engine_for(postgres_url)
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    engine.dispose()

    with pytest.raises(SetupError, match="data-fetch db upgrade"):
        open_store(postgres_url, World.PAPER)


def test_a_newer_schema_is_refused(database_url: str) -> None:
    engine = engine_for(database_url)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SetupError, match="newer data-fetch"):
        open_store(database_url, World.PAPER)
    with pytest.raises(SetupError, match="newer data-fetch"):
        migrations.upgrade(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("mongodb://localhost/market", "MongoDB", id="MongoDB"),
        pytest.param("mysql://localhost/market", "mysql", id="another database"),
        pytest.param("postgresql+asyncpg://localhost/market", "asyncpg", id="another driver"),
        pytest.param("sqlite://", "names no file", id="SQLite in memory"),
        pytest.param("nonsense", "not a database URL", id="no URL"),
    ],
)
def test_an_unsupported_url_is_rejected_with_the_supported_ones(url: str, message: str) -> None:
    with pytest.raises(SetupError, match=message) as refusal:
        engine_for(url)
    assert "postgresql://user:password@host:5432/database" in str(refusal.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_the_postgresql_driver_is_named(scheme: str) -> None:
    engine = engine_for(f"{scheme}://someone@localhost/market")

    assert engine.url.drivername == "postgresql+psycopg2"


def test_a_postgresql_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnreachable) as refusal:
        open_store("postgresql://someone:s3cret@127.0.0.1:9/market", World.PAPER)

    assert "someone:***@127.0.0.1:9/market" in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no database at all, but long enough to be read as one" * 9)

    with pytest.raises(SetupError, match="cannot be used as a store"):
        open_store(f"sqlite:///{tmp_path / 'notes.db'}", World.PAPER)


def test_a_redacted_url_shows_everything_but_the_password() -> None:
    assert redacted("postgresql://a:b@h:1/d") == "postgresql://a:***@h:1/d"
    in_the_query = "postgresql://a@h/d?password=b&sslmode=require&sslpassword=c"
    assert redacted(in_the_query) == "postgresql://a@h/d?sslmode=require"
    assert redacted("nonsense") == "(not a database URL)"
    assert redacted("postgresql://u:p@host:port/d") == "(not a database URL)"
    assert redacted("postgresql://u:S3cret@Tail99@h/d") == "(not a database URL)"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://user:S3cret@host:port/database", "is not a database URL"),
        ("postgresql://user:S3cret@[::1/db", "is not a database URL"),
        ("postgresql://u:S3cret@Tail99@127.0.0.1:5432/x", "has more than one @"),
        ("postgresql://u:S3cret@Tail99/x@127.0.0.1:5432/x", "has more than one @"),
        ("postgresql://u:S3cret@Tail99:y@127.0.0.1:5432/x", "@"),
        ("market.db", "is not a database URL"),
        ("postgres:/x", "is not a database URL"),
        ("mysql://u:S3cret@h/d", "are not known"),
        ("postgresql+asyncpg://u:S3cret@h/d", "are not known"),
        ("sqlite://", "names no file"),
        ("sqlite://folder/file.db", "SQLite"),
        ("sqlite:////dev/null", "is no file"),
        ("sqlite:////", "is no file"),
        ("postgresql://u:S3cret@h:99999/d", "port"),
        ("postgresql://u:S3cret@h/d?sslmod=require", "sslmod"),
    ],
)
def test_a_url_of_no_database_of_ours_is_refused_with_the_accepted_ones(url: str, why: str) -> None:
    with pytest.raises(SetupError, match=re.escape(why)) as refusal:
        open_store(url, World.PAPER)

    assert "Accepted are sqlite:///folder/file.db and postgresql://" in str(refusal.value)
    assert not {"S3cret", "Tail99"} & set(re.split(r"\W", str(refusal.value)))


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:a@b@h/d", "postgresql://u:a@b:c@h/d", "postgresql://u:a/b@c@h/d"],
)
def test_an_at_in_a_password_is_explained(url: str) -> None:
    with pytest.raises(SetupError, match="write @ as %40"):
        engine_for(url)


def test_sqlite_is_opened_for_many_readers_and_one_writer(sqlite_url: str) -> None:
    engine = engine_for(sqlite_url)
    with reading(engine) as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 1
        assert connection.scalar(text("PRAGMA busy_timeout")) == 10_000
    engine.dispose()


def test_a_postgresql_session_is_in_utc(postgres_url: str) -> None:
    engine = engine_for(postgres_url)
    with reading(engine) as connection:
        assert connection.scalar(text("SHOW TIME ZONE")) == "UTC"
    engine.dispose()


def test_a_folder_that_cannot_be_made_is_named_with_all_that_needs_it(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in its place")

    with pytest.raises(SetupError, match="cannot be created") as refusal:
        engine_for(f"sqlite:///{tmp_path / 'data' / 'paper.db'}")

    assert str(tmp_path / "data") in refusal.value.message
    assert "logs, the instrument master and the paper clock need it" in refusal.value.hint
