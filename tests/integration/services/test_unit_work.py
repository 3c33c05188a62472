"""Units on their way: sent, lost, delivered twice, failed and done."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from unit_desk import UnitDesk

from data_fetch.core.errors import (
    BadRecord,
    BrokerUnreachable,
    RateLimited,
    Stopped,
    StoreUnreachable,
    TokenRejected,
)
from data_fetch.core.work import UnitFailure, UnitKind, UnitState
from data_fetch.services.work import DELIVERY, PATIENT, UnitResult
from data_fetch.storage.database.store import Store
from data_fetch.storage.work_units import UnitLease

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Work:
    """What the units of a test do: note their key, then settle or raise."""

    def __init__(self, store: Store) -> None:
        self.done: list[str] = []
        self.problem: Exception | None = None
        self.before: Callable[[], object] = lambda: None
        self._store = store
        self.desk = UnitDesk(store, {UnitKind.BACKFILL: self})

    def __call__(self, lease: UnitLease) -> None:
        self.before()
        if self.problem is not None:
            raise self.problem
        with self._store.writing() as connection:
            lease.settle(connection, self.desk.clock.now())
        self.done.append(lease.unit.key)


@pytest.fixture
def work(store: Store) -> Work:
    return Work(store)


def the_failure(results: list[UnitResult | None]) -> tuple[UnitFailure, bool]:
    [result] = results
    assert result is not None
    assert result.failed is not None
    return result.failed.reason, result.failed.next_try is None


def test_every_unit_is_sent_and_done_once(work: Work) -> None:
    keys = work.desk.offer("a", "b", "c")

    work.desk.work_off()

    assert sorted(work.done) == keys
    assert work.desk.dispatch.run().sent == 0


def test_a_key_that_is_delivered_twice_is_done_once(work: Work) -> None:
    [key] = work.desk.offer("a")
    work.desk.dispatch.run()
    work.desk.queue.keys *= 3

    results = work.desk.deliver()

    assert [result is not None for result in results] == [True, False, False]
    assert work.done == [key]


def test_a_key_that_is_delivered_again_while_the_first_worker_works_is_left(work: Work) -> None:
    [key] = work.desk.offer("a")
    second: list[UnitResult | None] = []
    # Longer than the broker waits for an acknowledgement, and than a lease lasts without renewal.
    work.before = lambda: (
        work.desk.go_on(timedelta(hours=2)),
        second.append(work.desk.worker.do(key)),
    )

    work.desk.work_off()

    assert (second, work.done) == ([None], [key])


def test_a_broker_that_forgets_its_queue_costs_seconds(work: Work) -> None:
    keys = work.desk.offer("a", "b", "c")
    work.desk.dispatch.run()
    work.desk.queue.keys.clear()

    assert work.desk.dispatch.run().sent == 0
    work.desk.go_on(DELIVERY + SECOND)
    work.desk.work_off()

    assert sorted(work.done) == keys


def test_a_long_queue_is_not_sent_again_and_again(work: Work) -> None:
    work.desk.offer("a", "b", "c")
    work.desk.dispatch.run()
    for _ in range(10):
        work.desk.go_on(MINUTE)
        work.desk.dispatch.run()
    assert len(work.desk.queue.keys) == 3

    work.desk.go_on(PATIENT)
    work.desk.dispatch.run()
    assert len(work.desk.queue.keys) == 6


def test_without_a_broker_units_wait_in_the_store(work: Work) -> None:
    keys = work.desk.offer("a", "b")
    work.desk.queue.answers = False
    with pytest.raises(BrokerUnreachable):
        work.desk.dispatch.run()

    work.desk.queue.answers = True
    work.desk.work_off()

    assert sorted(work.done) == keys


@pytest.mark.parametrize(
    ("problem", "reason", "dead"),
    [
        (TokenRejected("x"), UnitFailure.AUTH, False),
        (RateLimited("x"), UnitFailure.QUOTA, False),
        (StoreUnreachable("x"), UnitFailure.OUTAGE, False),
        (BadRecord("x"), UnitFailure.SCHEMA, True),
        (KeyError("x"), UnitFailure.POISON, False),
    ],
)
def test_a_failed_unit_keeps_its_reason(
    work: Work, problem: Exception, reason: UnitFailure, dead: bool
) -> None:
    [key] = work.desk.offer("a")
    work.problem = problem

    assert the_failure(work.desk.work_off()) == (reason, dead)

    unit = work.desk.units.named(key)
    assert unit is not None
    assert unit.state is (UnitState.DEAD if dead else UnitState.WAITING)
    assert "x" in (unit.error or "")


def test_a_fault_of_the_program_leaves_the_other_units_alone(work: Work) -> None:
    work.desk.offer("a")
    work.problem = ZeroDivisionError("a fault")
    for _ in range(3):
        work.desk.work_off()
        work.desk.go_on(20 * MINUTE)
    work.problem = None

    [other] = work.desk.offer("b")
    work.desk.work_off()

    assert work.done == [other]
    [dead] = work.desk.units.dead()
    assert dead.reason is UnitFailure.POISON
    assert dead.error == "the program has a fault: ZeroDivisionError: a fault"


def test_a_missing_token_holds_a_unit_over_a_long_weekend(work: Work) -> None:
    [key] = work.desk.offer("a")
    work.problem = TokenRejected("no token")
    for _ in range(72):
        work.desk.work_off()
        work.desk.go_on(timedelta(hours=1))
    work.problem = None

    work.desk.work_off()

    assert work.done == [key]


def test_work_that_was_stopped_is_sent_again(work: Work) -> None:
    [key] = work.desk.offer("a")
    work.problem = Stopped("stopped")
    work.desk.dispatch.run()
    assert work.desk.deliver() == [None]
    work.problem = None

    work.desk.work_off()

    assert work.done == [key]
