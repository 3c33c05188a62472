"""Rate windows in files, shared by the processes of one machine: locked, and safe against kills at
any moment.

SQLite in WAL mode: the file of an account survives the death of any process. A damaged file is
replaced by a new one, and the limits count as used up in the old one: counting too much costs a
wait, counting too little could cost the account.
"""

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TypeVar

from filelock import FileLock
from platformdirs import user_state_path

from data_fetch.core.errors import SetupError
from data_fetch.core.files import OWNER_ONLY, private_file, private_folder
from data_fetch.core.pacing import (
    LONGEST_PAUSE,
    NEXT_INSTANT,
    OVERDUE,
    QueueEntry,
    RateRules,
    Spending,
    Standing,
    Turn,
    turn_of,
)
from data_fetch.core.ports import Clock

T = TypeVar("T")
log = logging.getLogger(__name__)

BUSY_SECONDS = 30
# Upstox, NSE, and a token that is being renewed.
OPEN_ACCOUNTS = 4
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


_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_IN_QUEUE = 2**63 - 1


class FileWindows:
    """The files of all accounts in *folder* (None: the user's state folder), on *clock*.

    Satisfies `ports.RateWindows`.
    """

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self._folder = folder or user_state_path("data-fetch")
        self._clock = clock
        self._files: dict[Path, _File] = {}
        self._lock = Lock()

    @property
    def where(self) -> str:
        return f"the folder {self._folder}"

    def file_of(self, account: str) -> Path:
        return self._folder / f"pacing-{account}.sqlite3"

    def ledger(self, account: str, rules: RateRules) -> "FileLedger":
        path = self.file_of(account)
        with self._lock:
            # The newest last. Those of former tokens are not used any more; one that is opens its
            # file again.
            file = self._files[path] = self._files.pop(path, _File(path))
            for older in list(self._files.values())[:-OPEN_ACCOUNTS]:
                older.close()
        return FileLedger(file, self._clock, rules)

    def close(self) -> None:
        for file in tuple(self._files.values()):
            file.close()


class FileLedger:
    """One account's spending in *file*. Satisfies `ports.RateLedger`.

    Raises SetupError when the file cannot be used.
    """

    def __init__(self, file: "_File", clock: Clock, rules: RateRules) -> None:
        self._file = file
        self._clock = clock
        self._rules = rules

    def take(self, entry: QueueEntry, patience: timedelta | None) -> Turn:
        return self._file.change(lambda db: self._take(db, entry, patience))

    def answer(self, entry: QueueEntry) -> None:
        self._file.change(lambda db: self._answer(db, entry))

    def leave(self, entry: QueueEntry) -> None:
        self._file.change(lambda db: _leave_queue(db, entry))

    def pause(self, api: str, duration: timedelta) -> None:
        self._file.change(lambda db: self._pause(db, api, duration))

    def spending(self) -> Spending:
        """No file is created for it."""
        if not self._file.path.exists():
            return Spending(self._clock.now(), {}, {})
        return self._file.change(self._spending)

    def _take(self, db: sqlite3.Connection, entry: QueueEntry, patience: timedelta | None) -> Turn:
        now = self._tidy(db)
        turn = turn_of(self._rules, self._standing(db, entry, now))
        if turn.granted:
            _leave_queue(db, entry)
            db.execute(
                "INSERT INTO spent (id, api, sent, ends, answered) VALUES (?, ?, ?, ?, 0)",
                (entry.number, entry.api, now, now + _micros(self._rules.flight)),
            )
        elif turn.comes_within(patience):
            expires = _since_epoch(turn.at + OVERDUE)
            entry.ticket = db.execute(
                "INSERT OR REPLACE INTO waiting (id, api, lane, seen, expires) "
                "VALUES (?, ?, ?, ?, ?)",
                (entry.ticket, entry.api, entry.lane, now, expires),
            ).lastrowid
        return turn

    def _standing(self, db: sqlite3.Connection, entry: QueueEntry, now: int) -> Standing:
        (ahead,) = db.execute(
            "SELECT count(*) FROM waiting WHERE api = ? AND (lane, id) < (?, ?)",
            (entry.api, entry.lane, entry.ticket or _LAST_IN_QUEUE),
        ).fetchone()
        return Standing(
            _instant(now),
            ahead,
            # A new request fits in when the limit-th newest has left the window.
            {
                window: _nth_newest_end(db, entry.api, limit - ahead)
                for window, limit in self._rules.limits.items()
                if ahead < limit
            },
            _paused_until(db, entry.api),
            self._unknown_until(db),
        )

    def _unknown_until(self, db: sqlite3.Connection) -> datetime | None:
        (since,) = db.execute("SELECT max(since) FROM unknown").fetchone()
        return None if since is None else _instant(since) + self._rules.longest + NEXT_INSTANT

    def _tidy(self, db: sqlite3.Connection) -> int:
        """Delete what is in no window any more; return the time (microseconds).

        Instants in the future were written before the clock was set back. They are moved to now,
        so that they block no longer than one window.
        """
        now = _since_epoch(self._clock.now())
        flight, longest = _micros(self._rules.flight), _micros(self._rules.longest)
        longest_pause = now + _micros(LONGEST_PAUSE)
        for statement, values in (
            ("DELETE FROM spent WHERE answered IN (0, 1) AND ends < ?", (now - longest,)),
            ("UPDATE spent SET ends = ? WHERE answered = 1 AND ends > ?", (now, now)),
            (
                "UPDATE spent SET sent = ?, ends = ? WHERE answered = 0 AND sent > ?",
                (now, now + flight, now),
            ),
            ("DELETE FROM waiting WHERE expires < ? OR seen > ?", (now, now)),
            ("UPDATE unknown SET since = ? WHERE since > ?", (now, now)),
            ("DELETE FROM pauses WHERE until <= ?", (now,)),
            ("UPDATE pauses SET until = ? WHERE until > ?", (longest_pause, longest_pause)),
        ):
            db.execute(statement, values)
        return now

    def _answer(self, db: sqlite3.Connection, entry: QueueEntry) -> None:
        now = _since_epoch(self._clock.now())
        # Replaced instead of updated: after a suspend with a request in flight the row may
        # have been deleted.
        db.execute(
            "INSERT OR REPLACE INTO spent (id, api, sent, ends, answered) VALUES (?, ?, ?, ?, 1)",
            (entry.number, entry.api, now, now),
        )

    def _pause(self, db: sqlite3.Connection, api: str, duration: timedelta) -> None:
        db.execute(
            "INSERT INTO pauses (api, until) VALUES (?, ?) "
            "ON CONFLICT (api) DO UPDATE SET until = max(until, excluded.until)",
            (api, _since_epoch(self._clock.now() + duration)),
        )

    def _spending(self, db: sqlite3.Connection) -> Spending:
        now = self._tidy(db)
        ends: dict[str, list[datetime]] = defaultdict(list)
        for api, end in db.execute("SELECT api, ends FROM spent ORDER BY ends"):
            ends[api].append(_instant(min(end, now)))
        pauses = db.execute("SELECT api, until FROM pauses")
        unknown_until = self._unknown_until(db)
        return Spending(
            _instant(now),
            ends,
            {api: _instant(until) for api, until in pauses},
            None if unknown_until is None or unknown_until <= _instant(now) else unknown_until,
        )


