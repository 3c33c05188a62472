"""One collecting scheduler per store.

Each leader gets a fencing number, higher than all before it, and every one of its write
transactions checks that there is no higher one: that keeps a replaced leader from writing. Who may
take the next number depends on the database. On SQLite it is the holder of a lock file beside the
database. On PostgreSQL the leader has a lease, a row beside its number, that it renews; the next
one takes over when the lease has expired, or at once when it can lock the leader's own file: then
that process ran on this machine and has ended. No session has any part in it, so it works behind
a pooler.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, Protocol
from uuid import uuid4

from filelock import FileLock
from sqlalchemy import Connection, func, select

from data_fetch.core.errors import (
    LostLeadership,
    SetupError,
    StoreFailure,
    StoreRefused,
    StoreUnreachable,
)
from data_fetch.storage.database.dialects import wait_for_turn
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.lives import Life, forget, has_ended, is_locked_now, lock_at
from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import StoreMeta, table
from data_fetch.storage.database.upsert import upsert

FENCE, LEADER = "fence", "leader"
# An arbitrary number, unique among the advisory locks of a database.
COLLECTOR_LOCK = 4_630_914_002
POLL_SECONDS = 0.5
# Several renewals may fail before the lease expires.
LEASE, RENEW_SECONDS = timedelta(seconds=15), 2.0
meta = table(StoreMeta)


@dataclass(frozen=True, slots=True)
class Fence:
    """A leader's number. It is valid until a higher one is issued, or its leader gives it up.

    *holder* distinguishes it from the same number issued twice: by a server that was lost, with
    what it had not sent to its standby, and by that standby.
    """

    number: int
    holder: str = field(default="", compare=False)
    given_up: Event = field(default_factory=Event, compare=False, repr=False)

    @property
    def value(self) -> str:
        """As it is stored."""
        return f"{self.number} {self.holder}".rstrip()

    def check_here(self) -> None:
        """Raise LostLeadership if its leader gave it up; asks no database."""
        if self.given_up.is_set():
            raise LostLeadership("this scheduler collects into another store now")

    def check(self, connection: Connection) -> None:
        """Raise LostLeadership if another scheduler leads; inside a write transaction.

        Until that transaction ends, no other scheduler can take over.
        """
        # On PostgreSQL the shared row lock blocks a successor; SQLite has one writer anyway.
        issued = select(meta.c.value).where(meta.c.name == FENCE).with_for_update(read=True)
        newest = connection.scalar(issued)
        if newest != self.value:
            raise LostLeadership(
                f"another scheduler now collects into this store ({_leader(connection)})",
                hint="Nothing was written; this one waits until it can lead again.",
            )


class Leadership:
    """Acquires, renews and releases the lead: the right to collect into *store*."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._claim: _Claim = _Lease(store) if is_postgres(store.engine) else _LockFile(store)
        self._fence: Fence | None = None

    def acquire(self, stop: Event, on_wait: Callable[[], None]) -> Fence | None:
        """Take the lead; wait while another has it.

        None if *stop* is set first. *on_wait* is called once, when waiting begins. Polls in real
        time. Raises StoreFailure if the store fails at once; later a wait outlasts that.
        """
        waiting = False
        while not stop.is_set():
            try:
                fence = self.try_acquire()
            except StoreFailure:
                # The leader that it waits for goes on elsewhere.
                if not waiting:
                    raise
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
        self._fence = self._claim.try_take()
        return self._fence

    def renew(self) -> bool:
        """Whether the lead is still ours, in the database itself; a lease begins anew.

        Call it every RENEW_SECONDS. Raises StoreUnreachable when nothing can be written.
        """
        if self._fence is None:
            return False
        try:
            self._claim.renew(self._fence)
        except LostLeadership:
            return False
        return True

    def give_up(self) -> None:
        """Let no write begin under this lead any more, whether or not the store answers."""
        if self._fence is not None:
            self._fence.given_up.set()

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
        """Release the lead. Does nothing without it. Raises StoreUnreachable."""
        fence, self._fence = self._fence, None
        if fence is not None:
            self._claim.release(fence)


def is_led(store: Store) -> bool:
    """Whether a scheduler has the lead of *store* now. Raises StoreUnreachable, and StoreRefused
    for a lock file that this user may not open."""
    if is_postgres(store.engine):
        with store.reading() as connection:
            return _leads(_read_leader(connection), _time_at(connection))
    lock = _lock_beside(store)
    if not Path(lock.lock_file).exists():
        return False
    try:
        free = is_locked_now(lock)
    except OSError as problem:
        raise StoreRefused(
            f"{lock.lock_file} cannot be opened: {problem.strerror}",
            hint="Run the server as the user of the collector, or give this user the right.",
        ) from problem
    lock.release(force=True)
    return not free


