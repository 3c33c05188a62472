"""Joins minute files into parts, and the parts of a day into one sorted file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import reduce
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import compute as pc

from data_fetch.archive.folder import MINUTE_FORMAT, ArchiveFolder
from data_fetch.archive.parquet_files import (
    ROWS_PER_GROUP,
    Batches,
    Expected,
    WrittenFile,
    read_checked,
    write_table_file,
)
from data_fetch.archive.schemas import ArchiveSchema
from data_fetch.core.archive.compaction import PartPlan
from data_fetch.core.archive.manifest import FileKind, Manifest, ManifestFile
from data_fetch.core.clock import IST

# Which of two rows with one key is the newer one.
NEWER: Mapping[str, str] = {"candles": "fetched_at", "chain_snapshots": "last_confirmed"}
# The whole process stays below a gigabyte with any number of rows; DuckDB sorts the rest on disk.
SORT_MEMORY, SORT_THREADS = "384MB", 2


class PartWriter:
    """Writes the parts and days of one archive; *manifest* is the one before they are seen.

    What is written is seen by no reader until it is published.
    """

    def __init__(self, folder: ArchiveFolder, manifest: Manifest) -> None:
        self._folder = folder
        self._world = manifest.world
        # A number no published file has: readers of a former file keep it.
        self._number = manifest.sequence + 1

    def write_part(
        self, schema: ArchiveSchema, day: date, plan: PartPlan, minutes: Iterable[pa.Table]
    ) -> ManifestFile:
        """Join the rows of a part's *minutes*, each key once and in order. Raises OSError."""
        local = plan.window.astimezone(IST)
        name = f"{local.strftime(MINUTE_FORMAT)}.{self._number}.parquet"
        written = self._write(schema, day, name, [joined(minutes, schema)])
        entry = self._entry(schema, day, written, FileKind.PART, plan.sources)
        return replace(entry, window=plan.window)

    def write_day(
        self, schema: ArchiveSchema, day: date, parts: Sequence[ManifestFile], sources: str
    ) -> ManifestFile:
        """Join the *parts* of a day into one sorted file, with bounded memory.

        Raises BadFile for a part that is not as it was written, OSError and duckdb.Error.
        """
        paths = [self._checked(schema, part) for part in parts]
        written = self._write(
            schema, day, f"whole.{self._number}.parquet", self._sorted(schema, paths)
        )
        return self._entry(schema, day, written, FileKind.DAY, sources)

    def _checked(self, schema: ArchiveSchema, part: ManifestFile) -> Path:
        path = self._folder.root / part.path
        read_checked(path, schema, Expected(part.rows, part.sha256)).close()
        return path

    def _sorted(self, schema: ArchiveSchema, paths: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        limits: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": SORT_MEMORY,
            "threads": SORT_THREADS,
            "temp_directory": str(self._folder.sorting),
            "preserve_insertion_order": False,
        }
        with duckdb.connect(config=limits) as database:
            database.execute("SET TimeZone = 'UTC'")
            rows = database.read_parquet([str(path) for path in paths])
            yield from rows.order(", ".join(schema.key)).to_arrow_reader(ROWS_PER_GROUP)

    def _write(self, schema: ArchiveSchema, day: date, name: str, batches: Batches) -> WrittenFile:
        path = self._folder.processed_of(schema.table, day) / name
        return write_table_file(path, schema, batches, world=self._world, trading_date=day)

    def _entry(
        self, schema: ArchiveSchema, day: date, written: WrittenFile, kind: FileKind, sources: str
    ) -> ManifestFile:
        return ManifestFile(
            table=schema.table,
            trading_date=day,
            kind=kind,
            path=self._folder.relative(written.path),
            rows=written.rows,
            size_bytes=written.size_bytes,
            sha256=written.sha256,
            schema_version=schema.version,
            sources=sources,
        )


def joined(tables: Iterable[pa.Table], schema: ArchiveSchema) -> pa.Table:
    """The rows of *tables* in the order of the key; of two with one key the newer one."""
    rows = pa.concat_tables(tables)
    order = [(name, "ascending") for name in schema.key]
    newer = NEWER.get(schema.table)
    if newer is None:
        return rows.sort_by(order)
    rows = rows.sort_by([*order, (newer, "descending")])
    if rows.num_rows < 2:
        return rows
    same = (
        pc.equal(rows[name].slice(1), rows[name].slice(0, rows.num_rows - 1)) for name in schema.key
    )
    first = pc.invert(reduce(pc.and_, same)).combine_chunks()
    return rows.filter(pa.concat_arrays([pa.array([True]), first]))
