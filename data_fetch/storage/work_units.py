"""Units of work that several processes share: offered, leased, settled and dead ones.

Every change is one guarded statement, so that of two workers with the same key one gets the lease,
and only the holder of the lease ends the unit. The instants are on the clock of the machine.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Row,
    Update,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from data_fetch.core.errors import LostUnit
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.work import (
    DEAD_UNITS_REST,
    Failed,
    UnitCount,
    UnitFailure,
    UnitKind,
    UnitOffer,
    UnitState,
    WorkUnit,
    failed,
)
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.lives import Life, forget, has_ended
from data_fetch.storage.database.store import Guard, Store
from data_fetch.storage.database.tables import WorkUnitRow, table
from data_fetch.storage.runs import is_finished, write_runs

# Renewed many times before it expires; a worker of another machine that is gone is noticed then.
LEASE_LASTS = timedelta(seconds=120)
# The audit keeps what was done; the unit itself only answers a key that is delivered again.
DONE_UNITS_STAY = timedelta(days=1)
OFFERS_AT_ONCE = 500
ITS_PROCESS_ENDED = "its process ended or hung during the work"

units = table(WorkUnitRow)


@dataclass(frozen=True, slots=True)
class UnitLease:
    """A unit that this process works on, until it is settled or its lease expires.

    *run_id* is the holder of the lease, and of the audit row of this try. As a guard of a store
    (`check`) it refuses writes once the lease is lost.
    """

    unit: WorkUnit
    run_id: str
    life: Life

    @property
    def taken_at(self) -> datetime:
        """When the try began."""
        return self.unit.changed_at

    @property
    def begun(self) -> SyncRun:
        """The audit row of this try, which has no result yet."""
        begun = SyncRun.begin(self.unit.kind, self.taken_at)
        return replace(begun, run_id=self.run_id)

    def check_here(self) -> None:
        """Nothing: only the store knows who has the lease."""

    def check(self, connection: Connection) -> None:
        """Raise LostUnit unless the lease is still this one's."""
        if connection.scalar(select(units.c.key).where(self.is_held)) is None:
            raise self._lost()

    def settle(self, connection: Connection, now: datetime) -> None:
        """The unit is done, in the transaction of its effect. Raises LostUnit as `check` does."""
        done = _ended(UnitState.DONE, now) | {"failures": 0, "reason": None, "error": None}
        if connection.execute(update(units).where(self.is_held).values(done)).rowcount != 1:
            raise self._lost()

    def settling(self, now: datetime) -> Guard:
        """A guard for the one transaction that has the effect of the unit: it settles it."""
        return _Settling(self, now)

    @property
    def is_held(self) -> ColumnElement[bool]:
        """The condition for a change of its unit."""
        return and_(
            units.c.key == self.unit.key,
            units.c.state == UnitState.LEASED.value,
            units.c.holder == self.run_id,
        )

    def _lost(self) -> LostUnit:
        return LostUnit(f"the lease of {self.unit.key} is lost; another worker may have the unit")


@dataclass(frozen=True, slots=True)
class _Settling:
    lease: UnitLease
    now: datetime

    def check_here(self) -> None:
        self.lease.check_here()

    def check(self, connection: Connection) -> None:
        self.lease.settle(connection, self.now)


