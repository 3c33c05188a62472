"""Joins finished minute files into larger ones and makes them visible, every five minutes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter

from data_fetch.archive.catalog import Catalog
from data_fetch.archive.minute_files import MinuteFiles
from data_fetch.archive.parts import PartWriter
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.compaction import Compaction, compaction
from data_fetch.core.archive.manifest import FileKind, Manifest, ManifestFile, TableDay
from data_fetch.core.archive.minutes import MINUTE_TABLES, TableMinute, watched_days
from data_fetch.core.runs import RunCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderRound:
    """What one round has made visible: parts and days written, their rows, and the days whose
    minute files were removed because they are sealed."""

    parts: int = 0
    days: int = 0
    rows: int = 0
    removed: int = 0

    def counts(self) -> RunCounts:
        """The round for the audit; empty if there was nothing to do."""
        files = self.parts + self.days
        if not files and not self.removed:
            return {}
        details = {"rows": self.rows, "days": self.days, "removed": self.removed}
        return {"requested": files, "stored": files, "details": details}


class ArchiveLoader:
    """Compacts the minute files of *files* into what *catalog* shows.

    A round may end anywhere: what it has not published is written again by the next one.
    """

    def __init__(self, catalog: Catalog, files: MinuteFiles, now: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._files = files
        self._now = now

    def prepare(self) -> None:
        """Build the views, and remove what a killed loader has left."""
        self._catalog.rebuild_views()
        self._catalog.remove_unpublished()

    def round(self) -> LoaderRound:
        """Write what is missing and publish it at once. Raises OSError and duckdb.Error."""
        now = self._now()
        manifest = self._catalog.read()
        changed = dict(self._changes(manifest, now))
        if changed:
            self._catalog.publish(changed)
        else:
            self._catalog.refresh(manifest)
        written = [
            file for files in changed.values() for file in files if file not in manifest.files
        ]
        return LoaderRound(
            parts=sum(file.kind is FileKind.PART for file in written),
            days=sum(file.kind is FileKind.DAY for file in written),
            rows=sum(file.rows for file in written),
            removed=self._remove_sealed(manifest),
        )

    def _changes(
        self, manifest: Manifest, now: datetime
    ) -> Iterator[tuple[TableDay, list[ManifestFile]]]:
        writer = PartWriter(self._catalog.folder, manifest)
        flaws = self._catalog.flaws(manifest)
        for day in self._files.days():
            states = self._files.states(day)
            for table in MINUTE_TABLES:
                published = manifest.of(table, day)
                if _is_settled(day, published, now):
                    continue
                minutes = {of.minute: state for of, state in states.items() if of.table == table}
                # A part that was damaged is written anew.
                usable = [file for file in published if file.path not in flaws]
                work = compaction(table, day, minutes, usable, now)
                files = self._done(writer, table, day, work, usable)
                if list(published) != files:
                    yield (table, day), files

    def _done(
        self,
        writer: PartWriter,
        table: str,
        day: date,
        work: Compaction,
        published: Sequence[ManifestFile],
    ) -> list[ManifestFile]:
        """The files of a table and day, after the work on it."""
        schema, former = ARCHIVE_SCHEMAS[table], {file.window: file for file in published}
        files, complete = list(work.kept), True
        for plan in work.parts:
            rows = [self._files.rows(TableMinute(minute, table)) for minute in plan.minutes]
            usable = [each for each in rows if each is not None]
            if len(usable) == len(rows):
                files.append(writer.write_part(schema, day, plan, usable))
                continue
            # The minute is written again; until then readers see what they saw before.
            complete = False
            if plan.window in former:
                files.append(former[plan.window])
        if work.whole and complete:
            return [writer.write_day(schema, day, files, work.sources)]
        if work.whole and None in former:
            return [former[None]]
        return sorted(files, key=attrgetter("path"))

    def _remove_sealed(self, manifest: Manifest) -> int:
        """Remove the minute files of tables and days that are sealed."""
        sealed = [
            (table, day)
            for day in self._files.days()
            for table in MINUTE_TABLES
            if manifest.sealed(table, day)
        ]
        for table, day in sealed:
            self._files.remove_table(table, day)
        return len(sealed)


def _is_settled(day: date, published: Sequence[ManifestFile], now: datetime) -> bool:
    """Whether the files of a table and day do not follow its minute files any longer."""
    kinds = {file.kind for file in published}
    return FileKind.SEALED in kinds or (FileKind.DAY in kinds and day not in watched_days(now))
