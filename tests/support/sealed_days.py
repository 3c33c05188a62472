"""Days of a store brought into files, and left there in any state."""

from datetime import date
from pathlib import Path

from archive_shelf import opening

from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.parquet_files import write_table_file
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import (
    TABLES,
    ArchivedDay,
    ArchivedFile,
    Dataset,
    DayState,
)
from data_fetch.storage.archive_ledger import record_day
from data_fetch.storage.database.store import Store
from data_fetch.storage.day_rows import chain_series, day_portions, delete_rows, stored_table


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
    series = chain_series(store.reading, day) if of_chains else []
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


def clear(store: Store, dataset: Dataset, day: date) -> None:
    """Delete the rows of a day."""
    for name in TABLES[dataset]:
        delete_rows(store.writing, stored_table(name), day)
