"""Days of a store brought into files, and left there in any state."""

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from archive_shelf import opening

from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.parquet_files import write_table_file
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import (
    TABLES,
    ArchivedDay,
    ArchivedFile,
    ArchivedSeries,
    Dataset,
    DayState,
)
from data_fetch.storage.archive_ledger import record_day
from data_fetch.storage.database.store import Store
from data_fetch.storage.day_rows import day_portions, delete_rows, stored_table


def seal(store: Store, root: Path, dataset: Dataset, day: date, state: DayState) -> None:
    """Write the files of a day, and record it in *state*. Its rows stay in the store."""
    folder, at = ArchiveFolder(root), opening(day, 800)
    files = []
    for name in TABLES[dataset]:
        schema = ARCHIVE_SCHEMAS[name]
        rows = day_portions(store.reading, stored_table(name), day, schema.arrow, schema.key)
        written = write_table_file(
            folder.day_file(name, day, 1), schema, rows, world=store.world, trading_date=day
        )
        files.append(
            ArchivedFile(
                table_name=name,
                trading_date=day,
                path=folder.relative(written.path),
                rows=written.rows,
                size_bytes=written.size_bytes,
                sha256=written.sha256,
                digest="",
                schema_version=schema.version,
                written_at=at,
            )
        )
    of_chains = dataset is Dataset.CHAINS
    series = series_of(store, day) if of_chains else []
    sealed = ArchivedDay(
        dataset=dataset,
        trading_date=day,
        state=state,
        generation=1,
        changed_at=at,
        run_id="sealed",
    )
    with store.writing() as connection:
        record_day(connection, sealed, files, series)


def series_of(store: Store, day: date) -> list[ArchivedSeries]:
    heads, receipts = (
        pa.concat_tables(
            day_portions(store.reading, stored_table(name), day, schema.arrow, schema.key)
        ).to_pylist()
        for name in ("chain_snapshots", "chain_receipts")
        for schema in (ARCHIVE_SCHEMAS[name],)
    )
    found = []
    for series in sorted({of_series(row) for row in receipts}):
        own = [row for row in heads if of_series(row) == series]
        received = [row["received_at"] for row in receipts if of_series(row) == series]
        first = [row["timestamp"] for row in own]
        found.append(
            ArchivedSeries(
                trading_date=day,
                underlying=series[0],
                expiry=series[1],
                source=series[2],
                snapshots=len(own),
                legs=sum(row["legs"] for row in own),
                receipts=len(received),
                first=min(first, default=None),
                last=max(first, default=None),
                first_received=min(received),
                last_received=max(received),
            )
        )
    return found


def of_series(row: dict[str, Any]) -> tuple[str, date, str]:
    return row["underlying"], row["expiry"], row["source"]


def clear(store: Store, dataset: Dataset, day: date) -> None:
    """Delete the rows of a day."""
    for name in TABLES[dataset]:
        delete_rows(store.writing, stored_table(name), day)
