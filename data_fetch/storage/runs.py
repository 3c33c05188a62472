"""The audit of collecting: runs, and the result of the last attempts on each symbol.

The row of a running run names its process. When that has ended, the run is read as interrupted,
and the next long run to begin writes so.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, literal_column, select

from data_fetch.core.runs import Outcome, SyncAttempt, SyncRun, SyncState
from data_fetch.storage.database.store import Guard, Store
from data_fetch.storage.database.tables import DataSyncStatus, SyncRunRow, table
from data_fetch.storage.database.upsert import Expression, Rule, last_known, upsert

sync_runs = table(SyncRunRow)
data_sync_status = table(DataSyncStatus)

RUN_COLUMNS = tuple(column.name for column in sync_runs.columns)
STATUS_COLUMNS = tuple(column.name for column in data_sync_status.columns)


# In the details of a running run: which process it is.
PROCESS = "process"
# A run waits at most half an hour for the rate limits.
SILENCE = timedelta(hours=2)


def _counted_on(old: Expression, new: Expression) -> Expression:
    """Failures in a row: offered as 1 after a failure, as 0 after a success.

    An attempt that is written again, because its first confirmation was lost, counts once.
    """
    nothing: Expression = literal_column("0")
    stored = data_sync_status.c
    run: Expression = literal_column("excluded.last_run")
    at: Expression = literal_column("excluded.last_attempt")
    again = and_(stored.last_run == run, stored.last_attempt == at)
    return case((new == nothing, nothing), (again, old), else_=old + new)


FOLDED = Rule(combined={"last_success": last_known, "consecutive_failures": _counted_on})


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """The result of the last attempts on one symbol: one row of `data_sync_status`."""

    symbol: str
    data_type: str
    last_attempt: datetime
    last_success: datetime | None
    status: SyncState
    records: int
    consecutive_failures: int
    error: str | None
    last_run: str


def record_runs(store: Store, runs: Sequence[SyncRun], guard: Guard | None = None) -> None:
    """Write audit rows of runs without other rows, in one transaction."""
    with store.writing(guard) as connection:
        write_runs(connection, runs)


def mark_interrupted(store: Store, now: datetime, guard: Guard | None = None) -> int:
    """Mark the running runs whose process has ended as interrupted; returns how many.

    Those of other machines count as ended when they have stored nothing for SILENCE.
    """
    query = select(sync_runs).where(sync_runs.c.outcome == Outcome.RUNNING.value)
    with store.reading() as connection:
        found = list(connection.execute(query))
    ended = [
        _stored_run(row) for row in found if _has_ended(row) or row.finished_at < now - SILENCE
    ]
    if ended:
        record_runs(store, [run.interrupted() for run in ended], guard)
    return len(ended)


def write_runs(connection: Connection, runs: Sequence[SyncRun]) -> None:
    """Write audit rows inside the transaction of their data."""
    upsert(connection, sync_runs, RUN_COLUMNS, [_run_row(run) for run in runs])


def is_finished(connection: Connection, run_id: str) -> bool:
    """Whether a run has its last audit row."""
    finished = select(sync_runs.c.run_id).where(
        sync_runs.c.run_id == run_id, sync_runs.c.outcome != Outcome.RUNNING.value
    )
    return connection.scalar(finished) is not None


def fold_attempts(connection: Connection, attempts: Sequence[SyncAttempt]) -> None:
    """Update `data_sync_status` by these attempts, at most one for each symbol."""
    rows = [_status_row(attempt) for attempt in attempts]
    upsert(connection, data_sync_status, STATUS_COLUMNS, rows, FOLDED)


def last_due_slot(store: Store, job: str, before: datetime) -> datetime | None:
    """The newest slot before *before* that a run of *job* is recorded for, collected or missed.

    Later ones were recorded by a clock that was ahead.
    """
    newest = select(func.max(sync_runs.c.due_slot)).where(
        sync_runs.c.job == job, sync_runs.c.due_slot < before
    )
    with store.reading() as connection:
        found: datetime | None = connection.scalar(newest)
        return found


def recorded_slots(store: Store, job: str, first: datetime, last: datetime) -> set[datetime]:
    """The slots from *first* to *last* for which a run of *job* is recorded."""
    query = select(sync_runs.c.due_slot).where(
        sync_runs.c.job == job, sync_runs.c.due_slot.between(first, last)
    )
    with store.reading() as connection:
        return set(connection.scalars(query))


def recent_runs(store: Store, limit: int = 20, job: str | None = None) -> list[SyncRun]:
    """The runs that started last, newest first; of one job or of all."""
    query = select(sync_runs).order_by(sync_runs.c.started_at.desc()).limit(limit)
    if job is not None:
        query = query.where(sync_runs.c.job == job)
    with store.reading() as connection:
        return [_run(row) for row in connection.execute(query)]


def runs_named(store: Store, run_ids: Sequence[str]) -> dict[str, SyncRun]:
    """The runs of these identifiers, by identifier; those without a row are left out."""
    query = select(sync_runs).where(sync_runs.c.run_id.in_(run_ids))
    with store.reading() as connection:
        return {row.run_id: _run(row) for row in connection.execute(query)}


def outcomes(store: Store, job: str, since: datetime) -> dict[Outcome, int]:
    """The number of runs of *job* with each outcome, for slots from *since* on."""
    query = (
        select(sync_runs.c.outcome, func.count())
        .where(sync_runs.c.job == job, sync_runs.c.due_slot >= since)
        .group_by(sync_runs.c.outcome)
    )
    with store.reading() as connection:
        counted = {Outcome(outcome): count for outcome, count in connection.execute(query)}
    return {outcome: counted.get(outcome, 0) for outcome in Outcome}


def statuses(store: Store, data_type: str) -> dict[str, SyncStatus]:
    """The status of every symbol ever attempted, by symbol."""
    query = select(data_sync_status).where(data_sync_status.c.data_type == data_type)
    with store.reading() as connection:
        rows = connection.execute(query.order_by(data_sync_status.c.symbol))
        return {row.symbol: _status(row) for row in rows}


def _run(row: Row[Any]) -> SyncRun:
    run = _stored_run(row)
    return run.interrupted() if _has_ended(row) else run


def _stored_run(row: Row[Any]) -> SyncRun:
    facts = dict(zip(RUN_COLUMNS, row, strict=True))
    return SyncRun(**{**facts, "outcome": Outcome(row.outcome)})


def run_facts(row: Row[Any]) -> dict[str, Any]:
    """A row of `sync_runs` by column, interrupted if it is running and its process has ended."""
    run = _run(row)
    return {name: getattr(run, name) for name in RUN_COLUMNS} | {"outcome": run.outcome.value}


def _has_ended(row: Row[Any]) -> bool:
    """Whether a running run's process ran on this machine and is there no more."""
    process = row.details.get(PROCESS) if row.outcome == Outcome.RUNNING.value else None
    return process is not None and process["host"] == socket.gethostname() and _is_gone(process)


