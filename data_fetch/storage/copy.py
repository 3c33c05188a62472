"""Copies a whole store into an empty one, on SQLite or PostgreSQL, and compares both by digests.

Everything is copied but the leases of running processes. All or nothing: PostgreSQL gets the rows
in one transaction, SQLite as a file beside the destination that is renamed when it is complete. A
copy that was ended half way is begun anew.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Connection, Engine, exists, select, text

from data_fetch.core.backups import Digests, TableDigest, differences
from data_fetch.core.errors import SetupError, StoreRefused
from data_fetch.core.files import publish
from data_fetch.core.world import World
from data_fetch.storage.database.engine import (
    BESIDE,
    NO_LIMIT,
    draft_engine,
    engine_for,
    is_postgres,
    redacted,
    snapshot,
    writing,
)
from data_fetch.storage.database.leadership import is_led, keeping_leaders_out
from data_fetch.storage.database.migrations import upgrade
from data_fetch.storage.database.progress import Watcher, no_progress
from data_fetch.storage.database.store import Store, open_store, world_at
from data_fetch.storage.database.table_contents import (
    StoredTable,
    add_portion,
    each_portion,
    stored_tables,
)
from data_fetch.storage.database.table_digests import RunningDigest, table_digests
from data_fetch.storage.database.tables import Base

# Blocks every writer: each write transaction of an unstamped store writes its stamp first.
LOCK = text("LOCK TABLE store_meta IN EXCLUSIVE MODE")


def copy(src_url: str, dst_url: str, watcher: Watcher = no_progress) -> Digests:
    """Copy the store at *src_url* into the empty one at *dst_url*; the rows and digests of both.

    *watcher* is called repeatedly with a table and how many more of its rows were copied. The
    destination is created if it is a file. Raises SetupError if the source is no store, or if the
    destination has rows or a collector; StoreRefused if the two differ in the end: then nothing
    was copied.
    """
    if engine_for(src_url).url == engine_for(dst_url).url:
        raise SetupError(f"{redacted(src_url)} cannot be copied into itself", hint="Name two.")
    world = world_at(src_url)
    with (
        closing(open_store(src_url, world)) as src,
        snapshot(src.engine) as source,
        filling(dst_url, world) as target,
    ):
        return copy_tables(source, target, watcher)


@contextmanager
def filling(url: str, world: World) -> Iterator[Connection]:
    """A transaction that fills the empty store at *url*; nothing is there if it fails.

    Raises SetupError for a store that has rows, or in which a collector is at work.
    """
    engine = engine_for(url)
    if is_postgres(engine):
        with closing(open_store(url, world)) as store, writing(store.engine, NO_LIMIT) as target:
            target.execute(LOCK)
            _refuse_used(store, target)
            yield target
        return
    file = Path(engine.url.database or "")
    with keeping_leaders_out(file):
        if file.exists():
            refuse_used_file(file, world)
        with new_file(file) as target:
            yield target


@contextmanager
def new_file(file: Path) -> Iterator[Connection]:
    """A transaction in a new SQLite store, which has the name *file* when it is complete."""
    with draft_beside(file) as draft:
        with new_store(draft) as target:
            yield target
        publish(draft, file)


@contextmanager
def draft_beside(file: Path) -> Iterator[Path]:
    """The name of a SQLite file that is not complete; what is there before and after is removed."""
    draft = file.with_name(f".{file.name}.part")
    discard(draft)
    try:
        yield draft
    finally:
        discard(draft)


@contextmanager
def new_store(draft: Path) -> Iterator[Connection]:
    """A transaction in a new SQLite store, without a journal."""
    with closing_engine(draft_engine(draft)) as engine:
        upgrade(engine)
        with writing(engine) as target:
            yield target


def copy_tables(source: Connection, target: Connection, watcher: Watcher) -> Digests:
    """Copy every table, and read it back. Raises StoreRefused if it is not the same."""
    targets = {each.name: each for each in stored_tables(target)}
    copied = {
        each.name: _copy_table(source, each, target, targets[each.name], watcher)
        for each in stored_tables(source)
    }
    found = table_digests(target, lambda name, rows: watcher(f"{name}, read back", rows))
    refuse_differences(redacted(target.engine.url), copied, found)
    return copied


def refuse_differences(name: str, expected: Digests, found: Digests) -> None:
    """Raise StoreRefused if the tables of *name* are not the expected ones."""
    different = differences(expected, found)
    if different:
        raise StoreRefused(
            f"{name} differs from what was to be stored in it: {'; '.join(different)}",
            hint="Check its disk, then try again; report it if it lasts.",
        )


def refuse_used_file(file: Path, world: World) -> None:
    """Raise SetupError unless the store in *file* is empty, and no program has it open."""
    with closing(open_store(f"sqlite:///{file}", world)) as store, store.reading() as connection:
        _refuse_rows(store.name, connection)
    # The last program that closes it removes the log.
    if file.with_name(f"{file.name}-wal").exists():
        raise SetupError(f"another program has {file} open", hint="Close it, then try again.")


def discard(draft: Path) -> None:
    """Remove a SQLite file that is not complete, with what belongs to it."""
    for name in (draft.name, *(f"{draft.name}{other}" for other in BESIDE)):
        draft.with_name(name).unlink(missing_ok=True)


@contextmanager
def closing_engine(engine: Engine) -> Iterator[Engine]:
    """*engine*, whose connections are closed afterwards."""
    try:
        yield engine
    finally:
        engine.dispose()


def _refuse_used(store: Store, connection: Connection) -> None:
    _refuse_rows(store.name, connection)
    if is_led(store):
        raise SetupError(f"a collector is at work in {store.name}", hint="Stop it first.")


def _refuse_rows(name: str, connection: Connection) -> None:
    for each in Base.metadata.sorted_tables:
        if connection.scalar(select(exists(select(each)))):
            raise SetupError(
                f"{name} has rows already, in {each.name}",
                hint="Name an empty store; `data-fetch db merge` brings rows into one with rows.",
            )


def _copy_table(
    source: Connection, of: StoredTable, target: Connection, into: StoredTable, watcher: Watcher
) -> TableDigest:
    digest = RunningDigest(of)

    def add(portion: pa.Table) -> None:
        digest.add(portion)
        add_portion(target, into, portion)
        watcher(of.name, len(portion))

    each_portion(source, of, add)
    return digest.result()