class WorkUnits:
    """The units of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def offer(self, offers: Sequence[UnitOffer], run: SyncRun, now: datetime) -> int:
        """`offer_units`, with the audit row of the *run* that offers them."""
        with self._store.writing() as connection:
            offered = offer_units(connection, offers, now)
            ended = run.finish(
                now, Outcome.COMPLETED, requested=len(offers), details={"units_offered": offered}
            )
            write_runs(connection, [ended])
        return offered

    def claim(self, now: datetime, again_before: datetime, limit: int) -> list[WorkUnit]:
        """At most *limit* units to send to the broker now, the most urgent first.

        Those that are due and were not sent since *again_before*. No other process gets the same.
        """
        sent_before = or_(units.c.enqueued_at.is_(None), units.c.enqueued_at < again_before)
        due = and_(_is_due(now), sent_before)
        chosen = select(units.c.key).where(due).order_by(units.c.next_try).limit(limit)
        claimed = (
            update(units)
            .where(units.c.key.in_(chosen.with_for_update(skip_locked=True)), due)
            .values(enqueued_at=now)
            .returning(units)
        )
        with self._store.writing() as connection:
            found = [_unit(row) for row in connection.execute(claimed)]
        return sorted(found, key=lambda unit: (unit.kind.priority, unit.next_try, unit.key))

    def sent_since(self, at: datetime) -> int:
        """How many units were sent to the broker since *at* and still wait for a worker."""
        waiting = units.c.state == UnitState.WAITING.value
        query = select(func.count()).where(waiting, units.c.enqueued_at >= at)
        with self._store.reading() as connection:
            return connection.execute(query.select_from(units)).scalar_one()

    def take(self, key: str, run_id: str, now: datetime) -> UnitLease | None:
        """The lease of *key*; None when there is nothing to do: another worker has it, it is done,
        dead or not yet due.

        The try is counted before the work begins.
        """
        taken = (
            update(units)
            .where(units.c.key == key, _is_due(now))
            .values(
                state=UnitState.LEASED.value,
                attempts=units.c.attempts + 1,
                holder=run_id,
                lease_until=now + LEASE_LASTS,
                changed_at=now,
            )
            .returning(units)
        )
        life = Life(run_id)
        life.begin()
        with self._store.writing() as connection:
            row = connection.execute(taken).one_or_none()
        if row is None:
            life.end()
            return None
        return UnitLease(_unit(row), run_id, life)

    def renew(self, lease: UnitLease, now: datetime) -> bool:
        """Keep *lease*; false when it is lost."""
        kept = update(units).where(lease.is_held).values(lease_until=now + LEASE_LASTS)
        with self._store.writing() as connection:
            return connection.execute(kept).rowcount == 1

    def settle(self, lease: UnitLease, run: SyncRun, now: datetime) -> None:
        """The unit is done, with the audit row of its *run*. Raises LostUnit when another worker
        may have it."""
        with self._store.writing() as connection:
            lease.settle(connection, now)
            write_runs(connection, [run])

    def fail(
        self, lease: UnitLease, reason: UnitFailure, error: str, run: SyncRun, now: datetime
    ) -> Failed | None:
        """What a failure makes of the unit; None when the lease is lost: then another worker's try
        counts.

        The audit row of its *run* is written with it, unless the work has finished it already.
        """
        outcome = failed(lease.unit, reason, now)
        with self._store.writing() as connection:
            if not _fail(connection, lease.is_held, outcome, error, now):
                return None
            if not is_finished(connection, run.run_id):
                write_runs(connection, [run])
        return outcome

    def give_back(self, lease: UnitLease, now: datetime, next_try: datetime) -> None:
        """The unit waits until *next_try*: the work was stopped, which is no failure."""
        back = _ended(UnitState.WAITING, now) | {"next_try": next_try, "enqueued_at": None}
        with self._store.writing() as connection:
            connection.execute(update(units).where(lease.is_held).values(back))

    def recover_lost(self, now: datetime) -> list[WorkUnit]:
        """Units whose process has ended or hangs; each has failed once more because of that.

        Of a process of this machine that is known at once, of another one when the lease expires.
        """
        leased = select(units).where(units.c.state == UnitState.LEASED.value)
        with self._store.reading() as connection:
            rows = list(connection.execute(leased))
        lost = [row for row in rows if row.lease_until <= now or has_ended(row.holder)]
        if lost:
            with self._store.writing() as connection:
                lost = [row for row in lost if _recover(connection, row, now)]
        for row in lost:
            forget(row.holder)
        return [_unit(row) for row in lost]

    def prune(self, now: datetime) -> int:
        """Delete the units that were done some time ago; returns how many."""
        old = and_(
            units.c.state == UnitState.DONE.value, units.c.changed_at < now - DONE_UNITS_STAY
        )
        with self._store.writing() as connection:
            return connection.execute(delete(units).where(old)).rowcount

    def counts(self) -> list[UnitCount]:
        """How many units are in each state, by kind."""
        # Of those that wait the reason is only why they waited last.
        dead = units.c.state == UnitState.DEAD.value
        reason = case((dead, units.c.reason), else_=None).label("reason")
        query = select(
            units.c.kind, units.c.state, reason, func.count(), func.min(units.c.changed_at)
        ).group_by(units.c.kind, units.c.state, reason)
        with self._store.reading() as connection:
            return [
                UnitCount(
                    kind=UnitKind(kind),
                    state=UnitState(state),
                    reason=None if why is None else UnitFailure(why),
                    units=count,
                    oldest=oldest,
                )
                for kind, state, why, count, oldest in connection.execute(query)
            ]

    def dead(self, reason: UnitFailure | None = None) -> list[WorkUnit]:
        """The dead units, the oldest first; of one *reason* or of all."""
        query = select(units).where(_is_dead(reason)).order_by(units.c.changed_at, units.c.key)
        with self._store.reading() as connection:
            return [_unit(row) for row in connection.execute(query)]

    def named(self, key: str) -> WorkUnit | None:
        """The unit with this key, in whatever state it is."""
        with self._store.reading() as connection:
            row = connection.execute(select(units).where(units.c.key == key)).one_or_none()
        return None if row is None else _unit(row)

    def replay(self, keys: Collection[str], run: SyncRun, now: datetime) -> int:
        """Put the dead ones of *keys* back, with all their tries; returns how many.

        They keep the reason of their last failure. The audit row of *run* is written with them.
        """
        again = _waiting(now)
        return self._change_dead(update(units).values(again), keys, run)

    def drop(self, keys: Collection[str], run: SyncRun) -> int:
        """Delete the dead ones of *keys*; returns how many. With the audit row of *run*."""
        return self._change_dead(delete(units), keys, run)

    def _change_dead(self, change: Update | Delete, keys: Collection[str], run: SyncRun) -> int:
        with self._store.writing() as connection:
            changed = connection.execute(
                change.where(units.c.key.in_(keys), _is_dead(None))
            ).rowcount
            write_runs(connection, [replace(run, requested=len(keys), details={"units": changed})])
        return changed


def offer_units(connection: Connection, offers: Sequence[UnitOffer], now: datetime) -> int:
    """Add units, in the transaction of what makes them necessary; returns how many wait anew.

    One that is waiting or leased stays as it is. One that is done is done again: who offers it
    knows by a ledger that it is necessary. A dead one has to rest first.
    """
    insert = (postgresql if is_postgres(connection) else sqlite).insert(units)
    offered = insert.excluded
    rested = and_(
        _is_dead(None),
        units.c.reason != UnitFailure.POISON.value,
        units.c.changed_at < now - DEAD_UNITS_REST,
    )
    statement = insert.on_conflict_do_update(
        index_elements=["key"],
        set_={**_offered(now), "subject": offered.subject},
        where=or_(units.c.state == UnitState.DONE.value, rested),
    )
    by_key = {offer.key: offer for offer in offers}
    changed = 0
    waiting = list(by_key.values())
    for first in range(0, len(waiting), OFFERS_AT_ONCE):
        rows = [
            {**_offered(now), "key": offer.key, "kind": offer.kind.value, "subject": offer.subject}
            for offer in waiting[first : first + OFFERS_AT_ONCE]
        ]
        changed += connection.execute(statement.values(rows)).rowcount
    return changed


def _offered(now: datetime) -> dict[str, Any]:
    """The columns of a unit as it is offered."""
    return {**_waiting(now), "reason": None, "error": None, "holder": None}


def _waiting(now: datetime) -> dict[str, Any]:
    """The columns of a unit that has all its tries before it."""
    return {
        **_ended(UnitState.WAITING, now),
        "attempts": 0,
        "failures": 0,
        "next_try": now,
        "enqueued_at": None,
        "offered_at": now,
    }


def _ended(state: UnitState, now: datetime) -> dict[str, Any]:
    """The columns of a unit that has no lease any more."""
    return {"state": state.value, "lease_until": None, "changed_at": now}


def _fail(
    connection: Connection, held: ColumnElement[bool], outcome: Failed, error: str, now: datetime
) -> bool:
    values = _ended(outcome.state, now) | {
        "failures": outcome.failures,
        "reason": outcome.reason.value,
        "error": error,
        "enqueued_at": None,
    }
    if outcome.next_try is not None:
        values["next_try"] = outcome.next_try
    return connection.execute(update(units).where(held).values(values)).rowcount == 1


def _recover(connection: Connection, row: Row[Any], now: datetime) -> bool:
    """Take back a lease as it was read: a worker may have renewed or ended it since."""
    as_read = and_(
        units.c.key == row.key,
        units.c.state == UnitState.LEASED.value,
        units.c.holder == row.holder,
        units.c.lease_until == row.lease_until,
    )
    outcome = failed(_unit(row), UnitFailure.POISON, now)
    return _fail(connection, as_read, outcome, ITS_PROCESS_ENDED, now)


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(units.c.state == UnitState.WAITING.value, units.c.next_try <= now)


def _is_dead(reason: UnitFailure | None) -> ColumnElement[bool]:
    dead = units.c.state == UnitState.DEAD.value
    return dead if reason is None else and_(dead, units.c.reason == reason.value)


def _unit(row: Row[Any]) -> WorkUnit:
    return WorkUnit(
        key=row.key,
        kind=UnitKind(row.kind),
        subject=row.subject,
        state=UnitState(row.state),
        attempts=row.attempts,
        failures=row.failures,
        reason=None if row.reason is None else UnitFailure(row.reason),
        error=row.error,
        run_id=row.holder,
        lease_until=row.lease_until,
        next_try=row.next_try,
        offered_at=row.offered_at,
        changed_at=row.changed_at,
    )