@contextmanager
def keeping_leaders_out(file: Path) -> Iterator[None]:
    """No scheduler can lead the SQLite store in *file* meanwhile; the file need not exist.

    Raises SetupError when one does.
    """
    lock = _lock_of(file)
    if not is_locked_now(lock):
        raise SetupError(f"a collector is at work in {file}", hint="Stop it first.")
    try:
        yield
    finally:
        lock.release(force=True)


def number_in(stored: str | None) -> int:
    """The number of a fence as it is stored; 0 where none was issued yet."""
    return int(stored.partition(" ")[0]) if stored else 0


def _issue(connection: Connection, leader: Mapping[str, Any]) -> Fence:
    """The next number, for *leader*."""
    newest = connection.scalar(select(meta.c.value).where(meta.c.name == FENCE))
    fence = Fence(number_in(newest) + 1, uuid4().hex)
    upsert(connection, meta, ("name", "value"), [(FENCE, fence.value)])
    _write_leader(connection, leader)
    return fence


def _write_leader(connection: Connection, leader: Mapping[str, Any]) -> None:
    upsert(connection, meta, ("name", "value"), [(LEADER, json.dumps(leader))])


def _read_leader(connection: Connection) -> Mapping[str, Any] | None:
    found = connection.scalar(select(meta.c.value).where(meta.c.name == LEADER))
    return None if found is None else json.loads(found)


def _leader(connection: Connection) -> str | None:
    leader = _read_leader(connection)
    return None if leader is None else f"process {leader['pid']} on {leader['host']}"


def _this_process() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


class _Claim(Protocol):
    def try_take(self) -> Fence | None: ...

    def renew(self, fence: Fence) -> None: ...

    def release(self, fence: Fence) -> None: ...


class _LockFile:
    """A lock file beside the database; the operating system frees it when its holder dies."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = _lock_beside(store)

    def try_take(self) -> Fence | None:
        if not is_locked_now(self._lock):
            return None
        try:
            with self._store.writing() as connection:
                return _issue(connection, _this_process())
        except BaseException:
            # Ctrl-C too: a lock without a fencing number would block others for no reason.
            self._lock.release(force=True)
            raise

    def renew(self, fence: Fence) -> None:
        # Raises when another program has the write lock, or a later number was issued.
        with self._store.writing(fence):
            pass

    def release(self, fence: Fence) -> None:
        self._lock.release(force=True)


def _lock_beside(store: Store) -> FileLock:
    return _lock_of(Path(store.engine.url.database or ""))


def _lock_of(file: Path) -> FileLock:
    return lock_at(file.with_name(f"{file.name}.collector.lock"))


class _Lease:
    """A row that says until when the lead is taken, by the clock of the database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._id = uuid4().hex
        self._life = Life(self._id)

    def try_take(self) -> Fence | None:
        with self._store.reading() as connection:
            if _leads(_read_leader(connection), _time_at(connection)):
                return None
        self._life.begin()
        fence = None
        try:
            with self._store.writing() as connection:
                # Of several that found it free, one takes it.
                wait_for_turn(connection, COLLECTOR_LOCK)
                before = _read_leader(connection)
                if not _leads(before, _time_at(connection)):
                    fence = _issue(connection, self._lease(connection))
        finally:
            if fence is None:
                self._life.end()
        if fence is not None and before is not None and "lease" in before:
            forget(before["lease"])
        return fence

    def renew(self, fence: Fence) -> None:
        with self._store.writing(fence) as connection:
            _write_leader(connection, self._lease(connection))

    def release(self, fence: Fence) -> None:
        # First: without an answer of the database, a successor on this machine need not wait.
        self._life.end()
        try:
            with self._store.writing(fence) as connection:
                _write_leader(connection, self._lease(connection, timedelta(0)))
        except LostLeadership:
            return

    def _lease(self, connection: Connection, lasts: timedelta = LEASE) -> Mapping[str, Any]:
        expires = _time_at(connection) + lasts
        return {**_this_process(), "lease": self._id, "expires_at": expires.isoformat()}


def _leads(leader: Mapping[str, Any] | None, now: datetime) -> bool:
    """Whether the lease of *leader* is in force, and not known to be that of a dead process."""
    if leader is None or "lease" not in leader:
        return False
    return datetime.fromisoformat(leader["expires_at"]) > now and not has_ended(leader["lease"])


def _time_at(connection: Connection) -> datetime:
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now
