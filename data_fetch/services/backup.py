"""Backs up a store, checks backups, and restores them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from pathlib import Path

from data_fetch.core.backups import BackupFormat, BackupRecord
from data_fetch.core.errors import SetupError, StoreRefused, WrongWorld
from data_fetch.core.ports import Clock
from data_fetch.core.world import World
from data_fetch.storage.backups.files import (
    back_up,
    backups_of,
    digests_in,
    record_of,
    remove_backup,
)
from data_fetch.storage.backups.postgres_programs import can_restore
from data_fetch.storage.backups.restoring import digests_of_dump, restore
from data_fetch.storage.copy import refuse_differences
from data_fetch.storage.database.store import Store, stamped_world, store_id

# A table, and how many more of its rows were read.
Watcher = Callable[[str, int], None]


class Proof(StrEnum):
    """How a backup was compared with its record, in words."""

    READ = "every row was read"
    RESTORED = "it was restored into a scratch database, and every row was read"
    CONTENTS = (
        "its bytes are those that were written and pg_restore lists its contents; the rows were "
        "not read"
    )
    BYTES = "its bytes are those that were written; the rows were not read"

    @property
    def has_rows(self) -> bool:
        """Whether every row was compared."""
        return self in {Proof.READ, Proof.RESTORED}


@dataclass(frozen=True, slots=True)
class Verified:
    """A backup that is as recorded, and which files of the archive that it names are missing."""

    record: BackupRecord
    proof: Proof
    missing_files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Thinned:
    """The backups of a store in a folder: *kept*, *removed*, and *unusable* ones, which count for
    nothing and stay, by their reasons."""

    kept: tuple[Path, ...]
    removed: tuple[Path, ...]
    unusable: Mapping[Path, str]


def give_id(store: Store) -> None:
    """Give *store* the id by which its backups are found again, if it has rows."""
    with store.reading() as connection:
        is_used = stamped_world(connection) is not None
    if is_used:
        store_id(store)


def create_backup(
    store: Store, target: Path, clock: Clock, watcher: Watcher
) -> tuple[Path, BackupRecord]:
    """Back up *store* into the file *target*, or into a file in the folder *target*.

    A name without an ending is that of a folder. Raises SetupError for a file that exists,
    StoreRefused when there is no room.
    """
    taken_at = clock.now().astimezone(UTC)

    def naming(kind: BackupFormat) -> Path:
        if target.suffix and not target.is_dir():
            return target
        return target / f"{store.world}-{taken_at:%Y%m%dT%H%M%SZ}.{kind}"

    return back_up(store, naming, taken_at, watcher)


def keep_newest(file: Path, verified: Verified, count: int) -> Thinned:
    """Remove backups of the same store beside *file*, which was *verified*, but for *count*.

    Those that stay are *file* and the newest ones whose bytes are as they were written. Raises
    SetupError, and removes nothing, if the rows of *file* were not compared.
    """
    if not verified.proof.has_rows:
        raise SetupError(
            f"{file} is written, and no older backup was removed: {verified.proof}",
            hint="Install the PostgreSQL client programs, and let the role create databases.",
        )
    kept, removed, unusable = [file], [], {}
    for other, _ in backups_of(verified.record.store_id or "", file.parent):
        if other == file:
            continue
        if len(kept) >= count:
            remove_backup(other)
            removed.append(other)
            continue
        try:
            record_of(other)
        except (SetupError, StoreRefused) as problem:
            unusable[other] = str(problem)
        else:
            kept.append(other)
    return Thinned(tuple(kept), tuple(removed), unusable)


def verify_backup(file: Path, server_url: str, archive: Path, watcher: Watcher) -> Verified:
    """Compare the backup in *file* with its record, as far as possible here.

    A dump is restored into a scratch database of the server at *server_url*, if that is one and
    allows it. *archive* is the folder of the archive. Raises StoreRefused for a backup that
    differs, SetupError for one that cannot be read by this version.
    """
    record = record_of(file)
    return Verified(
        record, _proof(file, record, server_url, watcher), _missing_files(record, archive)
    )


def restore_backup(
    file: Path, url: str, world: World | None, archive: Path, watcher: Watcher
) -> Verified:
    """Restore the backup in *file* into the empty store at *url*, and compare every row.

    With a *world*, a backup of the other one raises WrongWorld.
    """
    record = record_of(file)
    if world is not None and record.world is not world:
        raise WrongWorld(
            f"{file} is a backup of a {record.world} store; this is the {world} world",
            hint="Set DATA_SOURCE to fit it, or name another store with --to.",
        )
    restore(file, record, url, watcher)
    return Verified(record, Proof.READ, _missing_files(record, archive))


def _proof(file: Path, record: BackupRecord, server_url: str, watcher: Watcher) -> Proof:
    if record.format is BackupFormat.SQLITE:
        refuse_differences(str(file), record.tables, digests_in(file, watcher))
        return Proof.READ
    found = digests_of_dump(file, record, server_url, watcher)
    if found is not None:
        refuse_differences(str(file), record.tables, found)
        return Proof.RESTORED
    return Proof.CONTENTS if can_restore(file) else Proof.BYTES


def _missing_files(record: BackupRecord, archive: Path) -> tuple[str, ...]:
    return tuple(name for name in record.archive_files if not (archive / name).is_file())
