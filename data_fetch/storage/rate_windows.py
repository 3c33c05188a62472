"""Rate windows in PostgreSQL, shared by the processes of all machines.

One transaction at a time decides for an account, on the clock of the database. Nothing is lost when
the server restarts.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock

from sqlalchemy import (
    BindParameter,
    Connection,
    ScalarSelect,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from data_fetch.core.errors import DataFetchError, WindowsUnavailable
from data_fetch.core.pacing import (
    LONGEST_PAUSE,
    OVERDUE,
    QueueEntry,
    RateRules,
    Spending,
    Standing,
    Turn,
    turn_of,
)
from data_fetch.core.ports import Clock
from data_fetch.core.world import World
from data_fetch.storage.database.dialects import wait_for_turn
from data_fetch.storage.database.engine import redacted, writing
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import (
    ProviderPauseRow,
    SentRequestRow,
    WaitingRequestRow,
    table,
)
from data_fetch.storage.database.types import EPOCH, MICROSECOND
from data_fetch.storage.database.upsert import Rule, latest, upsert

sent_requests = table(SentRequestRow)
waiting_requests = table(WaitingRequestRow)
provider_pauses = table(ProviderPauseRow)
sent, waiting, pauses = sent_requests.c, waiting_requests.c, provider_pauses.c
LONGER_PAUSE = Rule(combined={"until": latest})
LAST_IN_QUEUE = 2**63 - 1

account: BindParameter[str] = bindparam("its_account")
api: BindParameter[str] = bindparam("its_api")
now: BindParameter[datetime] = bindparam("now")
of_api = and_(sent.account == account, sent.api == api)

# What is in no window any more. Instants in the future were written before the clock was set back:
# they count from now, and block no longer than one window.
TIDY = select(literal(None)).add_cte(
    delete(sent_requests).where(of_api, sent.ends < bindparam("oldest")).cte("old_requests"),
    update(sent_requests)
    .where(of_api, sent.ends > now, or_(sent.answered, sent.sent > now))
    .values(
        sent=func.least(sent.sent, now),
        ends=case((sent.answered, now), else_=bindparam("end_of_flight")),
    )
    .cte("future_requests"),
    delete(waiting_requests)
    .where(
        waiting.account == account,
        waiting.api == api,
        or_(waiting.expires < now, waiting.seen > now),
    )
    .cte("dead_processes"),
    update(provider_pauses)
    .where(pauses.account == account, pauses.until > bindparam("longest_pause"))
    .values(until=bindparam("longest_pause"))
    .cte("long_pauses"),
)
PLACE = select(
    select(func.count())
    .select_from(waiting_requests)
    .where(
        waiting.account == account,
        waiting.api == api,
        tuple_(waiting.lane, waiting.ticket) < tuple_(bindparam("lane"), bindparam("its_ticket")),
    )
    .scalar_subquery(),
    select(pauses.until).where(pauses.account == account, pauses.api == api).scalar_subquery(),
)


class DatabaseWindows:
    """The windows of all accounts in the PostgreSQL store at *url*, opened at their first use.

    The time is the database's own; a paper market's is *clock*. *setting* names the database in
    hints. Satisfies `ports.RateWindows`.
    """

    def __init__(self, url: str, world: World, setting: str, clock: Clock | None = None) -> None:
        self.where = f"the database {redacted(url)}"
        self._url = url
        self._world = world
        self._setting = setting
        self._clock = clock
        self._store: Store | None = None
        self._lock = Lock()

    def ledger(self, account: str, rules: RateRules) -> "DatabaseLedger":
        return DatabaseLedger(self, account, rules)

    def now(self, connection: Connection) -> datetime:
        if self._clock is not None:
            return self._clock.now()
        at: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return at

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Raises WindowsUnavailable for whatever the database refuses."""
        try:
            with writing(self._opened().engine) as connection:
                yield connection
        except DataFetchError as problem:
            fix = problem.hint.replace("DATABASE_URL", self._setting)
            raise WindowsUnavailable(
                f"The rate windows: {problem.message}",
                hint=f"Nothing is sent without them. {fix} Requests go on by themselves then.",
            ) from problem

    def close(self) -> None:
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._store = None

    def _opened(self) -> Store:
        with self._lock:
            if self._store is None:
                self._store = open_store(self._url, self._world)
            return self._store


