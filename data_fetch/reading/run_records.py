"""The audit of collecting: one row per run of a job."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
from sqlalchemy import select

from data_fetch.core.errors import SetupError
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.reading.frames import DataAge, converted, form_named, rows_table
from data_fetch.reading.instants import period
from data_fetch.reading.records import clock_of, store_of
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.runs import recent_runs, run_facts, sync_runs

COLUMNS = {
    "run_id": "text",
    "job": "text",
    "due_slot": "instant",
    "started_at": "instant",
    "finished_at": "instant",
    "outcome": "text",
    **dict.fromkeys(
        ("requested", "stored", "absent", "quarantined", "rejected", "requests"), "int"
    ),
    "error": "text",
    "details": "text",
}


@dataclass(frozen=True, slots=True)
class RunOutcomes:
    """How many runs of a table ended in each way."""

    counts: Mapping[Outcome, int]

    @property
    def complete(self) -> bool:
        """Every run that was due was completed."""
        as_expected = {Outcome.COMPLETED, Outcome.NOT_DUE}
        return not any(
            count for outcome, count in self.counts.items() if outcome not in as_expected
        )

    def document(self) -> dict[str, Any]:
        return {
            "complete": self.complete,
            **{outcome.value: count for outcome, count in self.counts.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """A *table* with a row per run, the newest first, and how many ended in each way.

    Columns: run_id, job, due_slot, started_at, finished_at, outcome, requested, stored, absent,
    quarantined, rejected, requests, error, details (JSON). *freshness* has the end of the newest
    run.
    """

    table: Any
    completeness: RunOutcomes
    freshness: DataAge


def runs(
    first: date | str,
    last: date | str,
    *,
    job: str | None = None,
    form: str = "arrow",
    settings: Settings | None = None,
) -> Runs:
    """The runs that started from *first* to *last*, of one *job* or of all.

    Each end is an IST date or an aware instant (or its ISO text), both included. The other
    arguments are those of `candles`. Raises SetupError for an invalid argument and for a job
    that has no run in the store at all, StoreUnreachable.
    """
    convert = form_named(form)
    settings, wanted = settings or process_settings(), period(first, last)
    query = (
        select(*(sync_runs.c[name] for name in COLUMNS))
        .where(sync_runs.c.started_at.between(wanted.begin, wanted.end))
        .order_by(sync_runs.c.started_at.desc(), sync_runs.c.run_id)
    )
    if job is not None:
        query = query.where(sync_runs.c.job == job)
    clock = clock_of(settings)
    with store_of(settings) as store, store.reading() as connection:
        found = [run_facts(row) for row in connection.execute(query)]
        if job is not None and not found:
            jobs = connection.scalars(select(sync_runs.c.job).distinct()).all()
            _refuse_unknown(job, sorted(jobs))
        now = clock.now()
    for row in found:
        row["details"] = orjson.dumps(row["details"]).decode()
    counts = dict.fromkeys(Outcome, 0)
    for row in found:
        counts[Outcome(row["outcome"])] += 1
    outcomes = RunOutcomes(counts)
    freshness = DataAge(as_of=now, newest=max((row["finished_at"] for row in found), default=None))
    return Runs(
        table=converted(convert, rows_table(found, COLUMNS), outcomes, freshness),
        completeness=outcomes,
        freshness=freshness,
    )


def last_runs(settings: Settings, job: str | None, limit: int) -> list[SyncRun]:
    """The runs of *job*, or of all, that started last, newest first. Raises StoreUnreachable."""
    with store_of(settings) as store:
        return recent_runs(store, limit, job)


def _refuse_unknown(job: str, jobs: list[str]) -> None:
    if job not in jobs:
        raise SetupError(
            f"no run of a job {job!r} is stored",
            hint=f"Stored: {', '.join(jobs)}." if jobs else "Start collecting: data-fetch run",
        )
