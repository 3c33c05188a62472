"""Loads backups into empty stores, and into scratch databases to see whether they can be.

All or nothing. A SQLite store is written beside its file and renamed. PostgreSQL gets a dump in
the one transaction of `pg_restore`, and the rows of a SQLite file in one transaction of ours.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from sqlalchemy import URL, Connection, Engine, column, func, inspect, select, text
from sqlalchemy import table as named_table

from data_fetch.core.backups import BackupFormat, BackupRecord, Digests
from data_fetch.core.errors import SetupError
from data_fetch.core.files import make_folder, publish
from data_fetch.storage.backups.files import digests_in
from data_fetch.storage.backups.postgres_programs import can_restore, restore_dump
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
)
from data_fetch.storage.database.leadership import keeping_leaders_out
from data_fetch.storage.database.migrations import upgrade
from data_fetch.storage.database.progress import Watcher
from data_fetch.storage.database.revisions import VERSIONS, head
from data_fetch.storage.database.table_digests import table_digests
from data_fetch.storage.database.tables import Base

SCRATCH = "data_fetch_verify_"
FORMER_NAMES = "optionchain"
roles = named_table("pg_roles", column("rolname"), column("rolcreatedb"), column("rolsuper"))


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
    if not is_postgres(engine) or not can_restore(file) or not _may_create_databases(engine):
        return None
    with _scratch_database(engine) as url:
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
    with filling(url, record.world) as target:
        # The dump brings them. Until it is loaded the database has no schema.
        _drop_schema(target)
    _load_dump(file, engine_for(url).url, record.timescaledb)
    refuse_differences(redacted(url), record.tables, _digests_at(engine_for(url).url, watcher))


def _drop_schema(target: Connection) -> None:
    quote = target.dialect.identifier_preparer.quote
    target.execute(text(f"DROP SCHEMA IF EXISTS {quote(FORMER_NAMES)} CASCADE"))
    present = set(inspect(target).get_table_names())
    for name in sorted(present & {*Base.metadata.tables, VERSIONS.name}):
        target.execute(text(f"DROP TABLE {quote(name)} CASCADE"))


def _load_dump(file: Path, url: URL, timescaledb: str | None) -> None:
    if timescaledb is None:
        restore_dump(file, url)
        return
    with closing_engine(engine_for(url.render_as_string(hide_password=False))) as engine:
        _in_autocommit(engine, "CREATE EXTENSION IF NOT EXISTS timescaledb")
        _in_autocommit(engine, "SELECT timescaledb_pre_restore()")
        try:
            restore_dump(file, url)
        finally:
            _in_autocommit(engine, "SELECT timescaledb_post_restore()")


def _digests_at(url: URL, watcher: Watcher) -> Digests:
    engine = engine_for(url.render_as_string(hide_password=False))
    with closing_engine(engine), snapshot(engine) as connection:
        return table_digests(connection, watcher)


def _may_create_databases(engine: Engine) -> bool:
    own = select(roles.c.rolcreatedb | roles.c.rolsuper).where(
        roles.c.rolname == func.current_user()
    )
    with engine.connect() as connection:
        return bool(connection.scalar(own))


@contextmanager
def _scratch_database(engine: Engine) -> Iterator[URL]:
    name = f"{SCRATCH}{uuid4().hex[:8]}"
    _in_autocommit(engine, f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield engine.url.set(database=name)
    finally:
        # TimescaleDB has workers of its own in it.
        _in_autocommit(engine, f"DROP DATABASE {name} WITH (FORCE)")


def _in_autocommit(engine: Engine, statement: str) -> None:
    with closing(engine.execution_options(isolation_level="AUTOCOMMIT").connect()) as connection:
        connection.exec_driver_sql(statement)
