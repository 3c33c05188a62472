"""Option chains from bytes to stored, against the bare parse and the bare insert.

A market's worth of real responses where they are at hand (SHARED_DATA, or beside the checkout),
else invented ones of about the same size. The bare side parses the same bytes and inserts the
very same rows of legs, ready-made, with the driver's own bulk call.
"""

import gc
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import psycopg2
from psycopg2.extras import execute_values
from sqlalchemy import delete

from benchmarks.figure import Figure, interleaved
from benchmarks.stores import postgres_store
from data_fetch.core.clock import SystemClock
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.world import World
from data_fetch.runtime.chains import chain_import_at
from data_fetch.sources.captured_chains import CapturedDocument
from data_fetch.storage.chains.rows import INSERT_LEGS
from data_fetch.storage.database.engine import SQLITE_SESSION
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import (
    ChainReceiptRow,
    ChainSnapshotRow,
    ChainSummaryRow,
    OptionChainData,
    table,
)

CHECKOUT = Path(__file__).resolve().parent.parent
CAPTURED = Path(os.environ.get("SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
UNIVERSE = CAPTURED / "nse_option_chain_old" / "universe_2025-07-17.tar.gz"
WRITTEN = [
    table(each) for each in (OptionChainData, ChainSummaryRow, ChainSnapshotRow, ChainReceiptRow)
]
ROUNDS, SNAPSHOT_ROUNDS = 5, 25
SNAPSHOT_LEGS = 250

Bodies = Sequence[bytes]


def measure() -> Iterator[Figure]:
    if not UNIVERSE.is_file():
        detail = f"no captured responses at {UNIVERSE}: name their place in SHARED_DATA"
        yield Figure("chains", float("nan"), "x bare", detail=detail)
        return
    bodies = captured()
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(open_store(f"sqlite:///{folder}/ours.db", World.LIVE)) as store,
        closing(open_store(f"sqlite:///{folder}/bare.db", World.LIVE)) as other,
        closing(sqlite3.connect(f"{folder}/bare.db")) as bare,
    ):
        for setting in SQLITE_SESSION:
            bare.execute(setting)
        yield _market("SQLite", bodies, store, other, lambda rows: _into_sqlite(bare, rows))
        yield _snapshot("SQLite", bodies, store)
    try:
        with postgres_store(World.LIVE) as (store, session):
            yield _market(
                "PostgreSQL", bodies, store, store, lambda rows: _into_postgres(session, rows)
            )
            yield _snapshot("PostgreSQL", bodies, store)
    except psycopg2.OperationalError:
        detail = "no server: set BENCH_DATABASE_URL"
        yield Figure("chains, PostgreSQL", float("nan"), "x bare", detail=detail)


def captured() -> Bodies:
    with tarfile.open(UNIVERSE) as archive:
        files = (archive.extractfile(member) for member in archive if member.isfile())
        return [file.read() for file in files if file is not None]


def imported(store: Store, bodies: Bodies) -> int:
    """How many legs of *bodies* were read, priced, summed up and stored."""
    importer = chain_import_at(store, MarketCalendar.reviewed(), SystemClock())
    report = importer.store(CapturedDocument(str(n), None, b) for n, b in enumerate(bodies))
    return report.legs


def _market(
    database: str,
    bodies: Bodies,
    store: Store,
    other: Store,
    insert: Callable[[Sequence[Any]], object],
) -> Figure:
    _empty(store)
    legs = imported(store, bodies)
    rows = _rows(store)
    assert len(rows) == legs

    def bare() -> None:
        for body in bodies:
            orjson.loads(body)
        insert(rows)

    def prepare() -> None:
        _empty(store)
        _empty(other)
        gc.collect()

    mine, theirs, ratio = interleaved(lambda: imported(store, bodies), bare, ROUNDS, prepare)
    detail = f"{len(bodies)} responses, {legs:,} legs: ours {mine:.2f} s, bare {theirs:.2f} s"
    return Figure(f"chains of a market, {database}", ratio, "x bare", bound=4, detail=detail)


def _snapshot(database: str, bodies: Bodies, store: Store) -> Figure:
    """The body with about 250 legs, alone."""
    one = min(bodies, key=lambda body: abs(body.count(b'"identifier"') // 2 - SNAPSHOT_LEGS))
    _empty(store)
    legs = imported(store, [one])

    mine, _, _ = interleaved(
        lambda: imported(store, [one]), lambda: None, SNAPSHOT_ROUNDS, lambda: _empty(store)
    )
    detail = f"one response of {legs} legs, from bytes to stored"
    return Figure(f"chain snapshot, {database}", mine * 1000, "ms", detail=detail)


def _rows(store: Store) -> list[Any]:
    """The rows of all legs as the driver takes them."""
    with store.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM option_chain_data")]


def _empty(store: Store) -> None:
    with store.writing() as connection:
        for each in WRITTEN:
            connection.execute(delete(each))


def _into_sqlite(bare: sqlite3.Connection, rows: Sequence[Any]) -> None:
    with bare:
        bare.executemany(INSERT_LEGS, rows)


def _into_postgres(session: Any, rows: Sequence[Any]) -> None:
    with session.cursor() as cursor:
        execute_values(cursor, "INSERT INTO option_chain_data VALUES %s", rows, page_size=1000)
