"""A store: one database that belongs to one world for good.

The first transaction that writes stamps it with its world; every opening and every write checks
the stamp. So invented prices are never stored beside real ones.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Connection, Engine, func, inspect, literal, select

from data_fetch.core.errors import SchemaDiffers, SetupError, StoreUnreachable, WrongWorld
from data_fetch.core.world import PAPER_ISIN_PREFIX, World
from data_fetch.storage.database import revisions
from data_fetch.storage.database.engine import (
    deciding,
    engine_for,
    hurry,
    is_postgres,
    reading,
    redacted,
    writing,
)
from data_fetch.storage.database.tables import Base, StoreMeta, table
from data_fetch.storage.database.upsert import Rule, unchanged, upsert

INVENTED_KEY = f"NSE_EQ|{PAPER_ISIN_PREFIX}"
WORLD, STORE_ID = "world", "store_id"
# A transaction of SQLite sees one state anyway.
CONSISTENT = {"sqlite": {}, "postgresql": {"isolation_level": "REPEATABLE READ"}}
FIRST_VALUE = Rule(combined={"value": unchanged})
meta = table(StoreMeta)
STAMP = select(meta.c.value).where(meta.c.name == WORLD)
# One query, in every transaction that writes: whether no upgrade is in progress (SQLite has one
# writer anyway), the revision, the stamp.
ADMISSION = {
    dialect: select(
        free,
        select(revisions.VERSIONS.c.version_num).scalar_subquery(),
        STAMP.scalar_subquery(),
    )
    for dialect, free in (
        ("sqlite", literal(True)),
        ("postgresql", func.pg_try_advisory_xact_lock_shared(revisions.UPGRADE_LOCK)),
    )
}
GIVEN_ID = select(meta.c.value).where(meta.c.name == STORE_ID)


class Guard(Protocol):
    """A condition for a write transaction, such as a fence."""

    def check_here(self) -> None:
        """Raise if the transaction must not begin."""

    def check(self, connection: Connection) -> None:
        """Raise if the transaction must not go on."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open database and the world it is used in. *name* is its URL without the password."""

    engine: Engine
    world: World
    name: str

    def reading(self) -> AbstractContextManager[Connection]:
        return reading(self.engine)

    @contextmanager
    def consistent_reading(self) -> Iterator[Connection]:
        """A transaction that only reads, in which every query sees the same state."""
        with reading(self.engine.execution_options(**CONSISTENT[self.engine.dialect.name])) as one:
            yield one

    @contextmanager
    def writing(self, guard: Guard | None = None) -> Iterator[Connection]:
        """A write transaction in this store's world.

        Raises WrongWorld when the database belongs to the other world, LostLeadership when
        *guard* is the fence of a scheduler that was replaced, StoreUnreachable while the schema
        is being upgraded, SchemaDiffers afterwards. Nothing is written then.
        """
        if guard is not None:
            guard.check_here()
        with writing(self.engine) as connection:
            _stamp(connection, self.world, self.name)
            if guard is not None:
                guard.check(connection)
            yield connection

    @contextmanager
    def deciding(self) -> Iterator[Connection]:
        """`writing` for a transaction that reads for a while before it writes.

        On SQLite it takes the write lock with its first write, and raises StoreUnreachable if
        another program has written since its first read.
        """
        with deciding(self.engine) as connection:
            _stamp(connection, self.world, self.name)
            yield connection

    def try_writing(self) -> None:
        """Write a row and take it back. Raises StoreRefused when the database refuses it."""
        with self.reading() as connection:
            upsert(connection, meta, ("name", "value"), [("tried", "")])
            connection.rollback()

    def hurry(self, seconds: float) -> None:
        """Let no statement take longer than *seconds* from now on, running ones either."""
        hurry(self.engine, seconds)

    def close(self) -> None:
        self.engine.dispose()


@dataclass(frozen=True, slots=True)
class PinnedStore(Store):
    """An open store whose queries all go through one *connection*, in its transaction."""

    connection: Connection

    @classmethod
    def of(cls, store: Store, connection: Connection) -> "PinnedStore":
        return cls(store.engine, store.world, store.name, connection)

    def reading(self) -> AbstractContextManager[Connection]:
        return nullcontext(self.connection)


