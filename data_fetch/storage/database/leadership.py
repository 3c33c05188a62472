"""One collecting scheduler per store.

The holder of a lock leads: on SQLite a file beside the database, locked through the operating
system, on PostgreSQL an advisory lock of a separate session. Both are released when the process
ends, however it ends. A lock can be lost without its holder noticing, so each leader also gets a
fencing number, higher than all before it, and every one of its write transactions checks that
there is no higher one.
"""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

import psycopg2
from filelock import FileLock, Timeout
from psycopg2.extensions import connection as Session
from sqlalchemy import Connection, Engine, select

from data_fetch.core.errors import LostLeadership, StoreUnreachable
from data_fetch.storage.database.engine import is_postgres, unreachable
from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import StoreMeta, table
from data_fetch.storage.database.upsert import upsert

FENCE, LEADER = "fence", "leader"
# An arbitrary number, unique among the advisory locks of a database.
COLLECTOR_LOCK = 4_630_914_002
POLL_SECONDS = 0.5
meta = table(StoreMeta)


@dataclass(frozen=True, slots=True)
class Fence:
    """A leader's number. It is valid until a higher one is issued."""

    number: int

    def check(self, connection: Connection) -> None:
        """Raise LostLeadership if another scheduler leads; inside a write transaction.

        Until that transaction ends, no other scheduler can take over.
        """
        # On PostgreSQL the shared row lock blocks a successor; SQLite has one writer anyway.
        issued = select(meta.c.value).where(meta.c.name == FENCE).with_for_update(read=True)
        newest = connection.scalar(issued)
        if newest != str(self.number):
            raise LostLeadership(
                f"another scheduler now collects into this store ({_leader(connection)})",
                hint="Nothing was written; this one waits until it can lead again.",
            )


class Leadership:
    """Acquires and releases the lead: the right to collect into *store*."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock: _Lock = (
            _SessionLock(store.engine) if is_postgres(store.engine) else _FileLock(store.engine)
        )

    def acquire(self, stop: Event, on_wait: Callable[[], None]) -> Fence | None:
        """Take the lead; wait while another has it or the store is unreachable.

        None if *stop* is set first. *on_wait* is called once, when waiting begins. Polls in real
        time.
        """
        waiting = False
        while not stop.is_set():
            try:
                fence = self.try_acquire()
            except StoreUnreachable:
                # A waiting scheduler outlasts a restart of the database.
                fence = None
            if fence is not None:
                return fence
            if not waiting:
                waiting = True
                on_wait()
            stop.wait(POLL_SECONDS)
        return None

    def try_acquire(self) -> Fence | None:
        """Take the lead; None if another scheduler has it. Raises StoreUnreachable."""
        return self._begin() if self._lock.try_take() else None

    def held(self) -> bool:
        """Whether the lock is still ours. On PostgreSQL this sends a query."""
        return self._lock.held()

    def leader(self) -> str | None:
        """The scheduler that took the lead last, for display: ``process 4711 on host-2``.

        None if there never was one, or if the store is unreachable.
        """
        try:
            with self._store.reading() as connection:
                return _leader(connection)
        except StoreUnreachable:
            return None

    def release(self) -> None:
        """Release the lead. Does nothing without it."""
        self._lock.release()

    def _begin(self) -> Fence:
        try:
            with self._store.writing() as connection:
                newest = select(meta.c.value).where(meta.c.name == FENCE)
                fence = Fence(int(connection.scalar(newest) or 0) + 1)
                leader = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
                rows = [(FENCE, str(fence.number)), (LEADER, leader)]
                upsert(connection, meta, ("name", "value"), rows)
        except BaseException:
            # Ctrl-C too: a lock without a fencing number would block others for no reason.
            self._lock.release()
            raise
        return fence


def _leader(connection: Connection) -> str | None:
    leader = connection.scalar(select(meta.c.value).where(meta.c.name == LEADER))
    if leader is None:
        return None
    facts = json.loads(leader)
    return f"process {facts['pid']} on {facts['host']}"


class _Lock(Protocol):
    def try_take(self) -> bool: ...

    def held(self) -> bool: ...

    def release(self) -> None: ...


class _FileLock:
    """A lock file beside the database; the operating system frees it when its holder dies."""

    def __init__(self, engine: Engine) -> None:
        database = Path(engine.url.database or "")
        file = database.with_name(f"{database.name}.collector.lock")
        # Acquired in one thread and released in another.
        self._lock = FileLock(file, thread_local=False)

    def try_take(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def held(self) -> bool:
        return self._lock.is_locked

    def release(self) -> None:
        self._lock.release(force=True)


class _SessionLock:
    """An advisory lock, held by a database session for this purpose only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._session: Session | None = None
        self._taken = False

    def try_take(self) -> bool:
        """Try in the session of the last attempt, if it still exists. Raises StoreUnreachable."""
        try:
            if self._session is None:
                self._session = _detached_session(self._engine)
            self._taken = _scalar(
                self._session, "SELECT pg_try_advisory_lock(%s)", (COLLECTOR_LOCK,)
            )
        except psycopg2.Error as problem:
            self.release()
            raise unreachable(self._engine.url, problem) from problem
        return self._taken

    def held(self) -> bool:
        if self._session is None or not self._taken:
            return False
        try:
            return _scalar(self._session, "SELECT true")
        except psycopg2.Error:
            return False

    def release(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session, self._taken = None, False


def _detached_session(engine: Engine) -> Session:
    """A session that never goes back to the pool, where another user would get the lock with it."""
    pooled = engine.raw_connection()
    session = pooled.driver_connection
    assert isinstance(session, Session)
    pooled.detach()
    return session


def _scalar(session: Session, statement: str, values: tuple[int, ...] = ()) -> bool:
    with session.cursor() as cursor:
        cursor.execute(statement, values)
        (answer,) = cursor.fetchone() or (False,)
    # An open transaction would be ended by the server after a while, and the lock with it.
    session.commit()
    return bool(answer)
