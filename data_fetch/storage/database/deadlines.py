"""PostgreSQL sessions whose statements end, whatever happens to the server.

The server's own limits end nothing when its responses no longer arrive. Those of TCP end nothing
when something acknowledges our bytes and passes none on: a stopped proxy, a frozen server. So
every statement has a deadline here as well: the connection of an overdue one is shut down, and
the thread that waits for it gets an error.
"""

import socket
import time
from collections.abc import Callable
from math import inf
from threading import Lock, Thread
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import connection as Session
from psycopg2.extensions import cursor as Cursor

from data_fetch.core.clock import stopwatch

R = TypeVar("R")

# Outside of a transaction: a pool sends a statement before it hands out a connection again.
USUAL_SECONDS = 10.0
CHECK_SECONDS = 0.5


class Deadlines:
    """The statements in progress in the sessions of one engine, and when each is overdue."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._longest = inf
        self._due: dict[TimedSession, float] = {}
        self._ended: set[TimedSession] = set()
        self._watcher: Thread | None = None

    def run(self, session: "TimedSession", statement: Callable[..., R], *values: Any) -> R:
        """The result of *statement*; OperationalError when there is none in time."""
        with self._lock:
            limit = min(session.limit_seconds, self._longest)
            self._due[session] = stopwatch() + limit
            if self._watcher is None:
                self._watcher = Thread(target=self._watch, name="deadlines", daemon=True)
                self._watcher.start()
        try:
            return statement(*values)
        except psycopg2.Error as problem:
            if session in self._ended:
                raise psycopg2.OperationalError("it sends no response") from problem
            raise
        finally:
            with self._lock:
                del self._due[session]
                self._ended.discard(session)

    def hurry(self, seconds: float) -> None:
        """No statement, of those in progress either, may take longer than *seconds* from now."""
        with self._lock:
            self._longest = seconds
            latest = stopwatch() + seconds
            self._due = {session: min(due, latest) for session, due in self._due.items()}

    def _watch(self) -> None:
        """End overdue statements until none is in progress."""
        while True:
            time.sleep(CHECK_SECONDS)
            # With the lock: a statement that ends now could close its connection meanwhile.
            with self._lock:
                if not self._due:
                    self._watcher = None
                    return
                now = stopwatch()
                for session in [one for one, due in self._due.items() if due <= now]:
                    self._due[session] = inf
                    self._ended.add(session)
                    _shut_down(session)


class TimedSession(Session):
    """A session whose statements raise OperationalError after *limit_seconds* of silence."""

    limit_seconds: float = USUAL_SECONDS
    deadlines: Deadlines

    def commit(self) -> None:
        self.deadlines.run(self, super().commit)

    def rollback(self) -> None:
        self.deadlines.run(self, super().rollback)


class TimedCursor(Cursor):
    """A cursor of a TimedSession."""

    def execute(self, *statement: Any) -> None:
        self._in_time(super().execute, *statement)

    def executemany(self, *statement: Any) -> None:
        self._in_time(super().executemany, *statement)

    def copy_expert(self, *statement: Any) -> None:
        self._in_time(super().copy_expert, *statement)

    # The rows of a named cursor come from the server piece by piece.
    def fetchmany(self, *size: Any) -> list[tuple[Any, ...]]:
        return self._in_time(super().fetchmany, *size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._in_time(super().fetchall)

    def _in_time(self, statement: Callable[..., R], *values: Any) -> R:
        session = self.connection
        assert isinstance(session, TimedSession)
        return session.deadlines.run(session, statement, *values)


def timed_sessions(deadlines: Deadlines) -> Callable[..., TimedSession]:
    """A factory of sessions, as the driver takes it, whose statements are in *deadlines*."""

    def connected(*arguments: Any, **options: Any) -> TimedSession:
        session = TimedSession(*arguments, **options)
        session.deadlines = deadlines
        return session

    return connected


def _shut_down(session: TimedSession) -> None:
    line = socket.socket(fileno=session.fileno())
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other side was faster.
        return
    finally:
        # It belongs to the driver, which closes it.
        line.detach()
