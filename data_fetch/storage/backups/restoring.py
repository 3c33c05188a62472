"""Loads backups into empty stores, and into scratch databases to see whether they can be.

All or nothing. A SQLite store is written beside its file and renamed. PostgreSQL gets a dump in
the one transaction of `pg_restore`, and the rows of a SQLite file in one transaction of ours.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import URL, Connection, Engine, func, inspect, select, text

from data_fetch.core.backups import BackupFormat, BackupRecord, Digests
from data_fetch.core.errors import SetupError
from data_fetch.core.files import make_folder, publish
from data_fetch.core.world import World
from data_fetch.storage.backups.files import digests_in
from data_fetch.storage.backups.postgres_programs import RESTORE, can_restore, restore_dump
from data_fetch.storage.backups.scratch_databases import (
    in_autocommit,
    may_create_databases,
    scratch_database,
    waiting_transaction,
)
from data_fetch.storage.copy import (
    closing_engine,
    copy_tables,
    draft_beside,
    filling,
    refuse_differences,
    refuse_used_file,
)
from data_fetch.storage.database.engine import (
    draft_engine,
    engine_for,
    finished_engine,
    is_postgres,
    redacted,
    snapshot,
    writing,
)
from data_fetch.storage.database.leadership import keeping_leaders_out
from data_fetch.storage.database.migrations import upgrade
from data_fetch.storage.database.progress import Watcher
from data_fetch.storage.database.revisions import (
    NOT_COMPARED,
    VERSIONS,
    head,
    name_revision,
    revision_in,
)
from data_fetch.storage.database.table_digests import table_digests
from data_fetch.storage.database.tables import Base

FORMER_NAMES = "optionchain"
# An arbitrary number, unique among the advisory locks of a database.
RESTORE_LOCK = 4_630_914_009
# What a restore that was killed has left running.
LEFT_RUNNING = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename = current_user AND application_name = :program"
)


def restore(file: Path, record: BackupRecord, url: str, watcher: Watcher) -> None:
    """Load the backup in *file* into the empty store at *url*, and compare its tables.

    Raises SetupError for a store that has rows or a collector, and for a dump that is to become a
    SQLite file; StoreRefused if the tables differ.
    """
    into_postgres = is_postgres(engine_for(url))
    if record.format is BackupFormat.SQLITE:
        load = _rows_into_postgres if into_postgres else _file_into_place
    elif into_postgres:
        load = _dump_into_postgres
    else:
        raise SetupError(
            f"{file} is a dump of PostgreSQL; {redacted(url)} is a SQLite file",
            hint="Restore it into PostgreSQL, then use `data-fetch db copy`.",
        )
    load(file, record, url, watcher)


def digests_of_dump(
    file: Path, record: BackupRecord, server_url: str, watcher: Watcher
) -> Digests | None:
    """The digests of the tables of a dump, from a scratch database of the server at *server_url*.

    None where that is not possible: no PostgreSQL, no right to create a database, no `pg_restore`
    that reads the dump.
    """
    engine = engine_for(server_url)
    if not is_postgres(engine) or not can_restore(file) or not may_create_databases(engine):
        return None
    with scratch_database(engine) as url:
        _load_dump(file, url, record.timescaledb)
        return _digests_at(url, watcher)


def _file_into_place(file: Path, record: BackupRecord, url: str, watcher: Watcher) -> None:
    target = Path(engine_for(url).url.database or "")
    make_folder(target.parent)
    with keeping_leaders_out(target):
        if target.exists():
            refuse_used_file(target, record.world)
        with draft_beside(target) as draft:
            shutil.copyfile(file, draft)
            refuse_differences(str(target), record.tables, digests_in(draft, watcher))
            publish(draft, target)


def _rows_into_postgres(file: Path, record: BackupRecord, url: str, watcher: Watcher) -> None:
    refuse_differences(str(file), record.tables, digests_in(file, watcher))
    with (
        _at_head(file, record) as engine,
        snapshot(engine) as source,
        filling(url, record.world) as target,
    ):
        copy_tables(source, target, watcher)


@contextmanager
def _at_head(file: Path, record: BackupRecord) -> Iterator[Engine]:
    """The store in *file* with the schema of this version; the file stays as it is."""
    if record.revision == head():
        with closing_engine(finished_engine(file)) as engine:
            yield engine
        return
    with TemporaryDirectory(dir=file.parent) as folder:
        upgraded = Path(folder, file.name)
        shutil.copyfile(file, upgraded)
        with closing_engine(draft_engine(upgraded)) as engine:
            upgrade(engine)
            yield engine


def _dump_into_postgres(file: Path, record: BackupRecord, url: str, watcher: Watcher) -> None:
    if not can_restore(file):
        raise SetupError(
            f"there is no pg_restore here that reads {file}",
            hint="Install the PostgreSQL client programs, of at least the version that wrote it.",
        )
    with closing_engine(engine_for(url)) as engine, _the_only_restore(engine):
        _make_room(engine, url, record.world)
        _load_dump(file, engine.url, record.timescaledb)
        refuse_differences(redacted(url), record.tables, _digests_at(engine.url, watcher))
        with writing(engine) as target:
            name_revision(target, record.revision)


@contextmanager
def _the_only_restore(engine: Engine) -> Iterator[None]:
    with waiting_transaction(engine) as connection:
        if not connection.scalar(select(func.pg_try_advisory_xact_lock(RESTORE_LOCK))):
            raise SetupError(
                f"another restore into {redacted(engine.url)} is at work",
                hint="Wait until it has ended.",
            )
        yield


def _make_room(engine: Engine, url: str, world: World) -> None:
    """Leave no table in the empty store at *url*: the dump brings them.

    Until its rows are compared no program opens the store: `pg_restore` commits before that.
    """
    with writing(engine) as target:
        begun = revision_in(target) == NOT_COMPARED
        if begun:
            target.execute(LEFT_RUNNING, {"program": RESTORE})
    with writing(engine) if begun else filling(url, world) as target:
        _drop_schema(target)
        name_revision(target, NOT_COMPARED)


def _drop_schema(target: Connection) -> None:
    quote = target.dialect.identifier_preparer.quote
    target.execute(text(f"DROP SCHEMA IF EXISTS {quote(FORMER_NAMES)} CASCADE"))
    present = set(inspect(target).get_table_names())
    for name in sorted(present & {*Base.metadata.tables, VERSIONS.name}):
        target.execute(text(f"DROP TABLE {quote(name)} CASCADE"))


def _load_dump(file: Path, url: URL, timescaledb: str | None) -> None:
    if timescaledb is None:
        restore_dump(file, url, VERSIONS.name)
        return
    with closing_engine(engine_for(url.render_as_string(hide_password=False))) as engine:
        in_autocommit(engine, "CREATE EXTENSION IF NOT EXISTS timescaledb")
        in_autocommit(engine, "SELECT timescaledb_pre_restore()")
        try:
            restore_dump(file, url, VERSIONS.name)
        finally:
            in_autocommit(engine, "SELECT timescaledb_post_restore()")


def _digests_at(url: URL, watcher: Watcher) -> Digests:
    engine = engine_for(url.render_as_string(hide_password=False))
    with closing_engine(engine), snapshot(engine) as connection:
        return table_digests(connection, watcher)