def open_store(url: str, world: World) -> Store:
    """The store at *url*, its schema up to date, used in *world*.

    A SQLite file is created and upgraded if necessary. A PostgreSQL database gets the schema if
    it has none at all; an older schema is a SetupError with a hint, because other programs may
    be working with it. Raises WrongWorld if the store belongs to the other world,
    StoreUnreachable if it does not answer.
    """
    engine = engine_for(url)
    try:
        _prepare_schema(engine)
        store = Store(engine, world, redacted(url))
        with store.reading() as connection:
            _refuse_other_world(stamped_world(connection), world, store.name)
    except BaseException:
        # Every error is raised on; only the connections must not stay open.
        engine.dispose()
        raise
    return store


def stamped_world(connection: Connection) -> World | None:
    """The world that the database belongs to; None before the first write."""
    value = connection.scalar(STAMP)
    return None if value is None else World(value)


def world_at(url: str) -> World:
    """The world of the store at *url*. Raises SetupError when there is none, or it is empty."""
    engine = engine_for(url)
    file = None if is_postgres(engine) else Path(engine.url.database or "")
    if file is not None and not file.is_file():
        raise SetupError(f"there is no store at {file}", hint="Name an existing one as SRC.")
    try:
        with reading(engine) as connection:
            named = inspect(connection).has_table(meta.name)
            world = stamped_world(connection) if named else None
    finally:
        engine.dispose()
    if world is None:
        raise SetupError(f"{redacted(url)} is empty: it has never been written to")
    return world


def store_id(store: Store) -> str:
    """What distinguishes this store from every other one, wherever it is copied to.

    Given when it is first asked for.
    """
    with store.reading() as connection:
        known: str | None = connection.scalar(GIVEN_ID)
    if known is not None:
        return known
    with store.writing() as connection:
        upsert(connection, meta, ("name", "value"), [(STORE_ID, uuid4().hex)], FIRST_VALUE)
        given: str = connection.execute(GIVEN_ID).scalar_one()
    return given


def refuse_invented(connection: Connection, instrument_keys: Iterable[str | None]) -> None:
    """Raise WrongWorld for an invented instrument in a live store.

    A contract is invented if its underlying is: pass the underlying keys as well.
    """
    invented = next((key for key in instrument_keys if key and key.startswith(INVENTED_KEY)), None)
    if invented is not None and stamped_world(connection) is World.LIVE:
        raise WrongWorld(
            f"{invented} is an instrument of the paper exchange; this store holds real prices",
            hint="Set DATA_SOURCE=paper, or point UPSTOX_BASE_URL at Upstox.",
        )


def _prepare_schema(engine: Engine) -> None:
    revision = revisions.current(engine)
    revisions.refuse_newer(revision)
    if revision == revisions.head():
        return
    if not is_postgres(engine) or (revision is None and not _has_our_tables(engine)):
        # Alembic takes a quarter of a second to load, and most stores are up to date.
        from data_fetch.storage.database.migrations import upgrade

        upgrade(engine)
        return
    if revisions.is_upgrading(engine):
        raise _upgrading(redacted(engine.url))
    raise SchemaDiffers(
        f"{redacted(engine.url)} has schema revision {revision}; "
        f"this version works with {revisions.head()}",
        hint="Run `data-fetch db upgrade`.",
    )


def _has_our_tables(engine: Engine) -> bool:
    return not Base.metadata.tables.keys().isdisjoint(inspect(engine).get_table_names())


def _stamp(connection: Connection, world: World, name: str) -> None:
    """Stamp the store with *world* if it has no stamp; of two writers the first one wins."""
    stamped = _admitted(connection, name)
    if stamped is None:
        upsert(connection, meta, ("name", "value"), [(WORLD, world.value)], FIRST_VALUE)
        stamped = stamped_world(connection)
    _refuse_other_world(stamped, world, name)


def _admitted(connection: Connection, name: str) -> World | None:
    """The stamp of a database that this version may write to. No upgrade begins meanwhile."""
    free, revision, stamped = connection.execute(ADMISSION[connection.dialect.name]).one()
    if not free:
        raise _upgrading(name)
    if revision != revisions.head():
        raise SchemaDiffers(
            f"{name} has schema revision {revision}; this process works with {revisions.head()}",
            hint="Start it again, in the newer version.",
        )
    return None if stamped is None else World(stamped)


def _upgrading(name: str) -> StoreUnreachable:
    return StoreUnreachable(
        f"the schema of {name} is being upgraded",
        hint="Wait for the end of `data-fetch db upgrade`.",
    )


def _refuse_other_world(stamped: World | None, requested: World, name: str) -> None:
    if stamped in {None, requested}:
        return
    raise WrongWorld(
        f"{name} is a {stamped} store; {requested} prices cannot be stored in it",
        hint=f"Set DATA_SOURCE to fit the {stamped} store, or name another store in DATABASE_URL.",
    )
