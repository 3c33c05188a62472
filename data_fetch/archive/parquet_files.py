"""Parquet files of the archive: written whole, checked before they are used, or set apart.

Every file says in its metadata (keys beginning with `data_fetch.`) whose it is: table, schema
version, world, trading date, number of rows, sort order.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from data_fetch import __version__
from data_fetch.archive.schemas import SPLIT_NUMBERS, ArchiveSchema
from data_fetch.core.errors import DataFetchError
from data_fetch.core.files import OWNER_ONLY, make_folder, new_file, sync_folder
from data_fetch.core.world import World

# A reader skips the groups without its underlying or instrument, by their statistics.
ROWS_PER_GROUP = 65_536
PREFIX = "data_fetch."
UNREADABLE = (OSError, pa.ArrowException, ValueError)
Batches = Iterable[pa.RecordBatch | pa.Table]


class BadFile(DataFetchError):
    """A file that cannot be used, and the *reason*."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class TornFile(BadFile):
    """It is no complete Parquet file, or its pages are damaged."""


class ForeignFile(BadFile):
    """It is Parquet, but not a file of this table: of another program, table, version or world."""


class AlteredFile(BadFile):
    """It has other rows than it says, or other bytes than are known of it."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file as it was written; *sha256* is of all its bytes, in hexadecimal digits."""

    path: Path
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a file; None: unknown."""

    rows: int | None = None
    sha256: str | None = None


NOTHING_KNOWN = Expected()
NO_FACTS: Mapping[str, str] = {}


def write_table_file(
    path: Path,
    schema: ArchiveSchema,
    batches: Batches,
    *,
    world: World,
    trading_date: date,
    facts: Mapping[str, str] = NO_FACTS,
) -> WrittenFile:
    """Write *batches*, which are in the order of the schema's key, to *path*.

    They are read as they are written: no more than one row group is in memory. *facts* are added
    to the file's metadata. Raises OSError (disk, folder) and ArrowInvalid (a null where none can
    be); then there is no file.
    """
    described = {
        "table": schema.table,
        "schema_version": str(schema.version),
        "world": world.value,
        "trading_date": trading_date.isoformat(),
        "product_version": __version__,
        "sort_order": ",".join(schema.key),
        **facts,
    }
    with new_file(path) as unfinished:
        rows = _write(unfinished, schema, batches, described)
        size, digest = unfinished.stat().st_size, sha256_of(unfinished)
    return WrittenFile(path, rows, size, digest)


def _write(
    path: Path, schema: ArchiveSchema, batches: Batches, described: Mapping[str, str]
) -> int:
    rows = 0
    with pq.ParquetWriter(path, schema.arrow, **_format_of(schema)) as writer:
        for group in _groups(batches, schema.arrow):
            writer.write_table(group, row_group_size=ROWS_PER_GROUP)
            rows += group.num_rows
        named = {**described, "rows": str(rows)}
        writer.add_key_value_metadata({f"{PREFIX}{name}": value for name, value in named.items()})
    return rows


def _format_of(schema: ArchiveSchema) -> dict[str, Any]:
    """How the file is written: what every reader of Parquet reads."""
    split = SPLIT_NUMBERS.get(schema.table, ())
    return {
        "compression": "zstd",
        "use_dictionary": [name for name in schema.arrow.names if name not in split],
        "column_encoding": dict.fromkeys(split, "BYTE_STREAM_SPLIT") or None,
        "write_statistics": True,
        "write_page_index": True,
        "write_page_checksum": True,
        "sorting_columns": pq.SortingColumn.from_ordering(
            schema.arrow, [(name, "ascending") for name in schema.key]
        ),
    }


def _groups(batches: Batches, columns: pa.Schema) -> Iterator[pa.Table]:
    """*batches* as tables of ROWS_PER_GROUP rows; the last one has the rest."""
    waiting: list[pa.Table] = []
    for batch in batches:
        rest = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        rest = rest.select(columns.names).cast(columns)
        while rest.num_rows:
            room = ROWS_PER_GROUP - sum(each.num_rows for each in waiting)
            waiting.append(rest.slice(0, room))
            if rest.num_rows >= room:
                yield pa.concat_tables(waiting)
                waiting = []
            rest = rest.slice(room)
    if waiting:
        yield pa.concat_tables(waiting)


def read_checked(
    path: Path,
    schema: ArchiveSchema,
    expected: Expected = NOTHING_KNOWN,
    *,
    world: World | None = None,
) -> pq.ParquetFile:
    """The open file at *path*, to be closed by the caller, if it is what it says it is.

    Checked are its bytes (where *expected* has their SHA-256), footer, table, schema version,
    world (where one is given), columns and number of rows. The pages are checked as they are
    read, which raises OSError for a damaged one. Raises TornFile, ForeignFile or AlteredFile with
    the reason, and FileNotFoundError.
    """
    if expected.sha256 is not None and sha256_of(path) != expected.sha256:
        raise AlteredFile(path, "its bytes are not those that were written (SHA-256)")
    file = _open(path)
    try:
        _check(path, file, schema, expected, world)
    except BadFile:
        file.close()
        raise
    except UNREADABLE as problem:
        file.close()
        raise TornFile(path, f"its footer is damaged ({problem})") from problem
    return file


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except UNREADABLE as problem:
        raise TornFile(path, f"not a complete Parquet file ({problem})") from problem


def _check(
    path: Path,
    file: pq.ParquetFile,
    schema: ArchiveSchema,
    expected: Expected,
    world: World | None,
) -> None:
    facts = facts_of(file)
    if "table" not in facts:
        raise ForeignFile(path, "a Parquet file of another program")
    if facts["table"] != schema.table:
        raise ForeignFile(path, f"a file of {facts['table']}, not of {schema.table}")
    if world is not None and facts.get("world") != world.value:
        raise ForeignFile(path, f"a file of the {facts.get('world')} world, not of {world}")
    if facts.get("schema_version") != str(schema.version):
        raise ForeignFile(
            path,
            f"has schema version {facts.get('schema_version')}; this is version {schema.version}",
        )
    if not file.schema_arrow.equals(schema.arrow):
        raise ForeignFile(path, f"does not have the columns of {schema.table}")
    rows = file.metadata.num_rows
    said = facts.get("rows")
    if said != str(rows):
        raise AlteredFile(path, f"says that it has {said} rows, and has {rows}")
    if expected.rows is not None and expected.rows != rows:
        raise AlteredFile(path, f"has {rows} rows; {expected.rows} were written")


def facts_of(file: pq.ParquetFile) -> dict[str, str]:
    """What a file says of itself: empty for one of another program."""
    found = file.metadata.metadata or {}
    return {
        name.decode().removeprefix(PREFIX): value.decode()
        for name, value in found.items()
        if name.startswith(PREFIX.encode())
    }


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def quarantine(path: Path, reason: str, folder: Path) -> Path:
    """Move a file that cannot be used into *folder*; where it is from now on.

    The reason is written beside it, as NAME.reason.json.
    """
    make_folder(folder)
    target = _unused(folder, path.name)
    with new_file(target.with_name(f"{target.name}.reason.json")) as written:
        written.write_text(json.dumps({"file": str(path), "reason": reason}, indent=1) + "\n")
    path.replace(target)
    target.chmod(OWNER_ONLY)
    sync_folder(folder)
    sync_folder(path.parent)
    return target


def _unused(folder: Path, name: str) -> Path:
    """A place in *folder*; the name has a number if others of this name are there."""
    names = (name if number == 1 else f"{name}.{number}" for number in count(1))
    return next(place for each in names if not (place := folder / each).exists())
