"""The table of units: of two workers one gets a unit, and only its holder ends it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from living import living

from data_fetch.core.errors import LostUnit
from data_fetch.core.runs import Outcome, SyncRun, new_run_id
from data_fetch.core.work import DEAD_UNITS_REST, UnitFailure, UnitKind, UnitOffer, UnitState
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import recent_runs, record_runs
from data_fetch.storage.work_units import DONE_UNITS_STAY, LEASE_LASTS, UnitLease, WorkUnits

NOW = datetime(2026, 11, 30, 6, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NEVER = NOW - timedelta(days=1)


def offer(name: str, kind: UnitKind = UnitKind.BACKFILL) -> UnitOffer:
    return UnitOffer(kind=kind, content=(name,), subject={"name": name})


@pytest.fixture
def units(store: Store) -> WorkUnits:
    return WorkUnits(store)


def run_of(lease: UnitLease, outcome: Outcome = Outcome.COMPLETED) -> SyncRun:
    return lease.begun.finish(NOW, outcome)


def ended(job: str, at: datetime) -> SyncRun:
    return SyncRun.begin(job, at).finish(at, Outcome.COMPLETED)


def offered(units: WorkUnits, *names: str, at: datetime = NOW) -> list[str]:
    offers = [offer(name) for name in names]
    units.offer(offers, SyncRun.begin("plan", at), at)
    return [each.key for each in offers]


def taken(units: WorkUnits, key: str, at: datetime = NOW) -> UnitLease:
    lease = units.take(key, new_run_id(), at)
    assert lease is not None
    return lease


def state(units: WorkUnits, key: str) -> tuple[UnitState, int, int, UnitFailure | None]:
    unit = units.named(key)
    assert unit is not None
    return unit.state, unit.attempts, unit.failures, unit.reason


def claimed(units: WorkUnits, at: datetime, again_before: datetime = NEVER) -> Sequence[str]:
    return [unit.key for unit in units.claim(at, again_before, 100)]


def fail(units: WorkUnits, lease: UnitLease, reason: UnitFailure, at: datetime = NOW) -> None:
    units.fail(lease, reason, f"because of {reason}", run_of(lease, Outcome.FAILED), at)


def test_the_same_work_is_one_unit_however_often_it_is_offered(units: WorkUnits) -> None:
    run = SyncRun.begin("plan", NOW)

    assert units.offer([offer("a"), offer("b"), offer("a")], run, NOW) == 2
    assert units.offer([offer("a"), offer("c")], run, NOW) == 1


def test_many_units_are_offered_at_once(units: WorkUnits) -> None:
    offers = [offer(f"{number}") for number in range(1_234)]

    assert units.offer(offers, SyncRun.begin("plan", NOW), NOW) == 1_234


def test_the_plan_that_offers_has_an_audit_row(units: WorkUnits, store: Store) -> None:
    offered(units, "a", "b")

    [run] = recent_runs(store)
    assert (run.job, run.requested, run.details) == ("plan", 2, {"units_offered": 2})


def test_of_several_workers_one_gets_the_unit(units: WorkUnits) -> None:
    for name in "abcdefgh":
        [key] = offered(units, name)
        with ThreadPoolExecutor(4) as pool:
            leases = list(pool.map(lambda _, key=key: units.take(key, new_run_id(), NOW), range(4)))
        assert sum(lease is not None for lease in leases) == 1


def test_a_unit_is_settled_in_the_transaction_of_its_effect(units: WorkUnits, store: Store) -> None:
    [key] = offered(units, "a")
    lease = taken(units, key)

    with store.writing() as connection:
        lease.settle(connection, NOW)
        connection.rollback()
    assert state(units, key) == (UnitState.LEASED, 1, 0, None)

    with store.writing() as connection:
        lease.settle(connection, NOW)
    assert state(units, key) == (UnitState.DONE, 1, 0, None)


def test_a_key_that_is_delivered_again_finds_nothing_to_do(units: WorkUnits) -> None:
    [key] = offered(units, "a")
    lease = taken(units, key)
    assert units.take(key, new_run_id(), NOW) is None

    units.settle(lease, run_of(lease), NOW)
    assert units.take(key, new_run_id(), NOW) is None
    assert units.take("backfill/unknown", new_run_id(), NOW) is None


def test_a_worker_whose_lease_has_passed_on_writes_nothing(units: WorkUnits, store: Store) -> None:
    [key] = offered(units, "a")
    slow = taken(units, key)
    slow.life.end()
    later = NOW + LEASE_LASTS
    assert [unit.key for unit in units.recover_lost(later)] == [key]
    quick = taken(units, key, later + MINUTE)

    with pytest.raises(LostUnit), store.writing(slow):
        pass
    with pytest.raises(LostUnit):
        units.settle(slow, run_of(slow), later)
    assert units.fail(slow, UnitFailure.OUTAGE, "late", run_of(slow), later) is None
    assert not units.renew(slow, later)
    units.give_back(slow, later, later)

    assert state(units, key)[0] is UnitState.LEASED
    units.settle(quick, run_of(quick), later)
    assert state(units, key)[0] is UnitState.DONE


def test_a_renewed_lease_is_not_recovered(units: WorkUnits) -> None:
    [key] = offered(units, "a")
    lease = taken(units, key)

    assert units.renew(lease, NOW + LEASE_LASTS - SECOND)
    assert units.recover_lost(NOW + LEASE_LASTS) == []


def test_a_process_that_ended_on_this_machine_is_noticed_at_once(units: WorkUnits) -> None:
    [key] = offered(units, "a")
    lease = taken(units, key)
    lease.life.end()
    with living(lease.run_id) as process:
        assert units.recover_lost(NOW) == []
        process.kill()
        process.wait()
        assert [unit.key for unit in units.recover_lost(NOW)] == [key]

    assert state(units, key) == (UnitState.WAITING, 1, 1, UnitFailure.POISON)


def test_a_unit_that_ends_its_process_three_times_is_dead(units: WorkUnits) -> None:
    [key] = offered(units, "a")
    at = NOW
    for number in (1, 2, 3):
        taken(units, key, at).life.end()
        at += LEASE_LASTS
        units.recover_lost(at)
        assert state(units, key)[1:3] == (number, number)
        at += 10 * MINUTE

    assert state(units, key)[0] is UnitState.DEAD
    assert [unit.key for unit in units.dead(UnitFailure.POISON)] == [key]
    assert units.dead(UnitFailure.AUTH) == []


def test_a_failed_unit_waits_for_its_next_try(units: WorkUnits, store: Store) -> None:
    [key] = offered(units, "a")
    lease = taken(units, key)
    fail(units, lease, UnitFailure.OUTAGE)

    assert units.take(key, new_run_id(), NOW + 14 * SECOND) is None
    assert claimed(units, NOW + 14 * SECOND) == []
    assert claimed(units, NOW + 15 * SECOND) == [key]
    [run] = recent_runs(store, job="backfill")
    assert (run.run_id, run.job, run.outcome) == (lease.run_id, "backfill", Outcome.FAILED)
    taken(units, key, NOW + 15 * SECOND)


def test_the_audit_row_that_the_work_has_finished_stays(units: WorkUnits, store: Store) -> None:
    [key] = offered(units, "a")
    lease = taken(units, key)
    own = lease.begun.finish(NOW, Outcome.INCOMPLETE, requests=7)
    record_runs(store, [own])
    fail(units, lease, UnitFailure.QUOTA)

    assert {run.requests for run in recent_runs(store, job="backfill")} == {7}


def test_work_that_was_stopped_is_no_failure(units: WorkUnits) -> None:
    [key] = offered(units, "a")
    units.give_back(taken(units, key), NOW, NOW)

    assert state(units, key) == (UnitState.WAITING, 1, 0, None)
    assert claimed(units, NOW) == [key]


def test_a_unit_is_sent_once_until_it_counts_as_forgotten(units: WorkUnits) -> None:
    keys = offered(units, "a", "b")

    assert claimed(units, NOW) == keys
    assert claimed(units, NOW + MINUTE) == []
    assert units.sent_since(NOW) == 2
    assert claimed(units, NOW + MINUTE, again_before=NOW + SECOND) == keys


def test_two_dispatchers_never_claim_the_same_unit(units: WorkUnits) -> None:
    keys = offered(units, *(f"{number}" for number in range(60)))
    with ThreadPoolExecutor(4) as pool:
        parts = pool.map(lambda _: units.claim(NOW, NEVER, 20), range(4))

    claimed_keys = [unit.key for part in parts for unit in part]
    assert sorted(claimed_keys) == sorted(set(claimed_keys))
    assert {*claimed_keys, *claimed(units, NOW)} == set(keys)


def test_the_most_urgent_kind_is_sent_first(units: WorkUnits) -> None:
    kinds = (UnitKind.REPROCESSING, UnitKind.BACKFILL, UnitKind.ENRICHMENT)
    units.offer([offer("a", kind) for kind in kinds], SyncRun.begin("plan", NOW), NOW)

    found = [unit.kind for unit in units.claim(NOW, NEVER, 100)]

    assert found == list(reversed(kinds))


def test_a_unit_that_is_done_is_done_again_when_a_ledger_needs_it(units: WorkUnits) -> None:
    [key] = offered(units, "a")
    lease = taken(units, key)
    units.settle(lease, run_of(lease), NOW)

    offered(units, "a", at=NOW + MINUTE)

    assert state(units, key) == (UnitState.WAITING, 0, 0, None)
    assert claimed(units, NOW + MINUTE) == [key]


@pytest.mark.parametrize(
    ("reason", "rested", "again"),
    [
        pytest.param(UnitFailure.SCHEMA, DEAD_UNITS_REST, False, id="too early"),
        pytest.param(UnitFailure.SCHEMA, DEAD_UNITS_REST + SECOND, True, id="after its rest"),
        pytest.param(UnitFailure.REFUSED, DEAD_UNITS_REST + SECOND, True, id="refused"),
    ],
)
def test_a_dead_unit_rests_before_a_plan_puts_it_back(
    units: WorkUnits, reason: UnitFailure, rested: timedelta, again: bool
) -> None:
    [key] = offered(units, "a")
    fail(units, taken(units, key), reason)
    assert state(units, key)[0] is UnitState.DEAD

    offered(units, "a", at=NOW + rested)

    assert state(units, key)[0] is (UnitState.WAITING if again else UnitState.DEAD)


def test_poison_is_never_put_back_by_a_plan(units: WorkUnits) -> None:
    [key] = offered(units, "a")
    at = NOW
    for _ in range(3):
        taken(units, key, at).life.end()
        units.recover_lost(at + LEASE_LASTS)
        at += 20 * MINUTE

    offered(units, "a", at=at + 30 * DEAD_UNITS_REST)

    assert state(units, key)[0] is UnitState.DEAD


def test_dead_units_are_replayed_and_dropped_with_an_audit_row(
    units: WorkUnits, store: Store
) -> None:
    keys = offered(units, "a", "b", "c")
    for key in keys[:2]:
        fail(units, taken(units, key), UnitFailure.SCHEMA)

    assert units.replay(keys[:1], ended("units-replayed", NOW), NOW + MINUTE) == 1
    assert units.drop(keys[1:], ended("units-dropped", NOW + MINUTE)) == 1

    assert state(units, keys[0]) == (UnitState.WAITING, 0, 0, UnitFailure.SCHEMA)
    assert units.named(keys[1]) is None
    assert state(units, keys[2])[0] is UnitState.WAITING
    [dropped] = recent_runs(store, job="units-dropped")
    assert (dropped.requested, dropped.details) == (2, {"units": 1})


def test_done_units_are_deleted_after_a_day(units: WorkUnits) -> None:
    done, waiting = offered(units, "a", "b")
    lease = taken(units, done)
    units.settle(lease, run_of(lease), NOW)

    assert units.prune(NOW + DONE_UNITS_STAY) == 0
    assert units.prune(NOW + DONE_UNITS_STAY + SECOND) == 1
    assert (units.named(done), state(units, waiting)[0]) == (None, UnitState.WAITING)


def test_counts_are_by_kind_state_and_reason_of_the_dead(units: WorkUnits) -> None:
    first, second, _, fourth = offered(units, "a", "b", "c", "d")
    fail(units, taken(units, first), UnitFailure.SCHEMA)
    fail(units, taken(units, second), UnitFailure.AUTH)
    taken(units, fourth)

    counts = {(each.state, each.reason): each.units for each in units.counts()}

    assert counts == {
        (UnitState.DEAD, UnitFailure.SCHEMA): 1,
        (UnitState.WAITING, None): 2,
        (UnitState.LEASED, None): 1,
    }
