"""Candles into the store, against the driver's own bulk call into the same table.

The bare side gets its rows ready-made, as text or tuples; ours begins from columns. In a
round each writes a month of a dozen instruments, its own ones, in one transaction. *Merged* into
four million rows it corrects a stored candle of each on the way.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO
from itertools import count

import numpy as np
import psycopg2
from psycopg2.extensions import connection as Session
from sqlalchemy import Connection

from benchmarks.figure import Figure, interleaved
from benchmarks.stores import postgres_store
from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind, Provenance
from data_fetch.core.market.session import EPOCH, MINUTES_OF_DAY, instant_of, midnight_number
from data_fetch.core.world import World
from data_fetch.storage.candles.candles import begin_candle_writing, insert_candles, merge_candles
from data_fetch.storage.database.engine import SQLITE_SESSION
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.types import MICROSECOND

OPENING = midnight_number(date(2025, 1, 1)) + 9 * 60 + 15
MINUTES, MONTH, DAYS_STORED = 375, 22, 45
INSTRUMENTS, DOZEN = 240, 12
ROUNDS = 7
CAME_FROM = Provenance(
    source="upstox",
    is_final=True,
    fetched_at=datetime(2026, 9, 16, 14, 30, tzinfo=UTC),
    run_id="0b6f7c9e5d3a4f3c8f0f1d2e3a4b5c6d",
)

COPIED_AT_ONCE = 1 << 18

Months = Iterator[list[CandleBlock]]
Write = Callable[[Connection, list[CandleBlock], Provenance], object]


def measure() -> Iterator[Figure]:
    yield _sqlite_figure()
    try:
        with postgres_store() as (store, session):
            yield from _postgres_figures(store, session)
    except psycopg2.OperationalError:
        detail = "no server: set BENCH_DATABASE_URL"
        yield Figure("candles, PostgreSQL", float("nan"), "x bare speed", detail=detail)


def _postgres_figures(store: Store, session: Session) -> Iterator[Figure]:
    cursor = session.cursor()
    months = _months()

    def speed(
        name: str, write: Write, offered: Months, prepare: str, least: float | None = None
    ) -> Figure:
        blocks = iter([next(offered) for _ in range(ROUNDS)])
        texts = iter([_text(next(months)) for _ in range(ROUNDS)])
        measured = interleaved(
            lambda: write_candles(store, write, next(blocks)),
            lambda: cursor.copy_expert("COPY candles FROM STDIN", next(texts), COPIED_AT_ONCE),
            ROUNDS,
            lambda: cursor.execute(prepare),
        )
        return _speed(f"candles {name}, PostgreSQL", measured, least)

    # Its vacuum would begin in the middle of a round.
    cursor.execute("ALTER TABLE candles SET (autovacuum_enabled = false)")
    yield speed("direct, empty table", insert_candles, months, "TRUNCATE candles", 1.2)
    yield speed("merged, empty table", merge_candles, months, "TRUNCATE candles", 0.65)
    cursor.execute("TRUNCATE candles")
    months = _months()
    _fill(store)
    cursor.execute("ANALYZE candles")
    # Here both spend most of their time in the index, and binary rows save little.
    yield speed("direct, 4 million there", insert_candles, months, "CHECKPOINT")
    corrected = _with_a_stored_minute(months)
    yield speed("merged, 4 million there", merge_candles, corrected, "CHECKPOINT", 0.75)


def _sqlite_figure() -> Figure:
    months = _months()
    blocks = [next(months) for _ in range(ROUNDS)]
    rows = [_rows(next(months), _microseconds) for _ in range(ROUNDS)]
    insert = "INSERT INTO candles VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ours.db"
        open_store(f"sqlite:///{folder}/bare.db", World.PAPER).close()
        with (
            closing(open_store(url, World.PAPER)) as store,
            closing(sqlite3.connect(f"{folder}/bare.db")) as db,
        ):
            for setting in SQLITE_SESSION:
                db.execute(setting)

            def bare() -> None:
                with db:
                    db.executemany(insert, rows.pop())

            def ours() -> None:
                write_candles(store, merge_candles, blocks.pop())

            return _speed("candles, SQLite", interleaved(ours, bare, ROUNDS), 0.8)


def _speed(name: str, measured: tuple[float, float, float], least: float | None) -> Figure:
    mine, theirs, ratio = measured
    rows = DOZEN * MONTH * MINUTES
    detail = f"ours {rows / mine / 1e3:.0f}, bare {rows / theirs / 1e3:.0f} thousand a second"
    return Figure(name, 1 / ratio, "x bare speed", detail=detail, least=least)


def write_candles(
    store: Store, write: Write, blocks: list[CandleBlock], came_from: Provenance = CAME_FROM
) -> None:
    """Write *blocks* with *write* in a transaction of their own."""
    with store.writing() as connection:
        begin_candle_writing(connection)
        write(connection, blocks, came_from)


def _months() -> Months:
    """A month of a dozen instruments after the other, no candle twice."""
    for month in count():
        for first in range(0, INSTRUMENTS, DOZEN):
            day = DAYS_STORED + month * MONTH
            yield [candle_block(number, day, MONTH) for number in range(first, first + DOZEN)]


def _with_a_stored_minute(months: Months) -> Months:
    """Each instrument's last stored candle goes with the month, with other values."""
    for blocks in months:
        stored = [
            replace(
                block.chosen([MINUTES - 1]), starts=[block.starts[MINUTES - 1] - MINUTES_OF_DAY]
            )
            for block in blocks
        ]
        yield [*stored, *blocks]


