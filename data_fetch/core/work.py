"""Units of work that several processes share: when one is tried again, and when it is dead. Pure.

A unit is named by its content, so that the same work has one key however often it is offered. The
queue carries keys only; the table `work_units` has the states, and every decision is taken by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from data_fetch.core.errors import (
    DataFetchError,
    MasterUnavailable,
    RecordError,
    StoreFailure,
    TransientError,
)
from data_fetch.core.failures import FailureGroup


class UnitKind(StrEnum):
    """What a unit does. The words begin its key, and name its job in the audit."""

    BACKFILL = "backfill"
    ENRICHMENT = "enrichment"
    REPROCESSING = "reprocessing"
    COMPACTION = "compaction"

    @property
    def priority(self) -> int:
        """Lower ones are done first: what a screen waits for, then what a day lacks."""
        return _PRIORITIES[self]


class UnitState(StrEnum):
    """``waiting`` for a worker or for its next try, ``leased`` by one, ``done``, or ``dead``."""

    WAITING = "waiting"
    LEASED = "leased"
    DONE = "done"
    DEAD = "dead"


class UnitFailure(StrEnum):
    """Why a try failed, by the remedy; of a dead unit the reason.

    ``poison``: its process ended or hung during the work, or the program has a fault.
    """

    AUTH = "auth"
    QUOTA = "quota"
    OUTAGE = "outage"
    SCHEMA = "schema"
    REFUSED = "refused"
    POISON = "poison"


@dataclass(frozen=True, slots=True)
class Retries:
    """How many *tries* may fail for one reason in a row, and the distance between them.

    It begins with *first* and doubles up to *longest*.
    """

    tries: int
    first: timedelta = timedelta(0)
    longest: timedelta = timedelta(0)

    def next_try(self, failures: int, now: datetime) -> datetime | None:
        """When to try again after so many failures in a row; None when that was the last try."""
        if failures >= self.tries:
            return None
        return now + min(self.longest, self.first * (1 << min(failures - 1, _MOST_DOUBLINGS)))


_PRIORITIES: Mapping[UnitKind, int] = {
    UnitKind.ENRICHMENT: 0,
    UnitKind.BACKFILL: 3,
    UnitKind.COMPACTION: 6,
    UnitKind.REPROCESSING: 9,
}
_MOST_DOUBLINGS = 20
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
RETRIES: Mapping[UnitFailure, Retries] = {
    # Held: a person renews the token, after a long weekend at the latest.
    UnitFailure.AUTH: Retries(100, 5 * _MINUTE, _HOUR),
    # Held: the longest window of the provider is half an hour.
    UnitFailure.QUOTA: Retries(200, _MINUTE, 30 * _MINUTE),
    # About a day.
    UnitFailure.OUTAGE: Retries(30, timedelta(seconds=15), _HOUR),
    # The same response would be read in the same way, the same request be refused again.
    UnitFailure.SCHEMA: Retries(1),
    UnitFailure.REFUSED: Retries(1),
    # A worker that was restarted looks the same as one that the unit has ended.
    UnitFailure.POISON: Retries(3, timedelta(seconds=5), 10 * _MINUTE),
}
_BY_GROUP: Mapping[FailureGroup, UnitFailure] = {
    FailureGroup.AUTH: UnitFailure.AUTH,
    FailureGroup.QUOTA: UnitFailure.QUOTA,
    FailureGroup.NETWORK: UnitFailure.OUTAGE,
    FailureGroup.SCHEMA: UnitFailure.SCHEMA,
    FailureGroup.CONTRADICTED: UnitFailure.SCHEMA,
}
# A plan that still needs a dead unit after so long puts it back: the provider or this program may
# have been mended since. A unit that ends its process is left to a person.
DEAD_UNITS_REST = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitOffer:
    """Work to be done once: *content* makes the key, *subject* is small JSON for the worker."""

    kind: UnitKind
    content: tuple[str, ...]
    subject: Mapping[str, Any]

    @property
    def key(self) -> str:
        # Without the sign that a shell takes for a pipe: people name keys to `data-fetch dlq`.
        return "/".join((self.kind, *self.content)).replace("|", ":")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkUnit:
    """A unit as the table has it. All instants are UTC, on the clock of the machine.

    *attempts* counts tries that began, since it was offered or replayed; *failures* those that
    failed in a row because of *reason*. *run_id* names the audit row of the last try.
    """

    key: str
    kind: UnitKind
    subject: Mapping[str, Any]
    state: UnitState
    attempts: int
    failures: int
    reason: UnitFailure | None
    error: str | None
    run_id: str | None
    lease_until: datetime | None
    next_try: datetime
    offered_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCount:
    """How many units of a kind are in a state, the *oldest* since that instant; *reason* is that of
    the dead ones."""

    kind: UnitKind
    state: UnitState
    reason: UnitFailure | None
    units: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """What a failure makes of a unit; *next_try* None: it is dead."""

    reason: UnitFailure
    failures: int
    next_try: datetime | None

    @property
    def state(self) -> UnitState:
        return UnitState.DEAD if self.next_try is None else UnitState.WAITING


def failed(unit: WorkUnit, reason: UnitFailure, now: datetime) -> Failed:
    """What a failure at *now* because of *reason* makes of *unit*."""
    failures = unit.failures + 1 if unit.reason is reason else 1
    return Failed(reason, failures, RETRIES[reason].next_try(failures, now))


def failure_of(problem: Exception) -> UnitFailure:
    """Why a try that raised *problem* has failed.

    A broken response (HTML, half a document) is an outage: the next one may be whole.
    """
    if not isinstance(problem, DataFetchError):
        return UnitFailure.POISON
    if isinstance(problem, StoreFailure | MasterUnavailable):
        return UnitFailure.OUTAGE
    if isinstance(problem, RecordError):
        return UnitFailure.SCHEMA
    reason = _BY_GROUP.get(problem.kind.group, UnitFailure.REFUSED)
    broken = isinstance(problem, TransientError) and reason is UnitFailure.SCHEMA
    return UnitFailure.OUTAGE if broken else reason
