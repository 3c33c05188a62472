"""Our own cost of a slot: from the bytes of the answer to stored facts and audit.

The bare version parses the same bytes and inserts the same rows with the driver's own bulk
call, without checks, audit, status or a conflict clause.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import orjson
import psycopg2
from psycopg2.extras import execute_values
from sqlalchemy import make_url

from benchmarks.figure import Figure, interleaved
from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.clock import MINUTE, ScaledClock
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.ports import Lane
from data_fetch.core.quotes.quotes import QuoteResponse
from data_fetch.core.world import World
from data_fetch.services.quotes import LtpService
from data_fetch.sources.upstox.ltp_rows import read_quotes
from data_fetch.sources.upstox.responses import read_response
from data_fetch.storage.database.store import open_store
from data_fetch.storage.quotes import QuoteStore

POSTGRES = os.environ.get("BENCH_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
OPEN = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
BATCH = 500
ROUNDS = 60
BOUND = 4.0
BARE_COLUMNS = (
    "symbol TEXT, timestamp BIGINT, instrument_key TEXT, ltp DOUBLE PRECISION, volume BIGINT, "
    "change DOUBLE PRECISION, change_percent DOUBLE PRECISION, prev_close DOUBLE PRECISION, "
    "ltq BIGINT, off_session BOOLEAN, received_at BIGINT, source TEXT, run_id TEXT, "
    "PRIMARY KEY (symbol, timestamp)"
)

Slot = Callable[[], None]
Insert = Callable[[Sequence[tuple[object, ...]]], None]


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        name = f"sqlite:///{folder}/ours.db"
        with _bare_sqlite(Path(folder) / "bare.db") as insert:
            yield _figure("slot of 210, SQLite", name, insert)
        yield _linear(f"sqlite:///{folder}/linear.db")
    name = "slot of 210, PostgreSQL"
    try:
        with _postgres() as (url, insert):
            yield _figure(name, url, insert)
    except psycopg2.OperationalError:
        yield Figure(name, float("nan"), "x bare", detail="no server: set BENCH_DATABASE_URL")


def _figure(name: str, url: str, insert: Insert) -> Figure:
    instruments, bodies = _market(210)
    ours = _our_slot(url, instruments, bodies)
    bare = _bare_slot(instruments, bodies, insert)
    for _ in range(5):
        ours()
        bare()
    mine, theirs, ratio = interleaved(ours, bare, ROUNDS)
    return Figure(
        name, ratio, "x bare", BOUND, f"ours {mine * 1e3:.1f} ms, bare {theirs * 1e3:.1f} ms"
    )


def _linear(url: str) -> Figure:
    """10,000 instruments in 20 requests against 500 in one, per instrument."""
    small = _our_slot(url, *_market(BATCH))
    large = _our_slot(url, *_market(20 * BATCH))
    for _ in range(2):
        small()
        large()
    many, few, ratio = interleaved(large, small, 7)
    return Figure(
        "10,000 instruments, per instrument",
        ratio / 20,
        "x of 500",
        1.5,
        f"{many * 1e3:.0f} ms for 10,000, {few * 1e3:.0f} ms for 500",
    )


def _market(size: int) -> tuple[list[Instrument], list[bytes]]:
    """Instruments, and the bodies that answer a request for them."""
    instruments = [
        Instrument(
            instrument_key=f"NSE_EQ|ZZP{n:09d}",
            symbol=f"STOCK{n:05d}",
            segment="NSE_EQ",
            instrument_type="EQ",
            cas_eligible=True,
            live_key=f"NSE_EQ|ZZP{n:09d}",
        )
        for n in range(size)
    ]
    bodies = []
    for start in range(0, size, BATCH):
        data = {
            f"NSE_EQ:{one.symbol}": {
                "last_price": 1000.05 + n,
                "instrument_token": one.instrument_key,
                "ltq": 12,
                "volume": 8_123_456 + n,
                "cp": 998.6 + n,
            }
            for n, one in enumerate(instruments[start : start + BATCH], start)
        }
        bodies.append(orjson.dumps({"status": "success", "data": data}))
    return instruments, bodies


class _Recorded:
    """A quote source that answers from bodies in memory, through the real border."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._bodies = bodies

    def quotes(self, instrument_keys: Sequence[str], lane: Lane = Lane.LIVE) -> QuoteResponse:
        quotes, absent, rejected = [], [], []
        for number, body in enumerate(self._bodies):
            keys = instrument_keys[number * BATCH : (number + 1) * BATCH]
            answer = read_response(RawResponse(OPEN, 200, body), dict)
            read = read_quotes(answer.data, keys)
            quotes += read.records
            absent += read.absent
            rejected += read.rejected
        return QuoteResponse(
            records=tuple(quotes),
            absent=tuple(absent),
            rejected=tuple(rejected),
            requests=len(self._bodies),
            received_at=OPEN,
        )


def _our_slot(url: str, instruments: list[Instrument], bodies: list[bytes]) -> Slot:
    clock = ScaledClock(OPEN, speed=1e-6)
    service = LtpService(
        source=_Recorded(bodies),
        source_name="paper",
        quotes_repository=QuoteStore(open_store(url, World.PAPER)),
        members=Members(tuple(instruments)),
        calendar=MarketCalendar.reviewed(),
        clock=clock,
        last_recorded_slot=OPEN - MINUTE,
        running_since=OPEN,
    )
    minutes = count(1)

    def slot() -> None:
        clock.set(OPEN + next(minutes) * MINUTE)
        service.collect_due()

    return slot


def _bare_slot(instruments: list[Instrument], bodies: list[bytes], insert: Insert) -> Slot:
    symbols = {one.instrument_key: one.symbol for one in instruments}
    minutes = count(1)

    def slot() -> None:
        at = int((OPEN + next(minutes) * timedelta(minutes=1)).timestamp() * 1e6)
        rows: list[tuple[object, ...]] = []
        for body in bodies:
            for row in orjson.loads(body)["data"].values():
                price, close = row["last_price"], row["cp"]
                key = row["instrument_token"]
                change = price - close
                rows.append(
                    (
                        *(symbols[key], at, key, price, row["volume"]),
                        *(change, change / close * 100, close, row["ltq"]),
                        *(False, at, "paper", "run"),
                    )
                )
        insert(rows)

    return slot


@contextmanager
def _bare_sqlite(path: Path) -> Iterator[Insert]:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"CREATE TABLE bare ({BARE_COLUMNS}) WITHOUT ROWID")

        def insert(rows: Sequence[tuple[object, ...]]) -> None:
            db.executemany("INSERT INTO bare VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", rows)
            db.commit()

        yield insert


@contextmanager
def _postgres() -> Iterator[tuple[str, Insert]]:
    """A database of our own on the server, and a bare table in another."""
    name = f"bench_{os.getpid()}"
    server = psycopg2.connect(POSTGRES)
    server.autocommit = True
    server.cursor().execute(f"CREATE DATABASE {name}")
    url = make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    db = psycopg2.connect(url)
    db.cursor().execute(f"CREATE TABLE bare ({BARE_COLUMNS})")
    db.commit()

    def insert(rows: Sequence[tuple[object, ...]]) -> None:
        with db, db.cursor() as cursor:
            execute_values(cursor, "INSERT INTO bare VALUES %s", rows, page_size=1000)

    try:
        yield url, insert
    finally:
        db.close()
        server.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.close()
