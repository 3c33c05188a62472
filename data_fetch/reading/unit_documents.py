"""Units of work as JSON documents."""

from typing import Any

from data_fetch.core.work import WorkUnit
from data_fetch.reading.instants import ist_text


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
        "next_try": ist_text(unit.next_try),
        "lease_until": ist_text(unit.lease_until),
        "run_id": unit.run_id,
    }
