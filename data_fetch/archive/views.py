"""The DuckDB file of the archive: views over lists of files, and nothing else.

It is built under another name and renamed over the former one, so no reader ever waits for a
lock, and one that has the former file open goes on with it.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.parquet_files import write_table_file
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS, ArchiveSchema
from data_fetch.core.archive.manifest import Manifest, ManifestFile
from data_fetch.core.files import new_file

# One row a leg with the facts of its snapshot, and the Indian time.
LEGS_WITH_FACTS = """
    CREATE VIEW option_chain AS
    SELECT legs.*, heads.exchange_time, heads.spot, heads.unit, heads.lot_size,
           heads.last_confirmed, legs.timestamp AT TIME ZONE 'Asia/Kolkata' AS timestamp_ist
    FROM option_chain_data AS legs
    JOIN chain_snapshots AS heads USING (underlying, expiry, timestamp, source)
"""
FILES = """
    CREATE VIEW archive_files AS
    SELECT * FROM (VALUES {rows})
        AS files(table_name, trading_date, kind, path, rows, size_bytes, schema_version)
"""
NO_DAY = date(1970, 1, 1)
NO_FILES = "(NULL::VARCHAR, NULL::DATE, NULL::VARCHAR, NULL::VARCHAR, 0, 0, 0)"


def build_views(folder: ArchiveFolder, manifest: Manifest) -> None:
    """Replace the DuckDB file by one whose views have the files of *manifest*.

    A view per table; `option_chain` (legs with the facts of their snapshots) and `archive_files`.
    The paths in it are absolute. Raises OSError and duckdb.Error; then the former file stays.
    """
    files: defaultdict[str, list[ManifestFile]] = defaultdict(list)
    for file in manifest.files:
        files[file.table].append(file)
    statements = [
        _view(folder, manifest, schema, files[schema.table]) for schema in ARCHIVE_SCHEMAS.values()
    ]
    with new_file(folder.database) as unfinished, duckdb.connect(str(unfinished)) as database:
        for statement in (*statements, LEGS_WITH_FACTS, _files(manifest)):
            database.execute(statement)


def _view(
    folder: ArchiveFolder, manifest: Manifest, schema: ArchiveSchema, files: Sequence[ManifestFile]
) -> str:
    # Files of an earlier version have fewer columns. To join them by name DuckDB reads the footer
    # of every file before each query, which takes two or three times as long with hundreds.
    by_name = any(file.schema_version != schema.version for file in files)
    paths = [folder.root / file.path for file in files]
    if by_name or not paths:
        paths.insert(0, _empty_file(folder, manifest, schema))
    listed = ", ".join(_text(str(path.resolve())) for path in paths)
    return (
        f"CREATE VIEW {schema.table} AS "  # noqa: S608 - names of ours; texts are quoted
        f"SELECT * FROM read_parquet([{listed}], union_by_name = {by_name})"
    )


def _files(manifest: Manifest) -> str:
    rows = ", ".join(
        f"({_text(f.table)}, {_text(f.trading_date.isoformat())}::DATE, {_text(f.kind.value)}, "
        f"{_text(f.path)}, {f.rows}, {f.size_bytes}, {f.schema_version})"
        for f in manifest.files
    )
    where = "" if rows else " WHERE path IS NOT NULL"
    return FILES.format(rows=rows or NO_FILES) + where


def _empty_file(folder: ArchiveFolder, manifest: Manifest, schema: ArchiveSchema) -> Path:
    """A file of the columns of this version: a view over no file at all is an error."""
    path = folder.processed / schema.table / f"empty-{schema.version}.parquet"
    if not path.exists():
        write_table_file(path, schema, [], world=manifest.world, trading_date=NO_DAY)
    return path


def _text(value: str) -> str:
    """A text of SQL. A view cannot have parameters."""
    return "'" + value.replace("'", "''") + "'"
