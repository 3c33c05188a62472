"""The audit of work: one record per execution of a job, and one per attempt on a symbol."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Self, TypedDict, Unpack

from data_fetch.core.clock import IST
from data_fetch.core.errors import OutsideError, TokenRejected


class Outcome(StrEnum):
    """How a run ended. ``not_due``: the calendar was refreshed, and its slot has no trading.

    ``running``: it has not ended; ``interrupted``: it has not ended, and its process has.
    """

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    MISSED = "missed"
    NOT_DUE = "not_due"
    RUNNING = "running"
    INTERRUPTED = "interrupted"


INTERRUPTED = "the run was interrupted; what it had stored by then is stored"


def new_run_id() -> str:
    return uuid.uuid4().hex


class RunCounts(TypedDict, total=False):
    """The facts of a finished run, as `SyncRun` has them."""

    requested: int
    stored: int
    absent: int
    quarantined: int
    rejected: int
    requests: int
    error: str | None
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """One execution of a job, or the reason why it did not happen (outcome ``missed``).

    Written in one transaction with the data: a run that has stored nothing has no row, and a run
    that stores in several steps has a row that grows with them. *due_slot* is the first instant
    of the minute the run was for. *details* is small JSON for users: counts by reason, and samples
    of at most MOST_NAMED names.
    """

    run_id: str
    job: str
    due_slot: datetime | None
    started_at: datetime
    finished_at: datetime
    outcome: Outcome
    requested: int = 0
    stored: int = 0
    absent: int = 0
    quarantined: int = 0
    rejected: int = 0
    requests: int = 0
    error: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def begin(cls, job: str, at: datetime, due_slot: datetime | None = None) -> Self:
        """A run of *job* that starts *at* and has no result yet: outcome ``running``."""
        return cls(
            run_id=new_run_id(),
            job=job,
            due_slot=due_slot,
            started_at=at,
            finished_at=at,
            outcome=Outcome.RUNNING,
        )

    def finish(self, at: datetime, outcome: Outcome, **counts: Unpack[RunCounts]) -> Self:
        """The same run, ended *at* with *outcome* and *counts*."""
        return replace(self, finished_at=at, outcome=outcome, **counts)

    def with_stored(self, more: int) -> Self:
        """The same run, *more* rows stored while it is running: each portion counts its own."""
        running = self.outcome is Outcome.RUNNING
        return replace(self, stored=self.stored + more) if running else self

    def interrupted(self) -> Self:
        """The same run, whose process has ended without ending it."""
        return replace(self, outcome=Outcome.INTERRUPTED, error=self.error or INTERRUPTED)

    def failed(self, at: datetime, problem: OutsideError, requested: int) -> Self:
        """The same run, ended *at* because of *problem*: ``missed`` without a usable token.

        A token is renewed by a person, after which the next runs succeed; anything else counts
        as a failure of the provider or the network.
        """
        outcome = Outcome.MISSED if isinstance(problem, TokenRejected) else Outcome.FAILED
        details = {
            "failed": {"count": requested, "reasons": {problem.message: requested}},
            "failure_kinds": {problem.kind.value: requested},
        }
        return self.finish(
            at,
            outcome,
            requested=requested,
            requests=problem.requests,
            error=str(problem),
            details=details,
        )


def log_facts(run: SyncRun) -> dict[str, object]:
    """The fields of a log line about *run*."""
    return {
        "run_id": run.run_id,
        "slot": run.due_slot.astimezone(IST).isoformat() if run.due_slot else None,
        "outcome": str(run.outcome),
        "requested": run.requested,
        "stored": run.stored,
        "absent": run.absent,
        "quarantined": run.quarantined,
        "rejected": run.rejected,
        "requests": run.requests,
        "error": run.error,
    }


# The details of a run are for users: `data_sync_status` has the state of every symbol.
MOST_NAMED = 20


def counted_by_reason(reasons: Sequence[tuple[str, str]]) -> dict[str, object]:
    """Details about things of which each has a reason: *reasons* are pairs of name and reason.

    {"count": all, "reasons": {reason: how many}, "sample": {name: reason}}, with the MOST_NAMED
    most frequent reasons and as many names.
    """
    return {
        "count": len(reasons),
        "reasons": dict(Counter(reason for _, reason in reasons).most_common(MOST_NAMED)),
        "sample": dict(reasons[:MOST_NAMED]),
    }


def counted_names(names: Sequence[str]) -> dict[str, object]:
    """Details about things with one reason: {"count": all, "sample": some names}."""
    return {"count": len(names), "sample": list(names[:MOST_NAMED])}


class SyncState(StrEnum):
    """The result of the last attempt on one symbol."""

    OK = "ok"
    ABSENT = "absent"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAttempt:
    """One attempt on one symbol; the store adds it to `data_sync_status`."""

    symbol: str
    data_type: str
    state: SyncState
    attempted_at: datetime
    records: int
    error: str | None
    run_id: str
