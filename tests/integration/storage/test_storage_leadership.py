"""One collecting scheduler per store; the next takes over however the first one ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Thread

import pytest
from effort import PATIENCE_SECONDS
from sqlalchemy import Connection, func, make_url, select, text

from data_fetch.core.errors import LostLeadership, StoreUnreachable
from data_fetch.core.world import World
from data_fetch.storage.database.engine import engine_for, is_postgres, reading
from data_fetch.storage.database.leadership import POLL_SECONDS, Fence, Leadership
from data_fetch.storage.database.store import Guard, Store, open_store

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


def test_the_leader_holds_the_lock(store: Store) -> None:
    leadership = Leadership(store)
    assert not leadership.held()

    take(leadership)
    assert leadership.held()

    leadership.release()
    assert not leadership.held()


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
    assert not second.held()

    first.release()
    # PostgreSQL frees the lock when it notices that the session has ended.
    assert second.acquire(Event(), lambda: None) == Fence(2)
    second.release()


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
        with pytest.raises(StoreUnreachable, match="does not answer"):
            Leadership(second_waits.store).try_acquire()
        # Two polls without an answer.
        second_waits.join(2 * POLL_SECONDS)
        assert second_waits.is_alive()
    second_waits.join(PATIENCE_SECONDS)

    assert second_waits.fence == Fence(2)


def test_waiting_takes_one_session(second_waits: Standby) -> None:
    sessions = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")

    def pids() -> list[int]:
        with reading(second_waits.store.engine) as connection:
            return sorted(connection.scalars(sessions))

    before = pids()
    second_waits.join(3 * POLL_SECONDS)

    assert pids() == before


def test_the_lock_is_released_if_the_number_cannot_be_written(postgres_url: str) -> None:
    store = open_store(postgres_url, World.PAPER)
    away = NumberlessStore(store.engine, store.world, store.name)
    leadership = Leadership(away)

    with pytest.raises(StoreUnreachable):
        leadership.try_acquire()
    assert not leadership.held()
    take(Leadership(store))
    store.close()


class NumberlessStore(Store):
    """The database goes away between the lock and the number."""

    def writing(self, guard: Guard | None = None) -> AbstractContextManager[Connection]:
        raise StoreUnreachable("the plug was pulled")


def test_a_leader_notices_that_its_session_has_ended(postgres_url: str) -> None:
    store = open_store(postgres_url, World.PAPER)
    leadership = Leadership(store)
    take(leadership)
    cut_every_session_but_this(store)

    assert not leadership.held()
    successor = Leadership(store)
    assert take(successor) == Fence(2)
    leadership.release()
    assert successor.held()
    successor.release()
    store.close()


def cut_every_session_but_this(store: Store) -> None:
    assert is_postgres(store.engine)
    store.engine.dispose()
    pids = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
    with reading(store.engine) as connection:
        own = connection.scalar(select(func.pg_backend_pid()))
        for pid in set(connection.scalars(pids)) - {own}:
            connection.execute(select(func.pg_terminate_backend(pid)))