def _is_gone(process: dict[str, Any]) -> bool:
    # Elsewhere than on POSIX the signal 0 would end the process.
    if os.name != "posix":
        return False
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _details(run: SyncRun) -> dict[str, object]:
    if run.outcome is not Outcome.RUNNING:
        return {name: value for name, value in run.details.items() if name != PROCESS}
    return {**run.details, PROCESS: {"pid": os.getpid(), "host": socket.gethostname()}}


def _run_row(run: SyncRun) -> tuple[Any, ...]:
    return (
        run.run_id,
        run.job,
        run.due_slot,
        run.started_at,
        run.finished_at,
        run.outcome.value,
        run.requested,
        run.stored,
        run.absent,
        run.quarantined,
        run.rejected,
        run.requests,
        run.error,
        _details(run),
    )


def _status(row: Row[Any]) -> SyncStatus:
    facts = dict(zip(STATUS_COLUMNS, row, strict=True))
    return SyncStatus(**{**facts, "status": SyncState(row.status)})


def _status_row(attempt: SyncAttempt) -> tuple[Any, ...]:
    succeeded = attempt.state is SyncState.OK
    return (
        attempt.symbol,
        attempt.data_type,
        attempt.attempted_at,
        attempt.attempted_at if succeeded else None,
        attempt.state.value,
        attempt.records,
        0 if succeeded else 1,
        attempt.error,
        attempt.run_id,
    )
