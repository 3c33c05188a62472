"""The file with the sent requests: shared, locked, and safe against kills at any moment.

SQLite in WAL mode: the file survives the death of any process. A damaged file is replaced by a
new one, and the limits count as used up in the old one: counting too much costs a wait, counting
too little could cost the account.
"""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TypeVar

from filelock import FileLock

from data_fetch.core.errors import SetupError
from data_fetch.core.files import OWNER_ONLY, private_file, private_folder

T = TypeVar("T")
log = logging.getLogger(__name__)

BUSY_SECONDS = 30
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

# Instants are microseconds since 1970. `spent.ends`: the instant of the response, or the latest
# possible one; `waiting.expires`: when a waiting process that did not return is taken for dead;
# `unknown.since`: before this instant any number of requests may have been sent; `pauses.until`:
# before this instant the provider wants no request.
TABLES = """
CREATE TABLE IF NOT EXISTS spent (
    id INTEGER PRIMARY KEY AUTOINCREMENT, api TEXT NOT NULL,
    sent INTEGER NOT NULL, ends INTEGER NOT NULL, answered INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS spent_by_api ON spent (api, ends);
CREATE INDEX IF NOT EXISTS spent_by_end ON spent (answered, ends);
CREATE TABLE IF NOT EXISTS waiting (
    id INTEGER PRIMARY KEY AUTOINCREMENT, api TEXT NOT NULL, lane INTEGER NOT NULL,
    seen INTEGER NOT NULL, expires INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS unknown (since INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pauses (api TEXT PRIMARY KEY, until INTEGER NOT NULL);
"""


class PacingLedger:
    """One account's spending. Opened at the first `change`; safe to share between threads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._db: sqlite3.Connection | None = None
        self._lock = Lock()

    def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of *work*, which runs in one exclusive transaction.

        Raises SetupError when the file cannot be used.
        """
        with self._lock:
            try:
                try:
                    return _transact(self._opened(), work)
                except sqlite3.DatabaseError as problem:
                    if not _is_damage(problem):
                        raise
                    self._close()
                return _transact(self._opened(), work)
            except (sqlite3.Error, OSError) as problem:
                raise SetupError(
                    f"The record of sent requests, {self._file}, cannot be used ({problem})",
                    hint="Make its folder writable (XDG_STATE_HOME names another one); if only "
                    "the file is damaged, remove it when nothing was sent for 30 minutes.",
                ) from None

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            private_folder(self._file.parent)
            # Two processes must not both find the file damaged and replace it.
            with FileLock(self._file.with_suffix(".lock"), mode=OWNER_ONLY, timeout=BUSY_SECONDS):
                self._db = self._undamaged_file()
        return self._db

    def _undamaged_file(self) -> sqlite3.Connection:
        try:
            return _connect(self._file)
        except sqlite3.DatabaseError as problem:
            if not _is_damage(problem):
                raise
        last_used = self._move_damaged_file()
        db = _connect(self._file)
        db.execute("INSERT INTO unknown VALUES (?)", (last_used,))
        log.warning(
            "the record of sent requests was damaged and is replaced; requests wait up to 30 "
            "minutes for limits that may be used up",
            extra={"file": str(self._file)},
        )
        return db

    def _move_damaged_file(self) -> int:
        """Rename the file; return when it was last written (microseconds since 1970)."""
        parts = [self._file, *(Path(f"{self._file}{tail}") for tail in ("-wal", "-shm"))]
        present = [part for part in parts if part.exists()]
        last_used = max(part.stat().st_mtime_ns for part in present) // 1000
        for part in present:
            part.replace(part.with_name(f"{part.name}.damaged"))
        return last_used


def _connect(file: Path) -> sqlite3.Connection:
    private_file(file)
    db = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        # In WAL mode this cannot damage the file, whatever dies.
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(TABLES)
        (health,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if health != "ok":
            raise _damage(health)
    except BaseException:
        # Every error is raised again; only the connection must not stay open.
        db.close()
        raise
    return db


def _transact(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    db.execute("BEGIN IMMEDIATE")
    try:
        result = work(db)
        db.execute("COMMIT")
    except BaseException:
        # Ctrl-C too: an open transaction would lock every other process out.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return result


def _is_damage(problem: sqlite3.Error) -> bool:
    return getattr(problem, "sqlite_errorcode", None) in DAMAGE


def _damage(health: str) -> sqlite3.DatabaseError:
    problem = sqlite3.DatabaseError(health)
    problem.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return problem
