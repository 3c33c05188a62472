"""Keeps requests inside the provider's limits, for all processes of the machine together.

Upstox counts requests per user and API in three sliding windows. What was spent is kept in
a file that every process of the same account opens, so it survives a restart, and the live
lane of one process is served before the bulk lane of another. A request counts from the
moment it is sent until one window width after its answer arrived, because the provider may
have counted it at any moment between the two.
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

# Width of a sliding window -> how many requests it may hold.
UPSTOX_LIMITS: Mapping[timedelta, int] = {
    timedelta(seconds=1): 50,
    timedelta(minutes=1): 500,
    timedelta(minutes=30): 2000,
}

# No request is on its way longer: settings allow a timeout of 120 s. Of a process that died
# with a request in flight nobody can tell when, or whether, the provider counted it.
LONGEST_FLIGHT = timedelta(seconds=130)

# A waiter that has not come back so long after its turn is taken for dead.
OVERDUE = timedelta(seconds=2)

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_IN_LINE = 2**63 - 1


def state_file_for(host: str, token: str, folder: Path | None = None) -> Path:
    """Where the spending of one account at one host is kept.

    A token that names its user (a JWT's `sub`) stands for the user, whose limits outlive the
    daily token; any other token stands for itself. Neither can be read from the name.
    """
    account = token_claims(token).get("sub") or token
    name = hashlib.sha256(f"{host}\n{account}".encode()).hexdigest()[:32]
    return (folder or user_state_path("data-fetch")) / f"pacing-{name}.sqlite3"


@dataclass(slots=True)
class _Place:
    """A request's place in the line. It gets a *ticket* when it has to wait."""

    api: str
    lane: Lane
    ticket: int | None = None


class Pacer:
    """Permission to send, from one set of sliding windows per API. Satisfies `ports.Pacing`.

    Works on any clock; *flight* bounds how long a request can be on its way. *state_file* may
    be a function: each request then asks it which account it spends from, because the account
    changes with a renewed token. Opens a file at the first request that needs it. Raises
    SetupError when the file cannot be used at all.
    """

    def __init__(
        self,
        state_file: Path | Callable[[], Path],
        clock: Clock,
        limits: Mapping[timedelta, int] = UPSTOX_LIMITS,
        flight: timedelta = LONGEST_FLIGHT,
    ) -> None:
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
        """Wait for permission to send one request to *api*; count it until it is answered.

        Raises RateLimited at once when permission cannot come by *latest*, Stopped when *stop*
        is set before it comes.
        """
        ledger = self._ledger()
        granted = self._wait_for_turn(ledger, _Place(api, lane), latest, stop or Event())
        try:
            yield
        finally:
            ledger.change(lambda db: self._answered(db, granted, api))

    def spent(self, api: str) -> dict[timedelta, int]:
        """How many requests each window of *api* holds now."""

        def count(db: sqlite3.Connection) -> dict[timedelta, int]:
            now = self._tidied(db)
            query = "SELECT count(*) FROM spent WHERE api = ? AND ends >= ?"
            return {
                window * _MICROSECOND: db.execute(query, (api, now - window)).fetchone()[0]
                for window in self._limits
            }

        return self._ledger().change(count)

    def spending(self, api: str) -> list[datetime]:
        """From when each request in the longest window of *api* counts, oldest first.

        Requests in flight are taken to be answered now.
        """

        def ends(db: sqlite3.Connection) -> list[datetime]:
            now = self._tidied(db)
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
        self, ledger: PacingLedger, place: _Place, latest: datetime | None, stop: Event
    ) -> int:
        try:
            while True:
                turn = ledger.change(lambda db: self._ask(db, place, latest))
                if not isinstance(turn, datetime):
                    return turn
                if self._clock.wait(turn, stop):
                    raise Stopped(f"a request to {place.api} was called off while it waited")
        except BaseException:
            # Ctrl-C too: a place kept in line would hold everybody behind it back.
            ledger.change(lambda db: _leave_line(db, place))
            raise

    def _ask(
        self, db: sqlite3.Connection, place: _Place, latest: datetime | None
    ) -> int | datetime:
        """The number of the request that may now be sent, or when to ask again."""
        now = self._tidied(db)
        turn = self._turn(db, place, now)
        if turn <= now:
            _leave_line(db, place)
            return _insert(
                db,
                "INSERT INTO spent (api, sent, ends, answered) VALUES (?, ?, ?, 0)",
                (place.api, now, now + self._flight),
            )
        if latest is not None and _instant(turn) > latest:
            raise self._refusal(place.api, turn, now)
        place.ticket = _insert(
            db,
            "INSERT OR REPLACE INTO waiting (id, api, lane, seen, expires) VALUES (?, ?, ?, ?, ?)",
            (place.ticket, place.api, place.lane, now, turn + _micros(OVERDUE)),
        )
        return _instant(turn)

    def _turn(self, db: sqlite3.Connection, place: _Place, now: int) -> int:
        """The earliest instant at which *place* could be served; *now* or before means now.

        Requests in flight are taken to be answered this moment, and those ahead in the line
        to be sent and answered this moment: it cannot be earlier, and who asks again then
        will know better.
        """
        (ahead,) = db.execute(
            "SELECT count(*) FROM waiting WHERE api = ? AND (lane, id) < (?, ?)",
            (place.api, place.lane, place.ticket or _LAST_IN_LINE),
        ).fetchone()
        turns = [self._after_what_is_unknown(db)]
        for window, limit in self._limits.items():
            # A new request fits in when the limit-th newest has left the window.
            end = now if ahead >= limit else _nth_newest_end(db, place.api, limit - ahead)
            if end is not None:
                turns.append(min(end, now) + window + 1)
        return max(turns)

    def _after_what_is_unknown(self, db: sqlite3.Connection) -> int:
        (since,) = db.execute("SELECT max(since) FROM unknown").fetchone()
        return 0 if since is None else since + self._longest + 1

    def _tidied(self, db: sqlite3.Connection) -> int:
        """Forget what no window holds any more; say what time it is (microseconds).

        Instants from the future were written before the clock was set back. They become the
        present, so that they block no longer than one window.
        """
        now = _micros(self._clock.now() - _EPOCH)
        flight = self._flight
        for statement, values in (
            ("DELETE FROM spent WHERE answered IN (0, 1) AND ends < ?", (now - self._longest,)),
            ("UPDATE spent SET ends = ? WHERE answered = 1 AND ends > ?", (now, now)),
            (
                "UPDATE spent SET sent = ?, ends = ? WHERE answered = 0 AND sent > ?",
                (now, now + flight, now),
            ),
            ("DELETE FROM waiting WHERE expires < ? OR seen > ?", (now, now)),
            ("UPDATE unknown SET since = ? WHERE since > ?", (now, now)),
        ):
            db.execute(statement, values)
        return now

    def _answered(self, db: sqlite3.Connection, granted: int, api: str) -> None:
        now = _micros(self._clock.now() - _EPOCH)
        # Replaced rather than updated: a machine that slept with a request in flight may
        # have forgotten it.
        db.execute(
            "INSERT OR REPLACE INTO spent (id, api, sent, ends, answered) VALUES (?, ?, ?, ?, 1)",
            (granted, api, now, now),
        )

    def _refusal(self, api: str, turn: int, now: int) -> RateLimited:
        limits = ", ".join(
            f"{limit} in {window // 1_000_000} s" for window, limit in self._limits.items()
        )
        return RateLimited(
            f"The budget of {api} ({limits}) is spent until "
            f"{_instant(turn).astimezone(IST):%H:%M:%S} IST",
            retry_after=(turn - now) * _MICROSECOND,
            hint="Nothing was sent; another program may be using the same account.",
        )


def _nth_newest_end(db: sqlite3.Connection, api: str, n: int) -> int | None:
    row = db.execute(
        "SELECT ends FROM spent WHERE api = ? ORDER BY ends DESC LIMIT 1 OFFSET ?", (api, n - 1)
    ).fetchone()
    return None if row is None else row[0]


def _leave_line(db: sqlite3.Connection, place: _Place) -> None:
    if place.ticket is not None:
        db.execute("DELETE FROM waiting WHERE id = ?", (place.ticket,))


def _insert(db: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> int:
    number = db.execute(statement, values).lastrowid
    assert number is not None
    return number


def _micros(duration: timedelta) -> int:
    return duration // _MICROSECOND


def _instant(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND
