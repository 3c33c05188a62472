"""One line for a run of a job."""

from data_fetch.cli.shared.output import clock_time, counted, slot_name
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import CHAIN_IMPORT, CHAIN_REPROCESS

# The datasets of jobs without a slot; candles where nothing is named.
STORES = {CHAIN_IMPORT: "chains", CHAIN_REPROCESS: "chains"}


def run_line(run: SyncRun) -> str:
    """One line for a run of any job: requests, rows stored, outcome."""
    if run.due_slot is not None:
        return slot_line(run)
    why = f": {run.error}" if run.error else ""
    return (
        f"{clock_time(run.finished_at)}  {run.job:<8} {counted(run.requests, 'request')}, "
        f"{run.stored:,} {STORES.get(run.job, 'candles')} stored, {run.outcome}{why}"
    )


def slot_line(run: SyncRun) -> str:
    """One line for a run for a slot: quotes stored and left out, requests, duration."""
    head = f"{clock_time(run.finished_at)}  {run.job:<8} slot {slot_name(run.due_slot)}"
    if run.outcome in {Outcome.MISSED, Outcome.FAILED}:
        return f"{head}  {run.outcome}: {run.error}"
    took = (run.finished_at - run.started_at).total_seconds() * 1000
    left_out = [
        f"{count} {name}"
        for name, count in (
            ("absent", run.absent),
            ("quarantined", run.quarantined),
            ("rejected", run.rejected),
            ("failed", failed_in(run)),
            ("repeated", run.details.get("repeated")),
            ("unresolved", unresolved_in(run)),
        )
        if count
    ]
    stored = f"{run.stored} of {listed_in(run)} stored"
    requests = counted(run.requests, "request")
    why = f": {run.error}" if run.error else ""
    return f"{head}  " + ", ".join([stored, *left_out, requests, f"{took:.0f} ms"]) + why


def listed_in(run: SyncRun) -> int:
    """How many symbols a run was for, those without an instrument included."""
    return run.requested + unresolved_in(run)


def unresolved_in(run: SyncRun) -> int:
    """How many listed symbols no instrument was found for."""
    return _count_in(run, "unresolved")


def failed_in(run: SyncRun) -> int:
    """How many symbols were requested in vain: their request failed."""
    return _count_in(run, "failed")


def _count_in(run: SyncRun, name: str) -> int:
    found = run.details.get(name)
    return found["count"] if isinstance(found, dict) else 0
