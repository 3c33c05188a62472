"""What a row takes on disk, its indexes included, in each database and layout.

And late candles of a compressed day beside those of a plain table.

Real chains where they are at hand (SHARED_DATA), a month of candles of a dozen instruments, and
a day of quotes. The bytes of Parquet are measured by `archive`. TimescaleDB is measured where
BENCH_TIMESCALE_URL names a server that has it.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg2
from sqlalchemy import Connection, func, select, text

from benchmarks.bench_chains import UNIVERSE, captured, imported
from benchmarks.bench_ingest import CAME_FROM, MINUTES, MONTH, candle_block, write_candles
from benchmarks.figure import Figure, seconds
from benchmarks.stores import postgres_store
from data_fetch.core.world import World
from data_fetch.storage.candles.candles import insert_candles, merge_candles
from data_fetch.storage.database.hypertables import COMPRESSIONS
from data_fetch.storage.database.layouts import Layout
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import Base
from data_fetch.storage.database.upsert import upsert

TIMESCALE = os.environ.get("BENCH_TIMESCALE_URL")
ROWS = {
    "option_chain_data": "leg",
    "chain_summary": "summary",
    "chain_snapshots": "head",
    "chain_receipts": "receipt",
    "ltp_data": "quote",
    "candles": "candle",
}
DOZEN, SYMBOLS, LATE = 12, 200, 5
OPENS = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
QUOTE = ("symbol", "timestamp", "instrument_key", "ltp", "volume", "change", "change_percent")
MORE = ("prev_close", "ltq", "off_session", "received_at", "source", "run_id")

# Those of a table and of its partitions that have rows: empty ones were made ahead.
SIZE = text(
    "SELECT sum(pg_total_relation_size(relid)) FROM (SELECT relid FROM pg_partition_tree(:of) "
    "UNION SELECT CAST(:of AS regclass)) AS part WHERE pg_relation_size(relid) > 0"
)
COMPRESSED_SIZE = text("SELECT hypertable_size(CAST(:of AS regclass))")
COMPRESS = text("SELECT compress_chunk(chunk) FROM show_chunks(CAST(:of AS regclass)) AS chunk")
SQLITE_SIZE = text(
    "SELECT sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name) WHERE tbl_name = :of"
)


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        with closing(open_store(url, World.LIVE)) as store:
            yield from _sizes("SQLite", store, _on_sqlite)
    try:
        for layout in (Layout.PLAIN, Layout.PARTITIONS):
            with postgres_store(World.LIVE, layout) as (store, _):
                yield from _sizes(f"PostgreSQL, {layout}", store, _on_postgres)
    except psycopg2.OperationalError:
        detail = "no server: set BENCH_DATABASE_URL"
        yield Figure("bytes a row, PostgreSQL", float("nan"), "bytes", detail=detail)
    yield from _timescale_figures()


def _timescale_figures() -> Iterator[Figure]:
    if TIMESCALE is None:
        detail = "no server: set BENCH_TIMESCALE_URL"
        yield Figure("bytes a row, TimescaleDB compressed", float("nan"), "bytes", detail=detail)
        return
    with postgres_store(World.LIVE, Layout.HYPERTABLES, TIMESCALE) as (store, _):
        yield from _sizes("TimescaleDB compressed", store, _compressed)
        compressed = _late_candles(store)
    with postgres_store(World.LIVE, Layout.PLAIN, TIMESCALE) as (store, _):
        _fill(store)
        plain = _late_candles(store)
    detail = f"{compressed * 1e3:.0f} and {plain * 1e3:.0f} ms for {MINUTES} corrected candles"
    yield Figure("late candles of a compressed day", compressed / plain, "x plain", detail=detail)


def _sizes(name: str, store: Store, size: Callable[[Connection, str], int]) -> Iterator[Figure]:
    _fill(store)
    with store.writing() as connection:
        for of, row in ROWS.items():
            count = connection.scalar(select(func.count()).select_from(Base.metadata.tables[of]))
            if count:
                value = size(connection, of) / count
                yield Figure(f"a {row}, {name}", value, "bytes", detail=f"{count:,} rows")


def _on_sqlite(connection: Connection, of: str) -> int:
    return int(connection.scalar(SQLITE_SIZE, {"of": of}))


def _on_postgres(connection: Connection, of: str) -> int:
    return int(connection.scalar(SIZE, {"of": of}))


def _compressed(connection: Connection, of: str) -> int:
    if of in COMPRESSIONS:
        connection.execute(COMPRESS, {"of": of}).all()
    return int(connection.scalar(COMPRESSED_SIZE, {"of": of}))


def _fill(store: Store) -> None:
    if UNIVERSE.is_file():
        imported(store, captured())
    write_candles(
        store, insert_candles, [candle_block(number, 0, MONTH) for number in range(DOZEN)]
    )
    with store.writing() as connection:
        for minute in range(MINUTES):
            at = OPENS + timedelta(minutes=minute)
            rows = [_quote(f"SYMBOL{number:03}", at, minute) for number in range(SYMBOLS)]
            upsert(connection, Base.metadata.tables["ltp_data"], (*QUOTE, *MORE), rows)


def _quote(symbol: str, at: datetime, minute: int) -> tuple[object, ...]:
    ltp = 3_000.05 + minute * 0.05
    key = f"NSE_EQ|INE{symbol[-3:]}A01018"
    known = (symbol, at, key, ltp, 1_000 * minute, ltp - 2_990.0, (ltp - 2_990.0) / 29.9)
    return (*known, 2_990.0, 75, False, at + timedelta(seconds=61), "upstox", CAME_FROM.run_id)


def _late_candles(store: Store) -> float:
    """Seconds of the quickest of some corrections of a day."""
    [block] = [candle_block(0, 0, 1)]

    def correct(by: int) -> float:
        offered = replace(block, close=[value + by for value in block.close])
        at = CAME_FROM.fetched_at + timedelta(days=by)
        came_from = replace(CAME_FROM, fetched_at=at)
        return seconds(lambda: write_candles(store, merge_candles, [offered], came_from))

    return min(correct(by) for by in range(1, LATE + 1))
