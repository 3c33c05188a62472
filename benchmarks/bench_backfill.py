"""Two months of minutes for 210 instruments, against a provider with the real rate windows.

The whole is held to the larger of two floors: what the windows allow, and a bare parse plus a
bare bulk ingest of the same bodies. The provider and the backfill are processes of their own.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import psycopg2
import urllib3
from sqlalchemy import make_url

from benchmarks.backfill_run import instruments, pacer_in, service_for
from benchmarks.candle_server import VARIANTS, body, instrument_keys, windows
from benchmarks.figure import Figure, seconds
from benchmarks.stores import POSTGRES
from data_fetch.core.candles.candles import CandleInterval, CandleReply
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.clock import VirtualClock
from data_fetch.core.ports import Lane
from data_fetch.core.world import World
from data_fetch.paper_exchange.upstox.limits import RateLimits
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.sources.upstox.candle_endpoints import UpstoxCandleEndpoints
from data_fetch.storage.database.engine import engine_for
from data_fetch.storage.database.layouts import Layout
from data_fetch.storage.database.migrations import upgrade
from data_fetch.storage.database.store import open_store

BOUND, MOST_MEMORY_MB = 1.2, 300.0
SINCE, UNTIL = date(2022, 1, 1), date(2026, 7, 31)
NOW = datetime(2026, 8, 1, 6, 0, tzinfo=UTC)
RUN_ID = "0" * 32
FETCHED = 1_785_000_000_000_000

Row = tuple[Any, ...]
Ingest = Callable[[Sequence[Row]], None]


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ours.db"
        yield from _against_floors("SQLite", url, _into_sqlite(Path(folder) / "bare.db"))
    try:
        with _postgres_pair() as (ours, bare):
            yield from _against_floors("PostgreSQL", ours, _into_postgres(bare))
    except psycopg2.OperationalError:
        name = "backfill, PostgreSQL"
        yield Figure(name, float("nan"), "x floor", detail="no server: set BENCH_DATABASE_URL")
    yield from _since_2022()


def _against_floors(database: str, url: str, ingest: Ingest) -> Iterator[Figure]:
    with provider() as port:
        ran = _run(port, url)
        told = urllib3.request("GET", f"http://127.0.0.1:{port}/state").json()
    bodies = {
        (window, variant): body(*window, variant)
        for window in windows()
        for variant in range(VARIANTS)
    }
    bare = seconds(lambda: _bare(bodies, ingest))
    floor = max(ran["floor"], bare)
    fewest = len(instrument_keys()) * len(windows())
    yield Figure(
        f"backfill of 210 x 2 months, {database}",
        ran["seconds"] / floor,
        "x floor",
        BOUND,
        f"{ran['seconds']:.1f} s, rate windows {ran['floor']:.1f} s, bare {bare:.1f} s, "
        f"{ran['candles']:,} candles",
    )
    yield Figure("  requests beyond the fewest", told["requests"] - fewest, "requests", 0)
    yield Figure("  answered 429", told["refused"], "requests", 0)
    yield Figure("  live slots late", ran["late"], "slots", 0, f"of {ran['slots']}, one a second")
    yield Figure("  peak memory", ran["peak_memory_mb"], "MB", MOST_MEMORY_MB)
    yield Figure(
        "  repeated: requests and candles",
        ran["again_requests"] + ran["again_candles"],
        "in all",
        0,
        f"{ran['again_seconds'] * 1e3:.0f} ms",
    )


@contextmanager
def provider() -> Iterator[int]:
    """The port of a provider in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.candle_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()