def _nth_newest_end(db: sqlite3.Connection, api: str, n: int) -> datetime | None:
    row = db.execute(
        "SELECT ends FROM spent WHERE api = ? ORDER BY ends DESC LIMIT 1 OFFSET ?", (api, n - 1)
    ).fetchone()
    return None if row is None else _instant(row[0])


def _paused_until(db: sqlite3.Connection, api: str) -> datetime | None:
    row = db.execute("SELECT until FROM pauses WHERE api = ?", (api,)).fetchone()
    return None if row is None else _instant(row[0])


def _leave_queue(db: sqlite3.Connection, entry: QueueEntry) -> None:
    if entry.ticket is not None:
        db.execute("DELETE FROM waiting WHERE id = ?", (entry.ticket,))


def _micros(duration: timedelta) -> int:
    return duration // _MICROSECOND


def _since_epoch(at: datetime) -> int:
    return _micros(at - _EPOCH)


def _instant(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND


class _File:
    """The file at *path*. Opened at the first `change`; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
                    f"The record of sent requests, {self.path}, cannot be used ({problem})",
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
            private_folder(self.path.parent)
            # Two processes must not both find the file damaged and replace it.
            with FileLock(self.path.with_suffix(".lock"), mode=OWNER_ONLY, timeout=BUSY_SECONDS):
                self._db = self._undamaged_file()
        return self._db

    def _undamaged_file(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as problem:
            if not _is_damage(problem):
                raise
        last_used = self._move_damaged_file()
        db = _connect(self.path)
        db.execute("INSERT INTO unknown VALUES (?)", (last_used,))
        log.warning(
            "the record of sent requests was damaged and is replaced; requests wait up to 30 "
            "minutes for limits that may be used up",
            extra={"file": str(self.path)},
        )
        return db

    def _move_damaged_file(self) -> int:
        """Rename the file; return when it was last written (microseconds since 1970)."""
        parts = [self.path, *(Path(f"{self.path}{tail}") for tail in ("-wal", "-shm"))]
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
    except UnicodeDecodeError as problem:
        # The message of SQLite cites the damaged text of a schema.
        db.close()
        raise _damage("its schema is damaged") from problem
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
