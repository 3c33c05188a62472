"""Queries written for the older collector of option chains run on views under its names."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config
from chain_shelf import EXPIRY, NEXT_EXPIRY, chain, keep, minute, received
from query_plans import whole_tables
from servers import pooler_for
from sqlalchemy import Engine, inspect, make_url, select, text
from sqlalchemy.exc import DBAPIError

from data_fetch import PACKAGE_FOLDER
from data_fetch.core.chains.chains import ChainLeg, ChainSource, OptionType, QuantityUnit
from data_fetch.core.chains.symbol_config import SymbolConfig
from data_fetch.core.errors import DataFetchError
from data_fetch.core.world import World
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.database.engine import engine_for, reading, writing
from data_fetch.storage.database.migrations import upgrade
from data_fetch.storage.database.revisions import known_revisions
from data_fetch.storage.database.store import Store, open_store

pytestmark = pytest.mark.layouts

FORMER_COLUMNS = {
    "option_chain_data": "timestamp, symbol, instrument_key, expiry_date, strike_price, "
    "option_type, ltp, volume, oi, prev_oi, chg_oi, close_price, change, iv, delta, gamma, theta, "
    "vega, spot_price",
    "symbol_config": "symbol, instrument_key, is_active, refresh_interval_seconds, last_updated",
}
# How the queries are written in the documents of the older collector.
NEWEST_INSTANT = "SELECT MAX(timestamp) FROM option_chain_data WHERE symbol = 'NIFTY'"
LEGS_BY_SYMBOL = "SELECT symbol, COUNT(*) FROM option_chain_data GROUP BY symbol ORDER BY symbol"
NEWEST_CHAIN = (
    "SELECT strike_price, option_type, ltp FROM option_chain_data WHERE symbol = 'NIFTY' "
    "AND timestamp = (SELECT MAX(timestamp) FROM option_chain_data WHERE symbol = 'NIFTY') "
    "ORDER BY strike_price, option_type"
)
LAST_ROWS = (
    "SELECT timestamp, ltp FROM option_chain_data WHERE symbol = 'NIFTY' "
    "ORDER BY timestamp DESC LIMIT 2"
)
CALL, PUT = OptionType.CALL, OptionType.PUT
FIRST_WITH_CHAINS, BEFORE_THE_VIEWS = "0003", "0011"


def on_views(query: str, prefix: str) -> str:
    return re.sub("option_chain_data|symbol_config", lambda name: prefix + name[0], query)


def prefix_of(engine: Engine) -> str:
    return "optionchain_" if engine.dialect.name == "sqlite" else "optionchain."


def rows(engine: Engine, query: str) -> Sequence[Any]:
    with reading(engine) as connection:
        return connection.execute(text(on_views(query, prefix_of(engine)))).all()


def shown(engine: Engine, at: datetime) -> datetime | str:
    """An instant as the views have it: SQLite has no type for it."""
    return at if engine.dialect.name == "postgresql" else at.isoformat(" ", "microseconds")


def leg(strike: int, side: OptionType, ltp: float | None = 100.0, **facts: Any) -> ChainLeg:
    return ChainLeg(strike=Decimal(strike), option_type=side, ltp=ltp, **facts)


@pytest.fixture
def filled(store: Store) -> Store:
    """Two chains of NIFTY, the older one smaller; one of BANKNIFTY."""
    keep(
        store,
        received(chain(24000.0, leg(24000, CALL, 90.0)), minute(0)),
        received(
            chain(24010.0, leg(24000, CALL, 101.5), leg(24000, PUT, None), leg(24100, CALL)),
            minute(1),
        ),
        received(chain(52000.0, leg(52000, PUT), underlying="BANKNIFTY"), minute(2)),
    )
    return store


@pytest.mark.parametrize("view", FORMER_COLUMNS)
def test_the_former_columns_come_first_and_in_their_order(engine: Engine, view: str) -> None:
    with reading(engine) as connection:
        found = connection.execute(select(text("*")).select_from(text(prefix_of(engine) + view)))
        names = list(found.keys())

    former = FORMER_COLUMNS[view].split(", ")
    assert names[: len(former)] == former


def test_documented_queries_run_as_they_were_written(filled: Store) -> None:
    engine = filled.engine

    assert rows(engine, NEWEST_INSTANT) == [(shown(engine, minute(1)),)]
    assert rows(engine, LEGS_BY_SYMBOL) == [("BANKNIFTY", 1), ("NIFTY", 4)]
    assert rows(engine, NEWEST_CHAIN) == [
        (24000.0, "CE", 101.5),
        (24000.0, "PE", None),
        (24100.0, "CE", 100.0),
    ]
    assert {at for at, _ in rows(engine, LAST_ROWS)} == {shown(engine, minute(1))}


def test_on_postgresql_they_run_unchanged_with_a_search_path(postgres_url: str) -> None:
    with_path = make_url(postgres_url).update_query_dict({"options": "-csearch_path=optionchain"})
    engine = engine_for(with_path.render_as_string(hide_password=False))
    with reading(engine) as connection:
        assert connection.scalar(text(NEWEST_INSTANT)) is None
        assert connection.execute(text("SELECT is_active FROM symbol_config")).all() == []
    engine.dispose()


def test_instants_of_sqlite_are_text_that_its_functions_and_python_read(sqlite_url: str) -> None:
    at = datetime(2026, 9, 16, 3, 45, 0, 120_000, tzinfo=UTC)
    store = open_store(sqlite_url, World.PAPER)
    keep(store, received(chain(), at))

    [(found,)] = rows(store.engine, NEWEST_INSTANT)
    [(seconds,)] = rows(store.engine, "SELECT strftime('%s', timestamp) FROM option_chain_data")

    assert found == "2026-09-16 03:45:00.120000+00:00"
    assert datetime.fromisoformat(found) == at
    assert seconds == str(int(at.timestamp()))
    store.close()


UPSTOX = ChainSource.UPSTOX, QuantityUnit.SHARES
NSE = ChainSource.NSE, QuantityUnit.CONTRACTS
FIGURES = (
    "SELECT volume, oi, prev_oi, chg_oi, close_price, change, spot_price FROM option_chain_data"
)


@pytest.mark.parametrize(
    ("source", "unit", "facts", "lot", "figures"),
    [
        pytest.param(
            *UPSTOX,
            {"volume": 150.0, "oi": 75.0, "prev_oi": 225.0, "prev_close": 90.0},
            None,
            (150, 75, 225, -150, 90.0, 10.0, 24000.0),
            id="shares",
        ),
        pytest.param(
            *UPSTOX, {}, None, (None, None, None, None, None, None, 24000.0), id="unknown"
        ),
        pytest.param(
            *NSE,
            {"volume": 2.0, "oi": 3.0, "prev_oi": 1.0},
            75,
            (150, 225, 75, 150, None, None, 24000.0),
            id="contracts of a known lot",
        ),
        pytest.param(
            *NSE,
            {"volume": 2.0, "oi": 3.0, "prev_oi": 1.0},
            None,
            (None, None, None, None, None, None, 24000.0),
            id="contracts of an unknown lot",
        ),
    ],
)
def test_quantities_are_shares_and_what_is_unknown_is_null(
    store: Store,
    source: ChainSource,
    unit: QuantityUnit,
    facts: dict[str, Any],
    lot: int | None,
    figures: tuple[object, ...],
) -> None:
    of = chain(24000.0, leg(24000, CALL, **facts), unit=unit, source=source)
    keep(store, received(of, minute(0), lot_size=lot))

    assert rows(store.engine, FIGURES) == [figures]


def test_implied_volatility_is_percent(store: Store) -> None:
    keep(store, received(chain(24000.0, leg(24000, CALL, provider_iv=0.15)), minute(0)))
    with store.writing() as connection:
        connection.execute(text("UPDATE option_chain_data SET iv = 0.1525, delta = 0.5"))

    found = rows(store.engine, "SELECT iv, provider_iv, delta, gamma FROM option_chain_data")

    assert found == [(pytest.approx(15.25), pytest.approx(15.0), 0.5, None)]


def test_polled_symbols_have_their_former_columns(store: Store) -> None:
    nifty = SymbolConfig(symbol="NIFTY", instrument_key="NSE_INDEX|Nifty 50", refresh_seconds=60)
    SymbolConfigs(store).set(nifty, minute(3))

    assert rows(store.engine, "SELECT * FROM symbol_config") == [
        ("NIFTY", "NSE_INDEX|Nifty 50", True, 60, shown(store.engine, minute(3)))
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO option_chain_data (symbol) VALUES ('NIFTY')",
        "UPDATE option_chain_data SET symbol = 'NIFTY'",
        "DELETE FROM option_chain_data",
        "INSERT INTO symbol_config (symbol) VALUES ('NIFTY')",
        "UPDATE symbol_config SET symbol = 'NIFTY'",
        "DELETE FROM symbol_config",
    ],
)
def test_views_are_read_only(engine: Engine, statement: str) -> None:
    refused = pytest.raises((DBAPIError, DataFetchError), match="view")
    with refused, writing(engine) as connection:
        connection.execute(text(on_views(statement, prefix_of(engine))))


def many_snapshots(store: Store) -> None:
    """Thousands of legs under two expiries, copied from one chain within the database."""
    legs = [leg(24000 + 50 * number, CALL) for number in range(10)]
    keep(store, *(received(chain(1.0, *legs, expiry=day), minute(0)) for day in DAYS))
    minutes = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
    later = (
        "timestamp + i * 60000000"
        if store.engine.dialect.name == "sqlite"
        else "timestamp + i * INTERVAL '1 minute'"
    )
    with store.writing() as connection:
        for name in ("chain_snapshots", "option_chain_data"):
            columns = [each["name"] for each in inspect(connection).get_columns(name)]
            values = [later if each == "timestamp" else each for each in columns]
            connection.execute(
                text(
                    f"INSERT INTO {name} ({', '.join(columns)}) {minutes}"  # noqa: S608
                    f"SELECT {', '.join(values)} FROM {name}, n"
                )
            )


DAYS = (EXPIRY, NEXT_EXPIRY)


@pytest.mark.parametrize("query", [NEWEST_INSTANT, NEWEST_CHAIN, LAST_ROWS])
@pytest.mark.parametrize("analysed", [True, False], ids=["with statistics", "without"])
def test_the_newest_of_a_symbol_is_found_by_index(store: Store, query: str, analysed: bool) -> None:
    many_snapshots(store)
    sqlite = store.engine.dialect.name == "sqlite"
    if analysed:
        with store.writing() as connection:
            connection.execute(text("ANALYZE"))

    explained = f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{query}"
    plan = "\n".join(str(line[-1]) for line in rows(store.engine, explained))

    assert "ix_optionchain_newest" in plan
    # Whole tables, and all the legs of the symbol, would be thousands of rows.
    assert whole_tables(plan) == []
    assert "SCAN" not in plan
    assert "SEARCH legs USING PRIMARY KEY (underlying=?)" not in plan


# --- upgrading --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "revision",
    [each for each in known_revisions() if FIRST_WITH_CHAINS <= each <= BEFORE_THE_VIEWS],
)
def test_a_store_of_any_revision_with_chains_gets_the_views(filled: Store, revision: str) -> None:
    engine = filled.engine
    with writing(engine) as connection:
        config = Config(
            PACKAGE_FOLDER.parent / "alembic.ini", attributes={"connection": connection}
        )
        command.downgrade(config, revision)

    upgrade(engine)

    assert rows(engine, LEGS_BY_SYMBOL) == [("BANKNIFTY", 1), ("NIFTY", 4)]


@pytest.fixture
def plain_role_url(empty_postgres_url: str) -> Iterator[str]:
    """An empty database as a role sees it that may create tables, but no schema."""
    name = f"views_{uuid4().hex[:12]}"
    administrate(empty_postgres_url, f"CREATE ROLE {name} LOGIN")
    administrate(empty_postgres_url, f"GRANT ALL ON SCHEMA public TO {name}")
    yield make_url(empty_postgres_url).set(username=name).render_as_string(hide_password=False)
    administrate(empty_postgres_url, f"DROP OWNED BY {name}")
    administrate(empty_postgres_url, f"DROP ROLE {name}")


def administrate(url: str, statement: str) -> None:
    engine = engine_for(url)
    with writing(engine) as connection:
        connection.execute(text(statement))
    engine.dispose()


def views_of(url: str) -> set[str]:
    """The views that an upgrade creates there; they are gone after the downgrade."""
    engine = engine_for(url)
    upgrade(engine)
    found = inspect(engine)
    schemas = [each for each in found.get_schema_names() if each in {"public", "optionchain"}]
    views = {f"{each}.{name}" for each in schemas for name in found.get_view_names(each)}
    with writing(engine) as connection:
        config = Config(
            PACKAGE_FOLDER.parent / "alembic.ini", attributes={"connection": connection}
        )
        command.downgrade(config, "base")
    engine.dispose()
    return views


IN_SCHEMA = {"optionchain.option_chain_data", "optionchain.symbol_config"}
WITH_PREFIX = {"public.optionchain_option_chain_data", "public.optionchain_symbol_config"}


def test_a_role_that_may_create_schemas_has_the_views_in_one(empty_postgres_url: str) -> None:
    assert views_of(empty_postgres_url) == IN_SCHEMA
    assert views_of(empty_postgres_url) == IN_SCHEMA


def test_a_role_that_may_create_no_schema_has_the_views_beside_its_tables(
    plain_role_url: str,
) -> None:
    assert views_of(plain_role_url) == WITH_PREFIX


def test_the_schema_may_be_created_by_an_administrator(
    plain_role_url: str, empty_postgres_url: str
) -> None:
    role = make_url(plain_role_url).username
    administrate(empty_postgres_url, f"CREATE SCHEMA optionchain AUTHORIZATION {role}")

    assert views_of(plain_role_url) == IN_SCHEMA


def test_a_schema_with_tables_of_the_older_collector_stays_as_it_is(
    empty_postgres_url: str,
) -> None:
    administrate(empty_postgres_url, "CREATE SCHEMA optionchain")
    administrate(empty_postgres_url, "CREATE TABLE optionchain.symbol_config (symbol text)")

    assert views_of(empty_postgres_url) == WITH_PREFIX


def test_a_pooler_may_stand_in_between(empty_postgres_url: str) -> None:
    pooler = pooler_for(empty_postgres_url, 20)
    if pooler is None:
        pytest.skip("this machine has no pgbouncer (Debian: apt install pgbouncer)")
    with pooler as url:
        assert views_of(url) == IN_SCHEMA


def test_sql_for_an_administrator_creates_the_views_too(
    capsys: pytest.CaptureFixture[str], empty_postgres_url: str
) -> None:
    """`alembic upgrade --sql`."""
    config = Config(PACKAGE_FOLDER.parent / "alembic.ini")
    config.set_main_option("sqlalchemy.url", empty_postgres_url)

    command.upgrade(config, f"{BEFORE_THE_VIEWS}:head", sql=True)

    script = capsys.readouterr().out
    assert "CREATE SCHEMA IF NOT EXISTS optionchain;" in script
    assert all(f"CREATE VIEW {name} AS" in script for name in IN_SCHEMA)
    assert "UPDATE chain_summary SET inputs" in script


def test_a_store_of_sqlite_has_no_table_more(tmp_path: Path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path / 'new.db'}")
    upgrade(engine)

    tables = inspect(engine).get_table_names()

    assert not [name for name in tables if name.startswith("optionchain")]
    engine.dispose()
