"""What readers see of the archive: manifest and views, changed together.

Programs that change them (the loader, the one that seals days) take turns by a lock. Readers take
no lock: they find the former list or the new one, each with all of its files.
"""

import logging
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from data_fetch.archive.file_looks import FileLooks
from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.manifest_file import read_manifest, write_manifest
from data_fetch.archive.views import build_views
from data_fetch.core.archive.manifest import (
    Manifest,
    ManifestFile,
    TableDay,
    overdue,
    with_days,
    without,
)
from data_fetch.core.archive.minutes import MINUTE_TABLES
from data_fetch.core.errors import SetupError, WrongWorld
from data_fetch.core.files import OWNER_ONLY, UNFINISHED, make_folder
from data_fetch.core.ports import Clock
from data_fetch.core.world import World

log = logging.getLogger(__name__)

# The parts and days that the loader writes; sealed days are named otherwise.
OWN_NAME = re.compile(r"(\d{4}|whole)\.\d+\.parquet")


class Catalog:
    """The manifest and the views of the archive at *folder*, which belongs to one store.

    *clock* is the computer's: former files are kept for an hour of a reader's time.
    """

    def __init__(self, folder: ArchiveFolder, world: World, store_id: str, clock: Clock) -> None:
        self.folder = folder
        self._world = world
        self._store_id = store_id
        self._clock = clock
        self._turn = FileLock(folder.processed / "manifest.lock", mode=OWNER_ONLY)
        self.looks = FileLooks(folder.root)
        # Of the views that were built last.
        self._flaws: Mapping[str, str] = {}

    def read(self) -> Manifest:
        """The files that readers see; none if there is no archive.

        Raises WrongWorld and SetupError if the folder has the archive of another store, or the
        DuckDB file of another program.
        """
        found = read_manifest(self.folder.manifest)
        if found is None:
            if self.folder.database.exists():
                raise SetupError(
                    f"{self.folder.database} is there, and the archive beside it is not: it is "
                    "of another program",
                    hint="Move it away, or set ARCHIVE_FOLDER to another folder.",
                )
            return Manifest(world=self._world, store_id=self._store_id)
        self._refuse_others(found)
        return found

    def _refuse_others(self, found: Manifest) -> None:
        root = self.folder.root
        if found.world is not self._world:
            raise WrongWorld(
                f"{root} has the archive of the {found.world} world; {self._world} prices cannot "
                "be added",
                hint="Set ARCHIVE_FOLDER to another folder.",
            )
        if found.store_id != self._store_id:
            raise SetupError(
                f"{root} has the archive of another store ({found.store_id}; this one is "
                f"{self._store_id})",
                hint="Set ARCHIVE_FOLDER to another folder, or DATABASE_URL to that store.",
            )

    def publish(self, days: Mapping[TableDay, Sequence[ManifestFile]]) -> Manifest:
        """Let readers see these files of some tables and days, and no others of them.

        Former files are removed when no query can have them any longer. A day that is sealed
        keeps its sealed file unless another sealed one comes. A file that cannot be read stays in
        the manifest and is left out of the views. Raises OSError, duckdb.Error and as `read`.
        """
        make_folder(self.folder.processed)
        with self._turn:
            now = self._clock.now()
            manifest = with_days(self.read(), days, now)
            gone = overdue(manifest, now)
            for each in gone:
                (self.folder.root / each.path).unlink(missing_ok=True)
            manifest = without(manifest, gone)
            write_manifest(self.folder.manifest, manifest)
            self._build_views(manifest)
        for each in gone:
            _remove_if_empty((self.folder.root / each.path).parent)
        return manifest

    def _build_views(self, manifest: Manifest) -> None:
        flaws = self.flaws(manifest)
        build_views(self.folder, manifest, flaws)
        for path, reason in flaws.items():
            if self._flaws.get(path) != reason:
                log.warning("archive_file_left_out", extra={"file": path, "why": reason})
        self._flaws = flaws

    def flaws(self, manifest: Manifest) -> dict[str, str]:
        """Why files of *manifest* cannot be read, by their paths; empty if all of them can."""
        found = ((file.path, self.looks.flaw(file)) for file in manifest.files)
        return {path: flaw for path, flaw in found if flaw is not None}

    def refresh(self, manifest: Manifest) -> None:
        """Build the views anew if files of *manifest* were damaged or put back since."""
        if self.flaws(manifest) != self._flaws:
            self.rebuild_views()

    def remove_unpublished(self) -> int:
        """Remove what a killed archiver has written and not published; how many files it were.

        Only for the one archiver that writes here. Sealed days are another program's work.
        """
        with self._turn:
            manifest = self.read()
            named = {file.path for file in manifest.files} | {e.path for e in manifest.retired}
            left = [path for path in self._own_files() if self.folder.relative(path) not in named]
            for path in left:
                path.unlink(missing_ok=True)
        shutil.rmtree(self.folder.sorting, ignore_errors=True)
        return len(left)

    def _own_files(self) -> Iterator[Path]:
        """Parts and days of the loader, and every file that was not finished."""
        for table in MINUTE_TABLES:
            for path in (self.folder.processed / table).glob("*/*"):
                if OWN_NAME.match(path.name):
                    yield path
        yield from self.folder.minutes.glob(f"*/*{UNFINISHED}")
        yield from self.folder.processed.glob(f"{self.folder.manifest.name}.*{UNFINISHED}")
        # With what DuckDB puts beside a file that it writes.
        yield from self.folder.root.glob(f"{self.folder.database.name}.*{UNFINISHED}*")

    def rebuild_views(self) -> None:
        """Build the views of the manifest: a program may have been killed between the two."""
        self.publish({})


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
