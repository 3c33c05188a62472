"""Writes a store into a file while a collector writes to it, and reads it back.

A SQLite store becomes a SQLite file: the online backup in one step, because in several it begins
anew at every write. A PostgreSQL store becomes a dump of `pg_dump`; without a fitting one, a SQLite
file that is filled through COPY. Either is of one state, whose digests are computed beside.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import orjson
from sqlalchemy import Connection, column, func, select
from sqlalchemy import table as named_table
from sqlalchemy.engine import URL

from data_fetch import __version__
from data_fetch.core.backups import BackupFormat, BackupRecord, Digests
from data_fetch.core.errors import SetupError, StoreRefused
from data_fetch.core.files import make_folder, private_file, publish
from data_fetch.core.files import new_file as new_record_file
from data_fetch.storage.backups.postgres_programs import can_dump, dumping
from data_fetch.storage.copy import closing_engine, copy_tables, discard, new_store
from data_fetch.storage.database.engine import finished_engine, is_postgres, snapshot
from data_fetch.storage.database.lives import is_locked_now, lock_at
from data_fetch.storage.database.progress import Watcher
from data_fetch.storage.database.refusals import database_error
from data_fetch.storage.database.revisions import refuse_newer, revision_in
from data_fetch.storage.database.store import GIVEN_ID, Store, stamped_world
from data_fetch.storage.database.table_digests import table_digests
from data_fetch.storage.database.tables import ArchivedFileRow, table

# One in each folder: what a killed backup left is overwritten by the next one.
DRAFT, LOCK = ".backup.part", ".backup.lock"
RECORD = ".json"
BYTES_AT_ONCE = 1 << 20
extensions = named_table("pg_extension", column("extname"), column("extversion"))

Naming = Callable[[BackupFormat], Path]


def back_up(
    store: Store, naming: Naming, taken_at: datetime, watcher: Watcher
) -> tuple[Path, BackupRecord]:
    """Write *store* into the file that *naming* has for its format, and the record beside it.

    The file appears when it is complete, for its owner only. Raises SetupError if the file is
    there already, if another backup is being written in its folder, or if the store is empty;
    StoreRefused if there is no room.
    """
    with snapshot(store.engine) as source:
        if stamped_world(source) is None:
            raise SetupError(f"{store.name} is empty: there is nothing to back up")
        kind = _format_for(source)
        file = naming(kind)
        with _draft_for(file) as draft:
            tables = _write(source, kind, draft, watcher)
            record = BackupRecord(
                format=kind,
                world=store.world,
                revision=revision_in(source) or "",
                store=store.name,
                taken_at=taken_at,
                version=__version__,
                size_bytes=draft.stat().st_size,
                sha256=_sha256(draft),
                timescaledb=_timescaledb(source),
                tables=tables,
                archive_files=_archive_files(source),
                store_id=source.scalar(GIVEN_ID),
            )
            with new_record_file(record_beside(file)) as unfinished:
                unfinished.write_bytes(orjson.dumps(record.document(), option=orjson.OPT_INDENT_2))
            publish(draft, file)
    return file, record


def record_of(file: Path) -> BackupRecord:
    """The record beside the backup in *file*, whose bytes are the recorded ones.

    Raises SetupError if either is missing, or made by a newer version; StoreRefused for a file
    that is damaged.
    """
    if not file.is_file():
        raise SetupError(f"there is no backup at {file}")
    record_file = record_beside(file)
    if not record_file.is_file():
        raise SetupError(
            f"the record {record_file.name} of {file} is missing",
            hint="Copy it from where the backup was written; without it nothing can be compared.",
        )
    record = _recorded(record_file)
    refuse_newer(record.revision)
    size = file.stat().st_size
    if size != record.size_bytes:
        raise StoreRefused(
            f"{file} is damaged: it has {size:,} bytes instead of {record.size_bytes:,}",
            hint="Use another backup.",
        )
    if _sha256(file) != record.sha256:
        raise StoreRefused(
            f"{file} is damaged: its bytes are not those that were written",
            hint="Use another backup, and check the disk.",
        )
    return record


def backups_of(store_id: str, folder: Path) -> list[tuple[Path, BackupRecord]]:
    """The files in *folder* that have records of backups of the store with this id, the newest
    first. Files without such a record are others' files."""
    found = []
    for record_file in folder.glob(f"*{RECORD}"):
        try:
            record = _recorded(record_file)
        except SetupError:
            continue
        if record.store_id == store_id:
            found.append((record_file.with_suffix(""), record))
    return sorted(found, key=lambda one: one[1].taken_at, reverse=True)


