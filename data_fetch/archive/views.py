"""The DuckDB file of the archive: views over lists of files, and nothing else.

It is built under another name and renamed over the former one, so no reader ever waits for a
lock, and one that has the former file open goes on with it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb

from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.parquet_files import write_table_file
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS, ArchiveSchema
from data_fetch.core.archive.days import bounds_of
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
DAMAGED_FILES = """
    CREATE VIEW archive_damaged_files AS
    SELECT * FROM (VALUES {rows}) AS files(table_name, trading_date, path, reason)
"""
NO_DAY = date(1970, 1, 1)
LONGEST_MONTH = timedelta(days=31)
NO_FILES = "(NULL::VARCHAR, NULL::DATE, NULL::VARCHAR, NULL::VARCHAR, 0, 0, 0)"
NO_DAMAGED_FILES = "(NULL::VARCHAR, NULL::DATE, NULL::VARCHAR, NULL::VARCHAR)"
NONE_LISTED = " WHERE path IS NOT NULL"


def build_views(folder: ArchiveFolder, manifest: Manifest, flaws: Mapping[str, str]) -> None:
    """Replace the DuckDB file by one whose views have the files of *manifest* without *flaws*.

    A view per table; `option_chain` (legs with the facts of their snapshots), `archive_files`, and
    `archive_damaged_files`: those whose path has one of the *flaws*, and which it is. A query over
    a list with a file that cannot be read finds nothing in the others. The paths in it are
    absolute. Raises OSError and duckdb.Error; then the former file stays.
    """
    files: defaultdict[str, list[ManifestFile]] = defaultdict(list)
    sound = [file for file in manifest.files if file.path not in flaws]
    damaged = [file for file in manifest.files if file.path in flaws]
    for file in sound:
        files[file.table].append(file)
    statements = [
        _view(folder, manifest, schema, files[schema.table]) for schema in ARCHIVE_SCHEMAS.values()
    ]
    with new_file(folder.database) as unfinished:
        # DuckDB opens no empty file.
        unfinished.unlink()
        with duckdb.connect(str(unfinished)) as database:
            for each in (*statements, LEGS_WITH_FACTS, _files(sound), _damaged(damaged, flaws)):
                database.execute(each)


def _view(
    folder: ArchiveFolder, manifest: Manifest, schema: ArchiveSchema, files: Sequence[ManifestFile]
) -> str:
    """Month by month: where a query names its time DuckDB leaves the other months out, whose
    files it would have to open."""
    months: defaultdict[date, list[ManifestFile]] = defaultdict(list)
    for file in files:
        months[file.trading_date.replace(day=1)].append(file)
    empty = _empty_file(folder, manifest, schema)
    parts = [_month(folder, schema, empty, month, months[month]) for month in sorted(months)]
    return f"CREATE VIEW {schema.table} AS " + " UNION ALL ".join(parts or [_rows_of([empty])])


def _month(
    folder: ArchiveFolder,
    schema: ArchiveSchema,
    empty: Path,
    month: date,
    files: Sequence[ManifestFile],
) -> str:
    # Files of an earlier version have fewer columns. To join them by name DuckDB reads the footer
    # of every file before each query, which takes two or three times as long with hundreds.
    by_name = any(file.schema_version != schema.version for file in files)
    paths = [folder.root / file.path for file in files]
    rows = _rows_of([empty, *paths], "union_by_name = true") if by_name else _rows_of(paths)
    begin, end = _midnight(month), _midnight((month + LONGEST_MONTH).replace(day=1))
    return f"{rows} WHERE {schema.time} >= {begin} AND {schema.time} < {end}"


def _rows_of(paths: Sequence[Path], *options: str) -> str:
    listed = ", ".join(_text(str(path.resolve())) for path in paths)
    given = ", ".join((f"[{listed}]", *options))
    return f"SELECT * FROM read_parquet({given})"  # noqa: S608 - texts are quoted


def _midnight(day: date) -> str:
    """The first instant of an Indian date."""
    return f"TIMESTAMPTZ '{bounds_of(day)[0].isoformat(sep=' ')}'"


def _files(files: Sequence[ManifestFile]) -> str:
    rows = ", ".join(
        f"({_text(f.table)}, {_text(f.trading_date.isoformat())}::DATE, {_text(f.kind.value)}, "
        f"{_text(f.path)}, {f.rows}, {f.size_bytes}, {f.schema_version})"
        for f in files
    )
    return FILES.format(rows=rows) if rows else FILES.format(rows=NO_FILES) + NONE_LISTED


def _damaged(files: Sequence[ManifestFile], flaws: Mapping[str, str]) -> str:
    rows = ", ".join(
        f"({_text(f.table)}, {_text(f.trading_date.isoformat())}::DATE, {_text(f.path)}, "
        f"{_text(flaws[f.path])})"
        for f in files
    )
    if not rows:
        return DAMAGED_FILES.format(rows=NO_DAMAGED_FILES) + NONE_LISTED
    return DAMAGED_FILES.format(rows=rows)


def _empty_file(folder: ArchiveFolder, manifest: Manifest, schema: ArchiveSchema) -> Path:
    """A file of the columns of this version: a view over no file at all is an error."""
    path = folder.processed / schema.table / f"empty-{schema.version}.parquet"
    if not path.exists():
        write_table_file(path, schema, [], world=manifest.world, trading_date=NO_DAY)
    return path


def _text(value: str) -> str:
    """A text of SQL. A view cannot have parameters."""
    return "'" + value.replace("'", "''") + "'"
