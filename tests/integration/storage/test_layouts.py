"""Layouts of PostgreSQL: chosen for a new store, and converted in place with every row."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from checkout import CHECKOUT
from effort import PATIENCE_SECONDS, times
from sample_rows import fill
from sqlalchemy import Connection, delete, inspect, select, text, update
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from data_fetch.core.archive.periods import WIDTHS
from data_fetch.core.errors import DataFetchError, SetupError
from data_fetch.core.world import World
from data_fetch.storage.database import conversion
from data_fetch.storage.database.conversion import convert, is_under_way
from data_fetch.storage.database.engine import engine_for
from data_fetch.storage.database.layouts import Layout, best_layout, layout_of
from data_fetch.storage.database.leadership import Fence, Leadership
from data_fetch.storage.database.migrations import upgrade
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.table_digests import table_digests
from data_fetch.storage.database.tables import LtpData, table
from data_fetch.storage.database.upsert import upsert

quotes = table(LtpData)
QUOTE = ("symbol", "timestamp", "instrument_key", "ltp", "off_session", "received_at", "source")
MONTHS = 8
KILLS = times(5, 200)


def at(month: int, minute: int = 0) -> datetime:
    return datetime(2026, month, 12, 4, 0, tzinfo=UTC) + timedelta(minutes=minute)


def store_quotes(store: Store, *instants: datetime, ltp: float = 3000.5) -> None:
    rows = [
        ("TCS", when, "NSE_EQ|INE467B01029", ltp, False, when, "upstox", "r") for when in instants
    ]
    with store.writing() as connection:
        upsert(connection, quotes, (*QUOTE, "run_id"), rows)


@pytest.fixture
def plain_url(empty_postgres_url: str) -> str:
    """A database of its own: no other test gets one whose layout was changed."""
    engine = engine_for(empty_postgres_url)
    upgrade(engine, Layout.PLAIN)
    engine.dispose()
    return empty_postgres_url


@pytest.fixture
def filled(plain_url: str) -> Iterator[Store]:
    """A store of plain tables with rows in each of them, those of quotes over several months."""
    with closing(open_store(plain_url, World.PAPER)) as store:
        fill(store)
        store_quotes(
            store, *(at(1 + month, minute) for month in range(MONTHS) for minute in range(3))
        )
        yield store


def contents(store: Store) -> Any:
    with store.reading() as connection:
        digests = table_digests(connection)
    # The lead changes hands.
    return {name: digest for name, digest in digests.items() if name != "store_meta"}


def layout(store: Store) -> Layout:
    with store.reading() as connection:
        return layout_of(connection)


def converted(store: Store, to: Layout, watcher: Any = lambda _of, _rows: None) -> int:
    leadership = Leadership(store)
    fence = leadership.try_acquire()
    assert fence is not None
    try:
        return convert(store.engine, to, fence, watcher)
    finally:
        leadership.release()


def described(store: Store) -> dict[str, Any]:
    """Keys, indexes and their names."""
    found = inspect(store.engine)
    return {
        of: (
            found.get_pk_constraint(of)["name"],
            found.get_pk_constraint(of)["constrained_columns"],
            sorted((index["name"], index["column_names"]) for index in found.get_indexes(of)),
            [(column["name"], column["nullable"]) for column in found.get_columns(of)],
        )
        for of in WIDTHS
    }


def left_behind(store: Store) -> list[str]:
    query = text("SELECT relname FROM pg_class WHERE relname ~ '^(next|former)_'")
    with store.reading() as connection:
        return list(connection.scalars(query))


def test_a_new_store_gets_the_best_layout_that_its_database_can_have(
    empty_postgres_url: str,
) -> None:
    with closing(open_store(empty_postgres_url, World.PAPER)) as store:
        with store.reading() as connection:
            best = best_layout(connection)
        assert layout(store) is best is not Layout.PLAIN


def test_a_store_with_rows_stays_as_it_is_when_it_is_upgraded(filled: Store) -> None:
    before = contents(filled)
    upgrade(filled.engine)

    assert layout(filled) is Layout.PLAIN
    assert contents(filled) == before


def test_every_row_key_and_index_is_there_after_a_conversion_and_back(filled: Store) -> None:
    rows, schema = contents(filled), described(filled)
    total = sum(rows[of].rows for of in WIDTHS)
    seen = dict.fromkeys(WIDTHS, 0)

    def watch(of: str, more: int) -> None:
        seen[of] += more

    for target in (Layout.PARTITIONS, Layout.PLAIN):
        seen = dict.fromkeys(WIDTHS, 0)
        assert converted(filled, target, watch) == total
        assert layout(filled) is target
        assert contents(filled) == rows
        assert described(filled) == schema
        assert seen == {of: rows[of].rows for of in WIDTHS}
        assert left_behind(filled) == []
        with filled.engine.begin() as connection:
            command.check(Config(CHECKOUT / "alembic.ini", attributes={"connection": connection}))
    assert converted(filled, Layout.PLAIN) == 0


def test_views_and_rights_follow_the_tables(filled: Store) -> None:
    with filled.writing() as connection:
        connection.execute(text("CREATE VIEW mine AS SELECT symbol, ltp FROM ltp_data"))
        connection.execute(text("GRANT SELECT ON mine, ltp_data TO pg_monitor"))
        connection.execute(text("GRANT SELECT ON optionchain.option_chain_data TO PUBLIC"))
    queries = [
        "SELECT count(*) FROM mine",
        "SELECT count(*), max(spot_price) FROM optionchain.option_chain_data",
        "SELECT has_table_privilege('pg_monitor', 'mine', 'SELECT'), "
        "has_table_privilege('pg_monitor', 'ltp_data', 'SELECT'), "
        "has_table_privilege('pg_monitor', 'optionchain.option_chain_data', 'SELECT'), "
        "has_table_privilege('pg_monitor', 'candles', 'SELECT')",
    ]

    def answers() -> list[Any]:
        with filled.reading() as connection:
            return [connection.execute(text(query)).all() for query in queries]

    before = answers()
    assert before[0] != [(0,)]
    assert before[-1] == [(True, True, True, False)]
    converted(filled, Layout.PARTITIONS)

    assert answers() == before


def test_what_cannot_follow_is_named_before_anything_is_done(filled: Store) -> None:
    with filled.writing() as connection:
        connection.execute(text("CREATE MATERIALIZED VIEW kept AS SELECT symbol FROM ltp_data"))

    with pytest.raises(SetupError, match="kept reads the tables"):
        converted(filled, Layout.PARTITIONS)

    assert left_behind(filled) == []


def added(store: Store) -> None:
    store_quotes(store, at(1, 90), at(11, 90))


def corrected(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(update(quotes).where(quotes.c.timestamp == at(2)).values(ltp=1.25))


def deleted(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(delete(quotes).where(quotes.c.timestamp == at(3)))


@pytest.mark.parametrize("change", [added, corrected, deleted])
def test_what_others_change_meanwhile_is_in_the_new_tables(filled: Store, change: Any) -> None:
    seen = []

    def watch(of: str, _rows: int) -> None:
        # Behind the copy: all months of the quotes but the last one are copied.
        seen.append(of)
        if seen.count("ltp_data") == MONTHS - 1 and of == "ltp_data":
            change(filled)
            seen.append(contents(filled))

    converted(filled, Layout.PARTITIONS, watch)
    [expected] = [each for each in seen if not isinstance(each, str)]

    assert contents(filled) == expected


def test_an_interrupted_conversion_goes_on_where_it_was(filled: Store) -> None:
    before, copied = contents(filled), []

    class Interrupted(Exception):
        pass

    def interrupt(_of: str, _rows: int) -> None:
        copied.append(1)
        if len(copied) == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        converted(filled, Layout.PARTITIONS, interrupt)
    with filled.reading() as connection:
        assert is_under_way(connection)
        assert connection.scalar(select(conversion.copies.c.rows).limit(1)) is not None
    assert (layout(filled), contents(filled)) == (Layout.PLAIN, before)
    deleted(filled)
    expected = contents(filled)
    converted(filled, Layout.PARTITIONS)

    assert (layout(filled), contents(filled)) == (Layout.PARTITIONS, expected)


def test_one_that_was_given_up_leaves_nothing(filled: Store) -> None:
    before = contents(filled)

    def interrupt(_of: str, _rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converted(filled, Layout.PARTITIONS, interrupt)
    assert left_behind(filled)
    assert converted(filled, Layout.PLAIN) == 0

    assert left_behind(filled) == []
    assert (layout(filled), contents(filled)) == (Layout.PLAIN, before)


def test_a_fence_that_is_not_the_newest_converts_nothing(filled: Store) -> None:
    Leadership(filled).try_acquire()

    with pytest.raises(DataFetchError, match="another scheduler"):
        convert(filled.engine, Layout.PARTITIONS, Fence(0), lambda _of, _rows: None)

    assert left_behind(filled) == []


def test_without_timescaledb_hypertables_are_refused(filled: Store) -> None:
    with filled.reading() as connection:
        if best_layout(connection) is Layout.HYPERTABLES:
            pytest.skip("this server has TimescaleDB")

    with pytest.raises(SetupError, match="TimescaleDB is missing"):
        converted(filled, Layout.HYPERTABLES)


class Program:
    """`data-fetch db layout` as a process of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self._environment = {**os.environ, "DATABASE_URL": url, "DATA_SOURCE": "paper"}
        self._folder = folder

    def start(self, target: Layout, *options: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "data_fetch", "db", "layout", target, *options],
            cwd=self._folder,
            env=self._environment | {"PYTHONPATH": str(CHECKOUT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.mark.long
def test_killed_again_and_again_it_ends_with_every_row_once(
    filled: Store, plain_url: str, tmp_path: Path
) -> None:
    before, chance = contents(filled), random.Random(20260916)
    program = Program(plain_url, tmp_path)

    @retry(
        retry=retry_if_result(lambda goes_on: goes_on),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_fixed(0.01),
    )
    def wait_for_copies(process: "subprocess.Popen[str]", wanted: int) -> bool:
        with filled.reading() as connection:
            return process.poll() is None and copies_in(connection) < wanted

    for _ in range(KILLS):
        with filled.reading() as connection:
            wanted = copies_in(connection) + chance.randint(0, 3)
        target = Layout.PLAIN if layout(filled) is Layout.PARTITIONS else Layout.PARTITIONS
        process = program.start(target)
        wait_for_copies(process, wanted)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE_SECONDS)
        assert contents(filled) == before
    process = program.start(Layout.PARTITIONS, "--json")
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 0, errors
    assert (layout(filled), contents(filled)) == (Layout.PARTITIONS, before)
    assert left_behind(filled) == []


def copies_in(connection: Connection) -> int:
    # It may end between the two looks.
    with suppress(SetupError):
        if is_under_way(connection):
            return len(connection.execute(select(conversion.copies)).all())
    return 0


def test_while_a_collector_runs_it_says_so(filled: Store, plain_url: str, tmp_path: Path) -> None:
    leadership = Leadership(filled)
    leadership.try_acquire()
    process = Program(plain_url, tmp_path).start(Layout.PARTITIONS)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    leadership.release()

    assert process.returncode != 0
    assert f"a collector is running (process {os.getpid()} on" in " ".join(errors.split())
    assert "Stop it first" in errors
    assert layout(filled) is Layout.PLAIN


def test_a_sqlite_store_has_one_layout(sqlite_url: str) -> None:
    with (
        closing(open_store(sqlite_url, World.PAPER)) as store,
        pytest.raises(SetupError, match="a SQLite store has one layout"),
    ):
        converted(store, Layout.PARTITIONS)
