"""One collecting scheduler per store; the next takes over however the first one ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from effort import PATIENCE_SECONDS
from servers import pooler_for
from sqlalchemy import Connection, func, make_url, select, text

from data_fetch.core.errors import LostLeadership, StoreUnreachable
from data_fetch.core.world import World
from data_fetch.storage.database.engine import engine_for, is_postgres, reading, writing
from data_fetch.storage.database.leadership import (
    FENCE,
    LEADER,
    POLL_SECONDS,
    Fence,
    Leadership,
    is_led,
)
from data_fetch.storage.database.store import Guard, Store, open_store
from data_fetch.storage.database.tables import StoreMeta, table
from data_fetch.storage.database.upsert import upsert

META = table(StoreMeta)

# Another process: takes the lead, prints that, and runs until it is killed.
LEAD_UNTIL_KILLED = """
import sys
from threading import Event
from data_fetch.core.world import World
from data_fetch.storage.database.leadership import Leadership
from data_fetch.storage.database.store import open_store

leadership = Leadership(open_store(sys.argv[1], World.PAPER))
fence = leadership.acquire(Event(), lambda: print("waiting", flush=True))
print("leads with", fence.number, flush=True)
Event().wait()
"""


def silent() -> None:
    return None


def take(leadership: Leadership) -> Fence:
    fence = leadership.acquire(Event(), silent)
    assert fence is not None
    return fence


@contextmanager
def other_process(url: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", LEAD_UNTIL_KILLED, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def response(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_each_leader_gets_a_higher_number(store: Store) -> None:
    numbers = []
    for _ in range(3):
        leadership = Leadership(store)
        numbers.append(take(leadership).number)
        leadership.release()

    assert numbers == [1, 2, 3]


def test_the_second_waits_reports_it_once_and_takes_over(store: Store) -> None:
    first, second = Leadership(store), Leadership(store)
    take(first)
    waiting, calls, fences = Event(), [], []

    def on_wait() -> None:
        calls.append("waiting")
        waiting.set()

    def stand_by() -> None:
        fences.append(second.acquire(Event(), on_wait))

    standing_by = Thread(target=stand_by)
    standing_by.start()
    assert waiting.wait(PATIENCE_SECONDS)
    assert fences == []
    first.release()
    standing_by.join(PATIENCE_SECONDS)

    assert fences == [Fence(2)]
    assert calls == ["waiting"]
    second.release()


def test_waiting_can_be_stopped(store: Store) -> None:
    first, stop = Leadership(store), Event()
    take(first)

    assert Leadership(store).acquire(stop, on_wait=stop.set) is None
    first.release()


def test_the_leader_can_be_read(store: Store) -> None:
    leadership = Leadership(store)
    assert leadership.leader() is None
    take(leadership)

    assert str(os.getpid()) in str(Leadership(store).leader())
    leadership.release()


def test_the_leader_has_the_lead_until_it_releases_it(store: Store) -> None:
    leadership = Leadership(store)
    assert not leadership.renew()

    take(leadership)
    assert leadership.renew()

    leadership.release()
    assert not leadership.renew()


def test_a_leader_that_was_replaced_cannot_write(store: Store) -> None:
    first, second = Leadership(store), Leadership(store)
    old = take(first)
    with store.writing(old):
        pass
    first.release()
    new = take(second)

    with pytest.raises(LostLeadership, match="another scheduler"), store.writing(old):
        pytest.fail("the old leader got in")
    with store.writing(new):
        pass
    second.release()


def test_no_scheduler_takes_over_in_the_middle_of_a_write(store: Store) -> None:
    """The fence holds until the transaction that checked it is over."""
    first, second = Leadership(store), Leadership(store)
    fence = take(first)
    taken_over = Event()

    def take_over() -> None:
        take(second)
        taken_over.set()

    successor = Thread(target=take_over)
    with store.writing(fence):
        first.release()
        successor.start()
        assert not taken_over.wait(0.7)
    assert taken_over.wait(PATIENCE_SECONDS)
    successor.join()
    second.release()


def test_after_a_kill_another_scheduler_takes_over(database_url: str) -> None:
    with other_process(database_url) as killed, other_process(database_url) as heir:
        first, second = response(killed), response(heir)
        # Whichever came up first leads.
        if first == "waiting":
            killed, heir, first, second = heir, killed, second, first
        assert (first, second) == ("leads with 1", "waiting")

        killed.send_signal(signal.SIGKILL)

        assert response(heir) == "leads with 2"
        store = open_store(database_url, World.PAPER)
        assert f"process {heir.pid} on " in str(Leadership(store).leader())
        with pytest.raises(LostLeadership), store.writing(Fence(1)):
            pytest.fail("the number of the killed process is still accepted")
        store.close()


def test_an_attempt_without_waiting_fails_while_another_leads(store: Store) -> None:
    first, second = Leadership(store), Leadership(store)
    take(first)

    assert second.try_acquire() is None
    assert not second.renew()

    first.release()
    assert second.try_acquire() == Fence(2)
    assert not first.renew()
    second.release()


def test_of_many_that_try_at_once_one_leads(store: Store) -> None:
    contenders = [Leadership(store) for _ in range(6)]
    with ThreadPoolExecutor(len(contenders)) as pool:
        fences = list(pool.map(Leadership.try_acquire, contenders))

    assert [fence for fence in fences if fence is not None] == [Fence(1)]
    for contender in contenders:
        contender.release()


@pytest.fixture
def second_waits(postgres_url: str) -> Iterator["Standby"]:
    """Another leads, in a database that can be taken away."""
    store = open_store(postgres_url, World.PAPER)
    leader = Leadership(store)
    take(leader)
    standby = Standby(store)
    standby.start()
    assert standby.waits.wait(PATIENCE_SECONDS)
    yield standby
    standby.stop.set()
    standby.join(PATIENCE_SECONDS)
    standby.leadership.release()
    leader.release()
    store.close()


class Standby(Thread):
    """A scheduler that waits for another to go."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.leadership = Leadership(store)
        self.stop, self.waits = Event(), Event()
        self.fence: Fence | None = None

    def run(self) -> None:
        self.fence = self.leadership.acquire(self.stop, self.waits.set)