class DatabaseLedger:
    """One account's spending. Satisfies `ports.RateLedger`."""

    def __init__(self, windows: DatabaseWindows, account: str, rules: RateRules) -> None:
        self._windows = windows
        self._account = account
        self._rules = rules
        digest = sha256(f"rate windows of {account}".encode()).digest()
        self._turns = int.from_bytes(digest[:8], signed=True)

    def take(self, entry: QueueEntry, patience: timedelta | None) -> Turn:
        with self._windows.transaction() as connection:
            wait_for_turn(connection, self._turns)
            at = self._windows.now(connection)
            self._tidy(connection, entry.api, at)
            turn = turn_of(self._rules, self._standing(connection, entry, at))
            if turn.granted:
                self._leave(connection, entry)
                self._record(connection, entry, at, at + self._rules.flight, answered=False)
            elif turn.comes_within(patience):
                self._queue(connection, entry, turn)
        return turn

    def answer(self, entry: QueueEntry) -> None:
        with self._windows.transaction() as connection:
            at = self._windows.now(connection)
            # Inserted if need be: after a suspend in flight the row may have been deleted.
            self._record(connection, entry, at, at, answered=True)

    def leave(self, entry: QueueEntry) -> None:
        with self._windows.transaction() as connection:
            self._leave(connection, entry)

    def pause(self, api: str, duration: timedelta) -> None:
        with self._windows.transaction() as connection:
            until = self._windows.now(connection) + duration
            columns, row = ("account", "api", "until"), (self._account, api, until)
            upsert(connection, provider_pauses, columns, [row], LONGER_PAUSE)

    def spending(self) -> Spending:
        with self._windows.transaction() as connection:
            at = self._windows.now(connection)
            found = connection.execute(
                select(sent.api, func.least(sent.ends, at))
                .where(sent.account == self._account, sent.ends >= at - self._rules.longest)
                .order_by(sent.ends)
            )
            ends = defaultdict(list)
            for name, end in found:
                ends[name].append(end)
            paused = connection.execute(
                select(
                    pauses.api, func.least(pauses.until, at + LONGEST_PAUSE).label("until")
                ).where(pauses.account == self._account, pauses.until > at)
            )
            return Spending(at, ends, {row.api: row.until for row in paused})

    def _tidy(self, connection: Connection, of: str, at: datetime) -> None:
        values = {
            "its_account": self._account,
            "its_api": of,
            "now": at,
            "oldest": at - self._rules.longest,
            "end_of_flight": at + self._rules.flight,
            "longest_pause": at + LONGEST_PAUSE,
        }
        connection.execute(TIDY, values)

    def _standing(self, connection: Connection, entry: QueueEntry, at: datetime) -> Standing:
        values = {
            "its_account": self._account,
            "its_api": entry.api,
            "lane": int(entry.lane),
            "its_ticket": LAST_IN_QUEUE if entry.ticket is None else entry.ticket,
        }
        ahead, paused_until = connection.execute(PLACE, values).one()
        # A new request fits in when the limit-th newest has left the window.
        newest = {
            window: limit - ahead for window, limit in self._rules.limits.items() if ahead < limit
        }
        query = select(*(_nth_newest_end(nth) for nth in newest.values()))
        ends = connection.execute(query, values).one() if newest else ()
        return Standing(at, ahead, dict(zip(newest, ends, strict=True)), paused_until)

    def _record(
        self,
        connection: Connection,
        entry: QueueEntry,
        at: datetime,
        ends: datetime,
        *,
        answered: bool,
    ) -> None:
        columns = ("account", "number", "api", "sent", "ends", "answered")
        row = (self._account, entry.number, entry.api, at, ends, answered)
        upsert(connection, sent_requests, columns, [row])

    def _queue(self, connection: Connection, entry: QueueEntry, turn: Turn) -> None:
        if entry.ticket is None:
            entry.ticket = (turn.now - EPOCH) // MICROSECOND
        columns = ("account", "number", "api", "lane", "ticket", "seen", "expires")
        lane, expires = int(entry.lane), turn.at + OVERDUE
        row = (self._account, entry.number, entry.api, lane, entry.ticket, turn.now, expires)
        upsert(connection, waiting_requests, columns, [row])

    def _leave(self, connection: Connection, entry: QueueEntry) -> None:
        if entry.ticket is not None:
            connection.execute(
                delete(waiting_requests).where(
                    waiting.account == self._account, waiting.number == entry.number
                )
            )


def _nth_newest_end(nth: int) -> ScalarSelect[datetime]:
    newest = select(sent.ends).where(of_api).order_by(sent.ends.desc())
    return newest.offset(nth - 1).limit(1).scalar_subquery()