def _run(port: int, url: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.backfill_run", str(port), url]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def _bare(bodies: dict[Any, bytes], ingest: Ingest) -> None:
    """Parse every body that was served and write its rows as the driver does it fastest.

    Stamps are taken over as they are: turning them into instants is our work, not the floor's.
    """
    starts = {window: _stamps(body) for (window, _), body in bodies.items()}
    for window in windows():
        for number, key in enumerate(instrument_keys()):
            rows = orjson.loads(bodies[window, number % VARIANTS])["data"]["candles"]
            ingest(
                [
                    (key, "1minute", at, *row[1:], "traded", "benchmark", True, FETCHED, RUN_ID)
                    for at, row in zip(starts[window], rows, strict=True)
                ]
            )


def _stamps(body: bytes) -> list[int]:
    rows = orjson.loads(body)["data"]["candles"]
    return [int(datetime.fromisoformat(row[0]).timestamp()) * 1_000_000 for row in rows]


def _into_sqlite(file: Path) -> Ingest:
    """Into a table of our own kind, by a prepared `executemany`."""
    open_store(f"sqlite:///{file}", World.PAPER).close()
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 8000")
    statement = f"INSERT INTO candles VALUES ({', '.join('?' * 14)})"  # noqa: S608

    def ingest(rows: Sequence[Row]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, rows)
        connection.execute("COMMIT")

    return ingest


def _into_postgres(url: str) -> Ingest:
    """Into a table of our own kind, by a text COPY."""
    engine = engine_for(url)
    # Rows of any month go into it.
    upgrade(engine, Layout.PLAIN)
    engine.dispose()
    connection = psycopg2.connect(url)

    def ingest(rows: Sequence[Row]) -> None:
        lines = StringIO(
            "".join(
                "\t".join(
                    (row[0], row[1], _at(row[2]), *map(str, row[3:12]), _at(row[12]), row[13])
                )
                + "\n"
                for row in rows
            )
        )
        with connection.cursor() as cursor:
            cursor.copy_expert("COPY candles FROM STDIN", lines)
        connection.commit()

    known: dict[int, str] = {}

    def _at(micros: int) -> str:
        if micros not in known:
            known[micros] = datetime.fromtimestamp(micros / 1e6, UTC).isoformat()
        return known[micros]

    return ingest


@contextmanager
def _postgres_pair() -> Iterator[tuple[str, str]]:
    """Two databases for the time of the measurement."""
    server = make_url(POSTGRES)
    admin = psycopg2.connect(POSTGRES)
    admin.autocommit = True
    names = ("bench_backfill_ours", "bench_backfill_bare")
    with admin.cursor() as cursor:
        for name in names:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {name}")
        try:
            ours, bare = (
                server.set(database=name).render_as_string(hide_password=False) for name in names
            )
            yield ours, bare
        finally:
            for name in names:
                cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    admin.close()


class _NeverAsked(UpstoxCandleEndpoints):
    def candles(self, window: Window, stop: Event) -> CandleReply:
        raise AssertionError(f"{window} was asked for")


def _since_2022() -> Iterator[Figure]:
    """210 instruments since January 2022: planned, then paced on a virtual clock."""
    clock = VirtualClock(NOW)
    limits = RateLimits()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/empty.db", World.PAPER)
        pacer = pacer_in(Path(folder), clock)
        service = service_for(_NeverAsked(), store, clock, pacer)
        order = BackfillOrder(
            instruments=instruments(), interval=CandleInterval.MINUTE, first=SINCE, last=UNTIL
        )
        plan = service.plan(order)
        planning = seconds(lambda: service.plan(order))
        hold = clock.hold()
        for _ in plan.windows:
            with pacer.request("candles", Lane.BACKFILL):
                limits.admit("candles", clock.now())
        took = clock.now() - NOW
        hold.release()
        store.close()
    promised = plan.estimate.duration
    yield Figure(
        "210 instruments since 2022, simulated",
        took / promised,
        "x promised",
        BOUND,
        f"{plan.estimate.requests:,} requests, {plan.estimate.minutes:,} minutes, promised "
        f"{promised}, took {took}; planned in {planning:.1f} s",
    )
    yield Figure("  answered 429", sum(limits.refused.values()), "requests", 0)