def candle_block(number: int, day: int, days: int) -> CandleBlock:
    """*days* of an instrument from the day numbered *day*: a walk in steps of five paise."""
    random = np.random.default_rng((number, day))
    rows = days * MINUTES
    close = 50_000 + random.integers(-20, 21, rows).cumsum() * 5
    opened = close + random.integers(-4, 5, rows) * 5
    high = np.maximum(opened, close) + random.integers(0, 5, rows) * 5
    low = np.minimum(opened, close) - random.integers(0, 5, rows) * 5
    minutes = np.arange(day, day + days)[:, None] * MINUTES_OF_DAY + np.arange(MINUTES)
    return CandleBlock(
        instrument_key=f"NSE_EQ|ZZP{number:09d}",
        interval=CandleInterval.MINUTE,
        starts=(OPENING + minutes).ravel().tolist(),
        open=(opened / 100).tolist(),
        high=(high / 100).tolist(),
        low=(low / 100).tolist(),
        close=(close / 100).tolist(),
        volume=random.integers(0, 200_000, rows).tolist(),
        oi=[0] * rows,
        kinds=[Kind.TRADED] * rows,
    )


def _rows(
    blocks: list[CandleBlock], stamp: Callable[[datetime], object]
) -> list[tuple[object, ...]]:
    """The candles as rows, their instants as *stamp* makes them."""
    fetched_at = stamp(CAME_FROM.fetched_at)
    came_from = (CAME_FROM.source, CAME_FROM.is_final, fetched_at, CAME_FROM.run_id)
    return [
        (block.instrument_key, "1minute", stamp(instant_of(start)), *said, "traded", *came_from)
        for block in blocks
        for start, *said in zip(
            *(block.starts, block.open, block.high, block.low, block.close),
            *(block.volume, block.oi),
            strict=True,
        )
    ]


def _microseconds(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def _text(blocks: list[CandleBlock]) -> BytesIO:
    lines = ("\t".join(map(str, row)) + "\n" for row in _rows(blocks, str))
    return BytesIO("".join(lines).encode())


def _fill(store: Store) -> None:
    """Four million candles: 45 days of each instrument."""
    for first in range(0, INSTRUMENTS, DOZEN):
        blocks = [candle_block(number, 0, DAYS_STORED) for number in range(first, first + DOZEN)]
        write_candles(store, insert_candles, blocks)
