"""The list of the files that readers of the archive read, and how it changes.

A day of a table is in parts of some minutes at first, then in one sorted file, at last in the
sealed file that was written from the store and compared with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from data_fetch.core.world import World

# A query that began with a former list has so much time to end.
KEPT_AFTERWARDS = timedelta(hours=1)


class FileKind(StrEnum):
    """How far the rows of a file have come."""

    PART = "part"
    """Some minutes of a day."""
    DAY = "day"
    """A day that is over, from its minute files."""
    SEALED = "sealed"
    """A day as the store has it, compared with it by count and digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """A file that is read. *path* is relative to the archive's folder, *sha256* of all its bytes.

    *window* is the first instant of a part. *sources* is a digest of the minute files it was made
    of; empty for a sealed file.
    """

    table: str
    trading_date: date
    kind: FileKind
    path: str
    rows: int
    size_bytes: int
    sha256: str
    schema_version: int
    window: datetime | None = None
    sources: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredFile:
    """A file that is not read any longer, and the instant since when."""

    path: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files of one world and one store. *sequence* counts the changes."""

    world: World
    store_id: str
    sequence: int = 0
    files: tuple[ManifestFile, ...] = ()
    retired: tuple[RetiredFile, ...] = ()

    def of(self, table: str, day: date) -> tuple[ManifestFile, ...]:
        """The files of one table and day."""
        return tuple(f for f in self.files if f.table == table and f.trading_date == day)

    def sealed(self, table: str, day: date) -> bool:
        """Whether the day is in its sealed file."""
        return any(file.kind is FileKind.SEALED for file in self.of(table, day))


TableDay = tuple[str, date]


def with_days(
    manifest: Manifest, days: Mapping[TableDay, Sequence[ManifestFile]], now: datetime
) -> Manifest:
    """*manifest* with other files for some tables and days; the former ones are retired.

    A sealed file gives way to nothing but a sealed file, so that who is late cannot undo it.
    """
    changed = {
        key: tuple(files)
        for key, files in days.items()
        if not manifest.sealed(*key) or any(file.kind is FileKind.SEALED for file in files)
    }
    others = [f for f in manifest.files if (f.table, f.trading_date) not in changed]
    files = sorted([*others, *(file for each in changed.values() for file in each)], key=_place)
    read = {file.path for file in files}
    gone = [file.path for file in manifest.files if file.path not in read]
    retired = [each for each in manifest.retired if each.path not in read]
    return replace(
        manifest,
        sequence=manifest.sequence + 1,
        files=tuple(files),
        retired=(*retired, *(RetiredFile(path=path, since=now) for path in gone)),
    )


def _place(file: ManifestFile) -> tuple[str, date, str]:
    return file.table, file.trading_date, file.path


def overdue(manifest: Manifest, now: datetime) -> tuple[RetiredFile, ...]:
    """The retired files that no query reads any longer."""
    return tuple(each for each in manifest.retired if now - each.since >= KEPT_AFTERWARDS)


def without(manifest: Manifest, removed: Iterable[RetiredFile]) -> Manifest:
    """*manifest* when the *removed* files are gone."""
    gone = set(removed)
    return replace(manifest, retired=tuple(e for e in manifest.retired if e not in gone))