CUT = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")


@contextmanager
def database_away(server: str, url: str) -> Iterator[None]:
    """Close all connections to the database at *url*, and refuse new ones."""
    name = make_url(url).database
    engine = engine_for(server).execution_options(isolation_level="AUTOCOMMIT")
    with reading(engine) as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        connection.execute(CUT, {"name": name})
        yield
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    engine.dispose()


def test_waiting_outlasts_a_restart_of_the_database(
    second_waits: Standby, postgres_server: str, postgres_url: str
) -> None:
    with database_away(postgres_server, postgres_url):
        assert second_waits.leadership.leader() is None
        with pytest.raises(StoreUnreachable, match="is closed to connections"):
            Leadership(second_waits.store).try_acquire()
        # Two polls without an answer.
        second_waits.join(2 * POLL_SECONDS)
        assert second_waits.is_alive()
    second_waits.join(PATIENCE_SECONDS)

    assert second_waits.fence == Fence(2)


def test_waiting_takes_one_session(second_waits: Standby, postgres_url: str) -> None:
    # Through a session of its own: one of the pool would be one more where both are in use.
    observer = engine_for(postgres_url)
    sessions = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )

    def count() -> int:
        with reading(observer) as connection:
            return connection.execute(sessions).scalar_one()

    counted = [count()]
    for _ in range(3):
        second_waits.join(POLL_SECONDS)
        counted.append(count())
    observer.dispose()

    assert set(counted) == {1}


class NumberlessStore(Store):
    """The database goes away between the lock and the number."""

    def writing(self, guard: Guard | None = None) -> AbstractContextManager[Connection]:
        raise StoreUnreachable("the plug was pulled")