def remove_backup(file: Path) -> None:
    """Remove a backup and then its record, without which it would not be found again."""
    file.unlink(missing_ok=True)
    record_beside(file).unlink(missing_ok=True)


def _recorded(record_file: Path) -> BackupRecord:
    try:
        return BackupRecord.parsed(orjson.loads(record_file.read_bytes()), str(record_file))
    except orjson.JSONDecodeError as problem:
        raise SetupError(f"{record_file} is no JSON document ({problem})") from problem


def digests_in(file: Path, watcher: Watcher) -> Digests:
    """The digests of the tables in a SQLite file that no program has open."""
    with closing_engine(finished_engine(file)) as engine, snapshot(engine) as connection:
        return table_digests(connection, watcher)


def record_beside(file: Path) -> Path:
    return file.with_name(f"{file.name}{RECORD}")


def _format_for(source: Connection) -> BackupFormat:
    with_programs = is_postgres(source) and can_dump(source)
    return BackupFormat.POSTGRES_DUMP if with_programs else BackupFormat.SQLITE


@contextmanager
def _draft_for(file: Path) -> Iterator[Path]:
    """A name for the unfinished backup, which only one process in its folder writes."""
    make_folder(file.parent)
    lock = lock_at(file.with_name(LOCK))
    if not is_locked_now(lock):
        raise SetupError(
            f"another backup is being written in {file.parent}", hint="Wait until it has ended."
        )
    draft = file.with_name(DRAFT)
    try:
        if file.exists():
            raise SetupError(f"{file} exists already", hint="Name a file that does not.")
        discard(draft)
        # Before anything is in it, so that others can read it at no time.
        private_file(draft)
        yield draft
    finally:
        discard(draft)
        lock.release(force=True)


def _write(source: Connection, kind: BackupFormat, draft: Path, watcher: Watcher) -> Digests:
    if kind is BackupFormat.POSTGRES_DUMP:
        exported: str = source.execute(select(func.pg_export_snapshot())).scalar_one()
        with dumping(source.engine.url, exported, draft):
            return table_digests(source, watcher)
    if is_postgres(source):
        with new_store(draft) as target:
            return copy_tables(source, target, watcher)
    _back_up_online(source, draft)
    return table_digests(source, watcher)


def _back_up_online(source: Connection, draft: Path) -> None:
    """Copy the pages of the state that *source* reads: its transaction has begun."""
    original = source.connection.driver_connection
    assert isinstance(original, sqlite3.Connection)
    try:
        with closing(sqlite3.connect(draft)) as copy:
            original.backup(copy)
            # One file, that is read without a log beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as problem:
        where = URL.create("sqlite", database=str(draft))
        ours = database_error(where, problem, lost=False)
        if ours is None:
            raise
        raise ours from problem


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while content := opened.read(BYTES_AT_ONCE):
            digest.update(content)
    return digest.hexdigest()


def _timescaledb(source: Connection) -> str | None:
    if not is_postgres(source):
        return None
    found: str | None = source.scalar(
        select(extensions.c.extversion).where(extensions.c.extname == "timescaledb")
    )
    return found


def _archive_files(source: Connection) -> tuple[str, ...]:
    files = table(ArchivedFileRow)
    return tuple(source.scalars(select(files.c.path).order_by(files.c.path)))
