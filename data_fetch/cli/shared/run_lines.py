"""One line for a run of a job."""

from data_fetch.cli.shared.output import clock_time, counted, slot_name
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import (
    ARCHIVE_DAYS,
    ARCHIVE_LOAD,
    ARCHIVE_MINUTES,
    ARCHIVE_RESTORE,
    ARCHIVE_VERIFY,
    CHAIN_IMPORT,
    CHAIN_REPROCESS,
)
from data_fetch.core.work import UnitKind

# What jobs without a slot count; candles that were stored where nothing is named.
COUNTED = {
    CHAIN_IMPORT: "chain stored",
    CHAIN_REPROCESS: "chain stored",
    UnitKind.ENRICHMENT: "chain priced",
    ARCHIVE_MINUTES: "minute file written",
    ARCHIVE_LOAD: "file written",
    ARCHIVE_DAYS: "day sealed",
    UnitKind.COMPACTION: "day sealed",
    ARCHIVE_VERIFY: "file checked",
    ARCHIVE_RESTORE: "day restored",
}


def run_line(run: SyncRun) -> str:
    """One line for a run of any job: requests, what it counts, outcome."""
    if run.due_slot is not None:
        return slot_line(run)
    noun, _, done = COUNTED.get(run.job, "candle stored").rpartition(" ")
    facts = [
        *([counted(run.requests, "request")] if run.requests else []),
        *([f"{counted(run.stored, noun)} {done}"] if run.requests or run.stored else []),
        str(run.outcome),
    ]
    why = f": {run.error}" if run.error else ""
    return f"{clock_time(run.finished_at)}  {run.job:<8} {', '.join(facts)}{why}"


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
