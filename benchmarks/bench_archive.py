"""The archive beside bare pyarrow and DuckDB: a day joined and visible, its bytes, a symbol-day out
of many days, a year of one figure, and the memory that a large day takes.

ARCHIVE_ROWS (in all days, 3 million) and ARCHIVE_DAY_ROWS (of the large day, 2 million) make it
larger: the bounds are meant for 100 million and 9 million.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import duckdb
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import parquet as pq

from benchmarks.archive_figures import LOOKS, year_of_figures
from benchmarks.archive_legs import SCHEMA, day_of_legs, minute_of_legs, opening
from benchmarks.figure import Figure, interleaved
from data_fetch import reading
from data_fetch.archive.catalog import Catalog
from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.minute_files import MinuteFiles
from data_fetch.archive.parquet_files import sha256_of
from data_fetch.archive.parts import PartWriter
from data_fetch.core.archive.compaction import PartPlan
from data_fetch.core.archive.manifest import FileKind, Manifest, ManifestFile
from data_fetch.core.archive.minutes import TableMinute
from data_fetch.core.clock import MINUTE, SystemClock
from data_fetch.core.settings import Settings
from data_fetch.core.world import World

DAY, ROWS_A_DAY = date(2026, 9, 16), 500_000
ALL_ROWS = int(os.environ.get("ARCHIVE_ROWS", 3_000_000))
LARGE_DAY = int(os.environ.get("ARCHIVE_DAY_ROWS", 2_000_000))
TABLE, LEAST_RATE, MOST_BYTES, MOST_TIMES, MOST_MEMORY = SCHEMA.table, 0.7, 1.3, 3.0, 1000.0
MINUTE_FILES, ROUNDS = 40, 3


class Parts(NamedTuple):
    """A day in parts: where they are, and the writer that joins them."""

    folder: ArchiveFolder
    writer: PartWriter
    files: list[ManifestFile]


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="archive-") as temporary:
        root = Path(temporary)
        yield from _minutes(root / "minutes")
        parts = parts_at(root / "day", ROWS_A_DAY)
        yield from _day(parts)
        yield from _symbol_day(root / "years")
        yield from _year(root / "figures")
        yield from _memory(root / "large")


def parts_at(root: Path, rows: int) -> Parts:
    """A day of about *rows* legs in parts of five minutes."""
    folder = ArchiveFolder(root)
    writer = PartWriter(folder, Manifest(world=World.PAPER, store_id="bench"))
    files, waiting = [], []
    for number, minute in enumerate(day_of_legs(DAY, rows), 1):
        waiting.append(minute)
        if number % 5 == 0:
            window = opening(DAY) + (number - 5) * MINUTE
            plan = PartPlan(window=window, minutes=(), sources=str(number))
            files.append(writer.write_part(SCHEMA, DAY, plan, waiting))
            waiting = []
    return Parts(folder, writer, files)


def entry_of(folder: ArchiveFolder, path: Path) -> ManifestFile:
    """A part as the manifest has it, from the file itself."""
    return ManifestFile(
        table=TABLE,
        trading_date=DAY,
        kind=FileKind.PART,
        path=folder.relative(path),
        rows=pq.read_metadata(path).num_rows,
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        schema_version=SCHEMA.version,
    )


def _minutes(root: Path) -> Iterator[Figure]:
    files = MinuteFiles(ArchiveFolder(root), World.PAPER, print)
    minutes = [minute_of_legs(DAY, number, 2) for number in range(MINUTE_FILES)]
    began = perf_counter()
    for number, rows in enumerate(minutes):
        files.write(TableMinute(opening(DAY) + number * MINUTE, TABLE), "state", rows)
    took = (perf_counter() - began) / MINUTE_FILES
    yield Figure(
        "a minute file of legs, synchronised and renamed",
        took * 1000,
        "ms",
        detail=f"{minutes[0].num_rows:,} legs",
    )


def _day(parts: Parts) -> Iterator[Figure]:
    catalog = Catalog(parts.folder, World.PAPER, "bench", SystemClock())
    rows = sum(file.rows for file in parts.files)
    paths = [str(parts.folder.root / file.path) for file in parts.files]
    bare_file, bare_views = parts.folder.root / "bare.parquet", parts.folder.root / "bare.duckdb"
    written: list[ManifestFile] = []

    def ours() -> None:
        written[:] = [parts.writer.write_day(SCHEMA, DAY, parts.files, "")]
        catalog.publish({(TABLE, DAY): written})
        assert _counted(parts.folder.database, TABLE) == rows

    def bare() -> None:
        bare_views.unlink(missing_ok=True)
        _bare_day(paths, bare_file)
        with duckdb.connect(str(bare_views)) as database:
            database.execute(f"CREATE VIEW {TABLE} AS FROM read_parquet('{bare_file}')")
        assert _counted(bare_views, TABLE) == rows

    mine, theirs, ratio = interleaved(ours, bare, ROUNDS)
    yield Figure(
        "a day of chains joined and visible, beside bare pyarrow and DuckDB",
        1 / ratio,
        "of the rate",
        least=LEAST_RATE,
        detail=f"{rows / mine:,.0f} and {rows / theirs:,.0f} legs/s",
    )
    bare_bytes = bare_file.stat().st_size
    yield Figure(
        "bytes of a leg beside bare pyarrow zstd",
        written[0].size_bytes / bare_bytes,
        "x",
        MOST_BYTES,
        f"{written[0].size_bytes / rows:.1f} and {bare_bytes / rows:.1f} bytes",
    )


def _bare_day(paths: Sequence[str], target: Path) -> None:
    """The same rows, sorted by DuckDB and written by pyarrow as it does without any option."""
    with duckdb.connect() as database:
        rows = database.read_parquet(list(paths)).order(", ".join(SCHEMA.key))
        reader = rows.to_arrow_reader(100_000)
        with pq.ParquetWriter(target, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)


def _counted(database: Path, table: str) -> int:
    with duckdb.connect(str(database), read_only=True) as opened:
        (rows,) = opened.execute(f"SELECT count(*) FROM {table}").fetchall()[0]  # noqa: S608 - ours
    return int(rows)


def _symbol_day(root: Path) -> Iterator[Figure]:
    folder = ArchiveFolder(root)
    catalog = Catalog(folder, World.PAPER, "bench", SystemClock())
    days = [DAY - timedelta(days=ago) for ago in range(max(2, ALL_ROWS // ROWS_A_DAY))]
    template = pa.concat_tables(day_of_legs(DAY, ROWS_A_DAY)).sort_by(
        [(name, "ascending") for name in SCHEMA.key]
    )
    files = {(TABLE, day): [_day_file(folder, template, day)] for day in days}
    catalog.publish(files)
    wanted = opening(days[len(days) // 2])
    one = folder.root / files[TABLE, days[len(days) // 2]][0].path
    with (
        duckdb.connect(str(folder.database), read_only=True) as archive,
        duckdb.connect() as bare,
    ):
        mine, theirs, ratio = interleaved(
            lambda: _asked(archive, TABLE, wanted),
            lambda: _asked(bare, f"read_parquet('{one}')", wanted),
            2 * ROUNDS,
        )
    yield Figure(
        "a symbol-day out of all days, beside DuckDB on its one file",
        ratio,
        "x",
        MOST_TIMES,
        f"{mine * 1000:.0f} and {theirs * 1000:.0f} ms, {len(days)} days, "
        f"{len(days) * template.num_rows:,} legs",
    )


def _day_file(folder: ArchiveFolder, template: pa.Table, day: date) -> ManifestFile:
    """The *template*'s day as it was on another one."""
    moved = template.column("timestamp").cast(pa.int64())
    ago = int((opening(DAY) - opening(day)) / timedelta(microseconds=1))
    moved = pc.subtract(moved, ago).cast(SCHEMA.arrow.field("timestamp").type)
    place = SCHEMA.arrow.get_field_index("timestamp")
    rows = template.set_column(place, SCHEMA.arrow.field(place), moved)
    writer = PartWriter(folder, Manifest(world=World.PAPER, store_id="bench"))
    plan = PartPlan(window=opening(day), minutes=(), sources="")
    return writer.write_part(SCHEMA, day, plan, [rows])