def test_a_leader_without_a_number_blocks_nobody(store: Store) -> None:
    leadership = Leadership(NumberlessStore(store.engine, store.world, store.name))

    with pytest.raises(StoreUnreachable):
        leadership.try_acquire()
    assert not leadership.renew()
    successor = Leadership(store)
    assert successor.try_acquire() == Fence(1)
    successor.release()


def test_a_lead_that_another_took_is_noticed(store: Store) -> None:
    leadership = Leadership(store)
    take(leadership)
    with store.writing() as connection:
        upsert(connection, META, ("name", "value"), [(FENCE, "2")])

    assert not leadership.renew()
    leadership.release()


def test_a_renewal_fails_while_nothing_can_be_written(sqlite_url: str) -> None:
    store = open_store(sqlite_url, World.PAPER)
    leadership = Leadership(store)
    take(leadership)
    other = engine_for(sqlite_url)

    with writing(other), pytest.raises(StoreUnreachable, match="locked"):
        leadership.renew()

    assert leadership.renew()
    leadership.release()
    other.dispose()
    store.close()


def test_of_one_number_issued_twice_one_is_valid(store: Store) -> None:
    """A standby was promoted that had not received the last change of the lead."""
    first, lost, next_one = Leadership(store), Leadership(store), Leadership(store)
    replicated = take(first)
    rows = select(META.c.name, META.c.value)
    with store.reading() as connection:
        standby_has = [tuple(row) for row in connection.execute(rows)]
    first.release()
    not_replicated = take(lost)
    lost.release()
    with store.writing() as connection:
        upsert(connection, META, ("name", "value"), standby_has)
    if is_postgres(store.engine):
        expire(store)

    promoted = take(next_one)

    assert (replicated, not_replicated, promoted) == (Fence(1), Fence(2), Fence(2))
    with store.writing(promoted):
        pass
    for other in (replicated, not_replicated):
        with pytest.raises(LostLeadership), store.writing(other):
            pytest.fail("two leaders write")
    next_one.release()


# --- the lease, on PostgreSQL -----------------------------------------------------------------


def lease_row(store: Store) -> dict[str, Any]:
    with store.reading() as connection:
        found = connection.scalar(select(META.c.value).where(META.c.name == LEADER))
    assert found is not None
    row: dict[str, Any] = json.loads(found)
    return row


def let_lease(store: Store, ends_in: timedelta) -> None:
    """As a leader on another machine would that last renewed its lease some time ago."""
    with store.writing() as connection:
        now = connection.execute(select(func.clock_timestamp())).scalar_one()
        expires = (now + ends_in).isoformat()
        row = {"pid": 1, "host": "another", "lease": "its-own", "expires_at": expires}
        rows = [(FENCE, "7"), (LEADER, json.dumps(row))]
        upsert(connection, META, ("name", "value"), rows)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    store = open_store(postgres_url, World.PAPER)
    yield store
    store.close()


@pytest.mark.parametrize(
    ("ends_in", "taken"),
    [
        pytest.param(timedelta(seconds=-1), Fence(8), id="expired"),
        pytest.param(timedelta(hours=1), None, id="in force"),
    ],
)
def test_a_leader_on_another_machine_leads_until_its_lease_expires(
    postgres_store: Store, ends_in: timedelta, taken: Fence | None
) -> None:
    let_lease(postgres_store, ends_in)
    leadership = Leadership(postgres_store)

    assert leadership.try_acquire() == taken
    leadership.release()


def test_a_renewal_makes_the_lease_last(postgres_store: Store) -> None:
    leadership = Leadership(postgres_store)
    take(leadership)
    before = datetime.fromisoformat(lease_row(postgres_store)["expires_at"])

    assert leadership.renew()

    assert datetime.fromisoformat(lease_row(postgres_store)["expires_at"]) > before
    leadership.release()


