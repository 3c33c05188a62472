"""Hypertables of TimescaleDB, where TEST_TIMESCALE_URL names a server: late data, compressed days.

The other tests of stores run on hypertables as well when there is such a server.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from checkout import CHECKOUT
from sample_rows import fill
from servers import database_on
from sqlalchemy import func, select, text

from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind, Provenance
from data_fetch.core.market.session import midnight_number
from data_fetch.core.world import World
from data_fetch.storage.candles.candles import (
    Written,
    begin_candle_writing,
    candles,
    insert_candles,
    merge_candles,
)
from data_fetch.storage.database.conversion import convert
from data_fetch.storage.database.engine import engine_for, writing
from data_fetch.storage.database.hypertables import COMPRESSIONS
from data_fetch.storage.database.layouts import Layout, layout_of
from data_fetch.storage.database.leadership import Leadership
from data_fetch.storage.database.migrations import upgrade
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.table_digests import table_digests

OPENS = midnight_number(date(2025, 1, 6)) + 9 * 60 + 15
MINUTES, INSTRUMENTS, DAYS = 375, 40, 10
CHUNKS = text(
    "SELECT is_compressed FROM timescaledb_information.chunks WHERE hypertable_name = :of"
)
COMPRESS = text("SELECT compress_chunk(chunk) FROM show_chunks(CAST(:of AS regclass)) AS chunk")


@pytest.fixture
def store(timescale_url: str) -> Iterator[Store]:
    with closing(open_store(timescale_url, World.PAPER)) as store:
        yield store


def block(number: int, days: range, close: float = 100.0) -> CandleBlock:
    starts = [OPENS + day * 1440 + minute for day in days for minute in range(MINUTES)]
    rows = len(starts)
    return CandleBlock(
        instrument_key=f"NSE_EQ|ZZP{number:09}",
        interval=CandleInterval.MINUTE,
        starts=starts,
        open=[100.0] * rows,
        high=[200.0] * rows,
        low=[50.0] * rows,
        close=[close] * rows,
        volume=[75] * rows,
        oi=[0] * rows,
        kinds=[Kind.TRADED] * rows,
    )


def came(day: int, *, final: bool) -> Provenance:
    at = datetime(2025, 2, 1, 15, tzinfo=UTC) + timedelta(days=day)
    return Provenance(source="upstox", is_final=final, fetched_at=at, run_id=f"run {day}")


def merged(store: Store, blocks: list[CandleBlock], came_from: Provenance) -> Written:
    with store.writing() as connection:
        begin_candle_writing(connection)
        return merge_candles(connection, blocks, came_from)


def compress(store: Store, *tables: str) -> None:
    with store.writing() as connection:
        for of in tables:
            connection.execute(COMPRESS, {"of": of}).all()


def compressed_chunks(store: Store, of: str) -> list[bool]:
    with store.reading() as connection:
        return list(connection.scalars(CHUNKS, {"of": of}))


@pytest.fixture
def compressed(store: Store) -> Store:
    """More candles than the extension would unpack in a transaction, all of them compressed."""
    blocks = [block(number, range(DAYS)) for number in range(INSTRUMENTS)]
    with store.writing() as connection:
        begin_candle_writing(connection)
        insert_candles(connection, blocks, came(0, final=False))
    compress(store, "candles")
    assert all(compressed_chunks(store, "candles"))
    return store


def test_the_models_agree_with_hypertables(store: Store) -> None:
    with store.writing() as connection:
        assert layout_of(connection) is Layout.HYPERTABLES
        command.check(Config(CHECKOUT / "alembic.ini", attributes={"connection": connection}))


@pytest.mark.parametrize(
    ("offered", "written"),
    [
        pytest.param({"days": range(1)}, Written(finalised=MINUTES), id="a confirmation"),
        pytest.param({"days": range(1), "close": 101.0}, Written(revised=MINUTES), id="corrected"),
        pytest.param({"days": range(DAYS, DAYS + 1)}, Written(inserted=MINUTES), id="a new day"),
        pytest.param(
            {"days": range(DAYS), "close": 99.0}, Written(revised=MINUTES * DAYS), id="every day"
        ),
    ],
)
def test_late_candles_of_a_compressed_day_are_settled(
    compressed: Store, offered: Mapping[str, Any], written: Written
) -> None:
    assert merged(compressed, [block(3, **offered)], came(1, final=True)) == written
    assert merged(compressed, [block(3, **offered)], came(1, final=True)) == Written()
    with compressed.reading() as connection:
        rows = connection.scalar(select(func.count()).select_from(candles))

    assert rows == INSTRUMENTS * DAYS * MINUTES + written.inserted


def test_more_than_the_extension_would_unpack_is_settled_at_once(compressed: Store) -> None:
    blocks = [replace(block(number, range(DAYS))) for number in range(INSTRUMENTS)]

    written = merged(compressed, blocks, came(1, final=True))

    assert written == Written(finalised=INSTRUMENTS * DAYS * MINUTES)


def test_compressed_rows_are_the_same_rows(store: Store) -> None:
    fill(store)
    with store.reading() as connection:
        before = table_digests(connection)
    compress(store, *COMPRESSIONS)
    with store.reading() as connection:
        assert table_digests(connection) == before
    assert not any(compressed_chunks(store, "chain_snapshots"))
    assert not any(compressed_chunks(store, "chain_receipts"))


def test_a_plain_store_is_converted(timescale_server: str) -> None:
    with database_on(timescale_server) as url:
        engine = engine_for(url)
        with writing(engine) as connection:
            connection.execute(text("CREATE EXTENSION timescaledb"))
        upgrade(engine, Layout.PLAIN)
        engine.dispose()
        with closing(open_store(url, World.PAPER)) as store:
            fill(store)
            before = digests(store)
            leadership = Leadership(store)
            fence = leadership.try_acquire()
            assert fence is not None
            convert(store.engine, Layout.HYPERTABLES, fence, lambda _of, _rows: None)
            leadership.release()
            with store.reading() as connection:
                assert layout_of(connection) is Layout.HYPERTABLES
            assert digests(store) == before


def digests(store: Store) -> Any:
    """Of every table but the one that says who leads."""
    with store.reading() as connection:
        found = table_digests(connection)
    return {name: digest for name, digest in found.items() if name != "store_meta"}