def _asked(database: duckdb.DuckDBPyConnection, of: str, day: datetime) -> pa.Table:
    found = database.sql(
        f"SELECT * FROM {of} WHERE underlying = 'NIFTY' "  # noqa: S608 - ours
        "AND timestamp >= ? AND timestamp < ?",
        params=[day, day + timedelta(hours=7)],
    ).to_arrow_table()
    assert found.num_rows
    return found


def _year(root: Path) -> Iterator[Figure]:
    root.mkdir()
    settings = Settings.load(
        {"DATA_SOURCE": "upstox", "DATABASE_URL": f"sqlite:///{root}/store.db"}, root
    )
    days = year_of_figures(settings.store_url, settings.data_folder)
    files = [str(path) for path in settings.data_folder.rglob("chain_summary/**/*.parquet")]
    asked = {"first": days[0], "last": days[-1], "settings": settings}

    def ours(*columns: str) -> pa.Table:
        return reading.chain_history("NIFTY", None, columns=columns, **asked).table

    def bare() -> pa.Table:
        with duckdb.connect() as database:
            return database.sql(
                "SELECT pcr_oi FROM read_parquet($files) WHERE underlying = 'NIFTY'",
                params={"files": files},
            ).to_arrow_table()

    assert ours("pcr_oi").num_rows == bare().num_rows == len(days) * LOOKS
    bounds = {"a year of PCR": (("pcr_oi",), MOST_TIMES), "a year of all figures": ((), None)}
    for name, (columns, bound) in bounds.items():
        mine, theirs, ratio = interleaved(lambda of=columns: ours(*of), bare, 5 * ROUNDS)
        yield Figure(
            f"{name} of one underlying, beside DuckDB's scan of that column",
            ratio,
            "x",
            bound,
            f"{mine * 1000:.0f} and {theirs * 1000:.0f} ms, {len(days)} days, "
            f"{len(days) * LOOKS:,} snapshots",
        )


def _memory(root: Path) -> Iterator[Figure]:
    parts = parts_at(root, LARGE_DAY)
    rows, began = sum(file.rows for file in parts.files), perf_counter()
    paths = [str(parts.folder.root / file.path) for file in parts.files]
    # In a process of its own: what this one has used before counts for nothing there.
    joined = subprocess.run(
        [sys.executable, "-m", "benchmarks.archive_join", str(root), *paths],
        check=True,
        capture_output=True,
        text=True,
    )
    yield Figure(
        "memory of joining a large day",
        float(joined.stdout),
        "MB",
        MOST_MEMORY,
        f"{rows:,} legs, {rows / (perf_counter() - began):,.0f} legs/s",
    )
