"""Keeps requests within the provider's limits, for all processes of the machine together.

Providers count requests per user and API in sliding windows. The sent requests are recorded in
a file that every process of the same account opens, so the record survives a restart, and the
live lane of one process is served before the bulk lane of another. A request counts from the
moment it is sent until one window width after its response, because the provider may have
counted it at any moment between the two. A pause that the provider requires (Retry-After) is in
the file as well.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from platformdirs import user_state_path

from data_fetch.core.clock import IST
from data_fetch.core.errors import RateLimited, Stopped
from data_fetch.core.ports import Clock, Lane
from data_fetch.sources.transport.jwt import token_claims
from data_fetch.sources.transport.pacing_ledger import PacingLedger

# No request is in flight longer: settings allow a timeout of 120 s. If a process dies with a
# request in flight, it is unknown when, or whether, the provider counted it.
LONGEST_FLIGHT = timedelta(seconds=130)

# A waiting process that does not return within this time after its turn is taken for dead.
OVERDUE = timedelta(seconds=2)

# The longest window of any provider here: a longer pause cannot be about its limits.
LONGEST_PAUSE = timedelta(minutes=30)

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_IN_QUEUE = 2**63 - 1


def state_file_for(host: str, token: str, folder: Path | None = None) -> Path:
    """The file with the spending of one account at one host.

    A token that names its user (a JWT's `sub`) stands for the user, whose limits outlive the
    daily token; any other token stands for itself. The file name reveals neither.
    """
    account = token_claims(token).get("sub") or token
    name = hashlib.sha256(f"{host}\n{account}".encode()).hexdigest()[:32]
    return (folder or user_state_path("data-fetch")) / f"pacing-{name}.sqlite3"


@dataclass(slots=True)
class _QueueEntry:
    """A request in the queue. It gets a *ticket* when it has to wait."""

    api: str
    lane: Lane
    ticket: int | None = None


class Pacer:
    """Permission to send, from one set of sliding windows per API. Satisfies `ports.Pacing`.

    Works on any clock; *flight* is the longest time that a request is in flight. *state_file* may
    be a function: each request then calls it, because the account changes with a renewed token.
    Opens a file at the first request that needs it. Raises SetupError when the file cannot be used.
    """

    def __init__(
        self,
        state_file: Path | Callable[[], Path],
        clock: Clock,
        limits: Mapping[timedelta, int],
        flight: timedelta = LONGEST_FLIGHT,
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._limits = {_micros(window): limit for window, limit in limits.items()}
        self._longest = max(self._limits)
        self._flight = _micros(flight)
        self._state_file = state_file
        self._ledgers: dict[Path, PacingLedger] = {}

    @contextmanager
    def request(
        self,
        api: str,
        lane: Lane,
        latest: datetime | None = None,
        stop: Event | None = None,
    ) -> Iterator[None]:
        """Wait for permission to send one request to *api*; count it until its response.

        Raises RateLimited at once when permission cannot come by *latest*, Stopped when *stop*
        is set before it comes.
        """
        ledger = self._ledger()
        granted = self._wait_for_turn(ledger, _QueueEntry(api, lane), latest, stop or Event())
        try:
            yield
        finally:
            ledger.change(lambda db: self._complete(db, granted, api))

    def pause(self, api: str, duration: timedelta) -> None:
        """Send nothing to *api* for *duration* from now, in no process of this machine.

        At most LONGEST_PAUSE; a shorter pause does not end a longer one.
        """
        self._ledger().change(lambda db: self._pause(db, api, _micros(duration)))

    def pauses(self) -> dict[str, datetime]:
        """Until when each API is paused at present."""

        def until(db: sqlite3.Connection) -> dict[str, datetime]:
            self._tidy(db)
            rows = db.execute("SELECT api, until FROM pauses ORDER BY api")
            return {api: _instant(until) for api, until in rows}

        return self._ledger().change(until)

    def used(self) -> dict[tuple[str, timedelta], int]:
        """How many requests count at present, by API and window."""

        def counts(db: sqlite3.Connection) -> dict[tuple[str, timedelta], int]:
            now = self._tidy(db)
            query = "SELECT api, sum(ends >= ?) FROM spent GROUP BY api ORDER BY api"
            return {
                (api, window): count
                for window in self.limits
                for api, count in db.execute(query, (now - _micros(window),))
            }

        return self._ledger().change(counts)

    def spending(self, api: str) -> list[datetime]:
        """From when each request in the longest window of *api* counts, oldest first.

        Requests in flight are counted as if their response came now.
        """

        def ends(db: sqlite3.Connection) -> list[datetime]:
            now = self._tidy(db)
            query = "SELECT ends FROM spent WHERE api = ? AND ends >= ? ORDER BY ends"
            rows = db.execute(query, (api, now - self._longest))
            return [_instant(min(end, now)) for (end,) in rows]

        return self._ledger().change(ends)

    def close(self) -> None:
        """Close the files. The next request would open its file again."""
        for ledger in tuple(self._ledgers.values()):
            ledger.close()

    def _ledger(self) -> PacingLedger:
        """The ledger of the account in use."""
        file = self._state_file if isinstance(self._state_file, Path) else self._state_file()
        return self._ledgers.setdefault(file, PacingLedger(file))

    def _wait_for_turn(
        self, ledger: PacingLedger, entry: _QueueEntry, latest: datetime | None, stop: Event
    ) -> int:
        try:
            while True:
                turn = ledger.change(lambda db: self._try_turn(db, entry, latest))
                if not isinstance(turn, datetime):
                    return turn
                if self._clock.wait(turn, stop):
                    raise Stopped(f"a request to {entry.api} was cancelled while it waited")
        except BaseException:
            # Ctrl-C too: an abandoned entry would block all entries behind it.
            ledger.change(lambda db: _leave_queue(db, entry))
            raise

    def _try_turn(
        self, db: sqlite3.Connection, entry: _QueueEntry, latest: datetime | None
    ) -> int | datetime:
        """The id of the request that may now be sent, or when to try again."""
        now = self._tidy(db)
        turn = self._turn(db, entry, now)
        if turn <= now:
            _leave_queue(db, entry)
            return _insert(
                db,
                "INSERT INTO spent (api, sent, ends, answered) VALUES (?, ?, ?, 0)",
                (entry.api, now, now + self._flight),
            )
        if latest is not None and _instant(turn) > latest:
            raise self._rejection(db, entry.api, turn, now)
        entry.ticket = _insert(
            db,
            "INSERT OR REPLACE INTO waiting (id, api, lane, seen, expires) VALUES (?, ?, ?, ?, ?)",
            (entry.ticket, entry.api, entry.lane, now, turn + _micros(OVERDUE)),
        )
        return _instant(turn)

    def _turn(self, db: sqlite3.Connection, entry: _QueueEntry, now: int) -> int:
        """The earliest instant at which *entry* could be served; *now* or before means now.

        Assumes that requests in flight get their response now, and that those ahead in the queue
        are sent and get theirs now: it cannot be earlier, and the next try computes it again.
        """
        (ahead,) = db.execute(
            "SELECT count(*) FROM waiting WHERE api = ? AND (lane, id) < (?, ?)",
            (entry.api, entry.lane, entry.ticket or _LAST_IN_QUEUE),
        ).fetchone()
        turns = [self._after_unknown_spending(db), _paused_until(db, entry.api)]
        for window, limit in self._limits.items():
            # A new request fits in when the limit-th newest has left the window.
            end = now if ahead >= limit else _nth_newest_end(db, entry.api, limit - ahead)
            if end is not None:
                turns.append(min(end, now) + window + 1)
        return max(turns)

    def _after_unknown_spending(self, db: sqlite3.Connection) -> int:
        (since,) = db.execute("SELECT max(since) FROM unknown").fetchone()
        return 0 if since is None else since + self._longest + 1

    def _tidy(self, db: sqlite3.Connection) -> int:
        """Delete what is in no window any more; return the time (microseconds).

        Instants in the future were written before the clock was set back. They are moved to now,
        so that they block no longer than one window.
        """
        now = _micros(self._clock.now() - _EPOCH)
        flight, longest_pause = self._flight, now + _micros(LONGEST_PAUSE)
        for statement, values in (
            ("DELETE FROM spent WHERE answered IN (0, 1) AND ends < ?", (now - self._longest,)),
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

    def _complete(self, db: sqlite3.Connection, granted: int, api: str) -> None:
        now = _micros(self._clock.now() - _EPOCH)
        # Replaced instead of updated: after a suspend with a request in flight the row may
        # have been deleted.
        db.execute(
            "INSERT OR REPLACE INTO spent (id, api, sent, ends, answered) VALUES (?, ?, ?, ?, 1)",
            (granted, api, now, now),
        )

    def _pause(self, db: sqlite3.Connection, api: str, duration: int) -> None:
        now = _micros(self._clock.now() - _EPOCH)
        db.execute(
            "INSERT INTO pauses (api, until) VALUES (?, ?) "
            "ON CONFLICT (api) DO UPDATE SET until = max(until, excluded.until)",
            (api, now + min(duration, _micros(LONGEST_PAUSE))),
        )

    def _rejection(self, db: sqlite3.Connection, api: str, turn: int, now: int) -> RateLimited:
        wait = (turn - now) * _MICROSECOND
        if turn <= _paused_until(db, api):
            return RateLimited(
                f"The provider requires a pause of {api} until {_ist(turn)} IST",
                retry_after=wait,
                hint="Nothing was sent, and no other program on this machine sends anything there.",
            )
        limits = ", ".join(
            f"{limit} in {window // 1_000_000} s" for window, limit in self._limits.items()
        )
        return RateLimited(
            f"The budget of {api} ({limits}) is used up until {_ist(turn)} IST",
            retry_after=wait,
            hint="Nothing was sent; another program may be using the same account.",
        )


def _nth_newest_end(db: sqlite3.Connection, api: str, n: int) -> int | None:
    row = db.execute(
        "SELECT ends FROM spent WHERE api = ? ORDER BY ends DESC LIMIT 1 OFFSET ?", (api, n - 1)
    ).fetchone()
    return None if row is None else row[0]


def _paused_until(db: sqlite3.Connection, api: str) -> int:
    row = db.execute("SELECT until FROM pauses WHERE api = ?", (api,)).fetchone()
    return 0 if row is None else row[0]


def _leave_queue(db: sqlite3.Connection, entry: _QueueEntry) -> None:
    if entry.ticket is not None:
        db.execute("DELETE FROM waiting WHERE id = ?", (entry.ticket,))


def _insert(db: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> int:
    number = db.execute(statement, values).lastrowid
    assert number is not None
    return number


def _ist(micros: int) -> str:
    return f"{_instant(micros).astimezone(IST):%H:%M:%S}"


def _micros(duration: timedelta) -> int:
    return duration // _MICROSECOND


def _instant(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND
