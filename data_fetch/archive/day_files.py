"""The sealed files of a day: written from the store's rows, checked, read back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa

from data_fetch.analytics.row_digests import RowDigest
from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.parquet_files import (
    BadFile,
    Expected,
    TornFile,
    quarantine,
    read_checked,
    write_table_file,
)
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS, ArchiveSchema
from data_fetch.core.archive.days import ArchivedFile
from data_fetch.core.world import World

ROWS_AT_ONCE = 65_536


class MissingFile(BadFile):
    """It is not where it was written."""


@dataclass(frozen=True, slots=True)
class DayFiles:
    """The sealed files in *folder*, of one *world*."""

    folder: ArchiveFolder
    world: World

    def path_of(self, file: ArchivedFile) -> Path:
        return self.folder.root / file.path

    def write(
        self,
        table: str,
        day: date,
        generation: int,
        portions: Iterable[pa.Table],
        written_at: datetime,
    ) -> ArchivedFile:
        """The file of one table and day, with the digest of its rows. Raises OSError."""
        schema, digest = ARCHIVE_SCHEMAS[table], RowDigest()
        written = write_table_file(
            self.folder.day_file(table, day, generation),
            schema,
            _counted(portions, digest, schema),
            world=self.world,
            trading_date=day,
            facts={"generation": str(generation)},
        )
        return ArchivedFile(
            table_name=table,
            trading_date=day,
            path=self.folder.relative(written.path),
            rows=written.rows,
            size_bytes=written.size_bytes,
            sha256=written.sha256,
            digest=digest.value,
            schema_version=schema.version,
            written_at=written_at,
        )

    def check(self, file: ArchivedFile) -> None:
        """Raise BadFile if *file* is gone, unreadable, or has other bytes or rows than were
        written."""
        path, expected = self.path_of(file), Expected(file.rows, file.sha256)
        try:
            read_checked(path, ARCHIVE_SCHEMAS[file.table_name], expected, world=self.world).close()
        except (FileNotFoundError, NotADirectoryError):
            raise MissingFile(path, "it is not there") from None
        except OSError as problem:
            raise BadFile(path, f"it cannot be read ({problem})") from problem

    def portions(self, file: ArchivedFile) -> Iterator[pa.RecordBatch]:
        """The rows of a file that was checked. Raises TornFile for a damaged page."""
        path = self.path_of(file)
        with read_checked(path, ARCHIVE_SCHEMAS[file.table_name], world=self.world) as opened:
            try:
                yield from opened.iter_batches(ROWS_AT_ONCE)
            except OSError as problem:
                raise TornFile(path, f"a page cannot be read ({problem})") from problem

    def set_apart(self, file: ArchivedFile, reason: str) -> None:
        """Move a bad file into quarantine, unless it is gone."""
        if self.path_of(file).exists():
            quarantine(self.path_of(file), reason, self.folder.quarantine)


def _counted(
    portions: Iterable[pa.Table], digest: RowDigest, schema: ArchiveSchema
) -> Iterator[pa.Table]:
    for portion in portions:
        digest.add(portion.select(schema.arrow.names))
        yield portion
