"""Units of work as JSON documents."""

from typing import Any

from data_fetch.core.work import UnitCount, UnitState, WorkUnit
from data_fetch.reading.instants import ist_text
from data_fetch.storage.database.store import Store
from data_fetch.storage.work_units import WorkUnits


def open_units(store: Store) -> list[UnitCount]:
    """How many units wait, are worked on and are dead, by kind."""
    return [each for each in WorkUnits(store).counts() if each.state is not UnitState.DONE]


def count_document(count: UnitCount) -> dict[str, Any]:
    """The number of units of one kind in one state, and since when the oldest of them is in it."""
    return {
        "kind": count.kind.value,
        "state": count.state.value,
        "reason": None if count.reason is None else count.reason.value,
        "units": count.units,
        "oldest": ist_text(count.oldest),
    }


def unit_document(unit: WorkUnit) -> dict[str, Any]:
    """One unit; instants in India's time, on the clock of the machine that wrote them."""
    return {
        "key": unit.key,
        "kind": unit.kind.value,
        "state": unit.state.value,
        "reason": None if unit.reason is None else unit.reason.value,
        "error": unit.error,
        "attempts": unit.attempts,
        "failures": unit.failures,
        "subject": dict(unit.subject),
        "offered_at": ist_text(unit.offered_at),
        "changed_at": ist_text(unit.changed_at),
        "next_try": ist_text(unit.next_try) if unit.state is UnitState.WAITING else None,
        "lease_until": ist_text(unit.lease_until),
        "run_id": unit.run_id,
    }
