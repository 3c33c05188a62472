"""A year of invented figures in day files: as many as chains are polled for every half minute."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.archive_legs import UNDERLYINGS, opening
from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.parquet_files import write_table_file
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import (
    ArchivedDay,
    ArchivedFile,
    ArchivedSeries,
    Dataset,
    DayState,
)
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.core.world import World
from data_fetch.storage.archive_ledger import record_day
from data_fetch.storage.database.store import open_store

FRIDAY = 4
FIRST, LAST = date(2025, 9, 1), date(2026, 8, 31)
LOOKS, EVERY = 750, timedelta(seconds=30)
# On Fridays the last look is received so many times.
REPEATS = 4
TABLES = ("chain_receipts", "chain_snapshots", "chain_summary")
TEXTS = {
    "source": "upstox",
    "unit": "shares",
    "run_id": "run",
    "forward_method": "parity",
    "convention": "act/365",
    "build_up": "{}",
    "inputs": "{}",
}
WHOLE = {"lot_size": 75, "legs": 108, "priced": 106, "forward_strikes": 7}


def year_of_figures(url: str, root: Path) -> list[date]:
    """Files of each trading day from FIRST to LAST, and a store whose ledger has them."""
    folder = ArchiveFolder(root)
    days = list(_trading_days())
    with closing(open_store(url, World.LIVE)) as store, store.writing() as connection:
        for day in days:
            written = [_file(folder, table, day) for table in TABLES]
            sealed = ArchivedDay(
                dataset=Dataset.CHAINS,
                trading_date=day,
                state=DayState.CLEARED,
                generation=1,
                changed_at=opening(day),
                run_id="bench",
            )
            record_day(connection, sealed, written, [_series(day, name) for name in UNDERLYINGS])
    return days


def _trading_days() -> Iterator[date]:
    calendar, day = MarketCalendar.reviewed(), FIRST
    while day <= LAST:
        if calendar.session(day, FUTURES_AND_OPTIONS).open:
            yield day
        day += timedelta(days=1)


def _expiry(day: date) -> date:
    """The Tuesday on or after *day*."""
    return day + timedelta(days=(1 - day.weekday()) % 7)


def _file(folder: ArchiveFolder, table: str, day: date) -> ArchivedFile:
    schema = ARCHIVE_SCHEMAS[table]
    written = write_table_file(
        folder.day_file(table, day, 1),
        schema,
        [_rows(table, schema.arrow, day)],
        world=World.LIVE,
        trading_date=day,
    )
    return ArchivedFile(
        table_name=table,
        trading_date=day,
        path=folder.relative(written.path),
        rows=written.rows,
        size_bytes=written.size_bytes,
        sha256=written.sha256,
        digest="",
        schema_version=schema.version,
        written_at=datetime(2026, 9, 1, tzinfo=UTC),
    )


def _repeats(day: date) -> int:
    return REPEATS if day.weekday() == FRIDAY else 1


def _rows(table: str, schema: pa.Schema, day: date) -> pa.Table:
    """Looks at each chain, none of which is like the one before but the last ones of Fridays."""
    chance = np.random.default_rng(day.toordinal())
    looks = LOOKS + _repeats(day) - 1 if table == "chain_receipts" else LOOKS
    rows = looks * len(UNDERLYINGS)
    instants = [opening(day) + look * EVERY for look in range(looks)] * len(UNDERLYINGS)
    often = [*[1] * (LOOKS - 1), _repeats(day)] * len(UNDERLYINGS)

    def column(field: pa.Field) -> pa.Array:
        if field.name == "underlying":
            values = [name for name in UNDERLYINGS for _ in range(looks)]
        elif field.name == "content_hash":
            values = [chance.bytes(16).hex() for _ in range(rows)]
        elif pa.types.is_date(field.type):
            values = [_expiry(day)] * rows
        elif field.name == "confirmations":
            values = often
        elif field.name == "last_confirmed":
            values = [at + (n - 1) * EVERY for at, n in zip(instants, often, strict=True)]
        elif pa.types.is_timestamp(field.type):
            values = instants
        elif field.name in TEXTS:
            values = [TEXTS[field.name]] * rows
        elif pa.types.is_boolean(field.type):
            values = [False] * rows
        elif pa.types.is_integer(field.type):
            values = [WHOLE.get(field.name, 0)] * rows
        else:
            values = np.round(chance.random(rows), 4)
        return pa.array(values).cast(field.type)

    return pa.table([column(field) for field in schema], schema=schema)


def _series(day: date, underlying: str) -> ArchivedSeries:
    first, last = opening(day), opening(day) + (LOOKS - 1) * EVERY
    repeats = _repeats(day) - 1
    return ArchivedSeries(
        trading_date=day,
        underlying=underlying,
        expiry=_expiry(day),
        source="upstox",
        snapshots=LOOKS,
        legs=LOOKS * WHOLE["legs"],
        receipts=LOOKS + repeats,
        first=first,
        last=last,
        first_received=first,
        last_received=last + repeats * EVERY,
    )