def test_a_lease_that_expired_can_be_renewed_until_another_leads(postgres_store: Store) -> None:
    """A process that was suspended, or had no database, goes on if it was not replaced."""
    first, second = Leadership(postgres_store), Leadership(postgres_store)
    take(first)
    expire(postgres_store)
    assert first.renew()
    expire(postgres_store)

    assert second.try_acquire() == Fence(2)
    assert not first.renew()
    second.release()


def expire(store: Store) -> None:
    row = lease_row(store) | {"expires_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat()}
    with store.writing() as connection:
        upsert(connection, META, ("name", "value"), [(LEADER, json.dumps(row))])


def test_a_leader_whose_sessions_are_cut_still_leads(postgres_store: Store) -> None:
    leadership = Leadership(postgres_store)
    take(leadership)
    cut_every_session_but_this(postgres_store)

    assert Leadership(postgres_store).try_acquire() is None
    assert leadership.renew()
    leadership.release()


def test_a_renewal_leaves_no_transaction_open(postgres_store: Store) -> None:
    """The server would end it after a minute, and a row lock would last until then."""
    leadership = Leadership(postgres_store)
    take(leadership)
    leadership.renew()

    others = text(
        "SELECT state FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    onlooker = engine_for(postgres_store.engine.url.render_as_string(hide_password=False))
    with reading(onlooker) as connection:
        assert set(connection.scalars(others)) == {"idle"}
    onlooker.dispose()
    leadership.release()


# --- behind a pooler --------------------------------------------------------------------------


@pytest.fixture(params=[1, 20], ids=["one server session", "many server sessions"])
def pooled_url(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[str]:
    """A database behind a pooler that gives each transaction another session."""
    pooler = pooler_for(postgres_url, request.param)
    if pooler is None:
        pytest.skip("this machine has no pgbouncer (Debian: apt install pgbouncer)")
    with pooler as url:
        yield url


def test_behind_a_pooler_one_leads(pooled_url: str) -> None:
    store = open_store(pooled_url, World.PAPER)
    first, second = Leadership(store), Leadership(store)
    take(first)

    for _ in range(5):
        assert first.renew()
        assert second.try_acquire() is None
    first.release()
    assert second.try_acquire() == Fence(2)
    second.release()
    store.close()


def test_behind_a_pooler_nobody_waits_for_a_dead_process(pooled_url: str) -> None:
    with other_process(pooled_url) as killed:
        assert response(killed) == "leads with 1"
        killed.send_signal(signal.SIGKILL)
        # Until its end is known, and not until its lease expires.
        killed.wait(PATIENCE_SECONDS)
        store = open_store(pooled_url, World.PAPER)
        successor = Leadership(store)

        assert successor.try_acquire() == Fence(2)
        successor.release()
        store.close()


def test_behind_a_pooler_every_transaction_has_its_settings(pooled_url: str) -> None:
    store = open_store(pooled_url, World.PAPER)
    for _ in range(5):
        with store.writing() as connection:
            assert connection.scalar(text("SHOW TIME ZONE")) == "UTC"
            assert connection.scalar(text("SHOW statement_timeout")) == "30s"
        with store.reading() as connection:
            assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
    store.close()


def cut_every_session_but_this(store: Store) -> None:
    assert is_postgres(store.engine)
    store.engine.dispose()
    pids = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
    with reading(store.engine) as connection:
        own = connection.scalar(select(func.pg_backend_pid()))
        for pid in set(connection.scalars(pids)) - {own}:
            connection.execute(select(func.pg_terminate_backend(pid)))


def test_whether_a_store_is_led_can_be_seen_without_taking_the_lead(store: Store) -> None:
    leader = Leadership(store)
    before = is_led(store)
    take(leader)
    during = is_led(store), is_led(store)
    renewed = leader.renew()
    leader.release()

    assert (before, during, renewed, is_led(store)) == (False, (True, True), True, False)
