"""Checks before the market opens whether the day can begin, and records go or no-go."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from data_fetch.core.clock import minute_of
from data_fetch.core.errors import DataFetchError
from data_fetch.core.ports import Clock
from data_fetch.core.readiness import Finding, Readiness, Verdict
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import READINESS, Job, Timetable
from data_fetch.services.recurring import RecurringService
from data_fetch.storage.database.store import Guard, Store
from data_fetch.storage.runs import record_runs

log = logging.getLogger(__name__)

Checks = Mapping[str, Callable[[], Finding]]


def readiness_of(checks: Checks, now: datetime) -> Readiness:
    """The finding of each of *checks*; an error of one is a no-go with its message."""
    return Readiness(at=now, findings=[_finding(name, check) for name, check in checks.items()])


def _finding(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except DataFetchError as problem:
        return Finding(name, Verdict.NO_GO, problem.message, problem.hint)


class ReadinessService(RecurringService):
    """Records the readiness as a run, and reports it in one line.

    The run is `completed` for go and `failed` for no-go, with the reasons as its error and every
    finding in its details.
    """

    def __init__(
        self,
        *,
        checks: Callable[[], Checks],
        store: Store,
        guard: Guard | None,
        clock: Clock,
        report: Callable[[str], None],
    ) -> None:
        self._checks = checks
        self._store = store
        self._guard = guard
        self._clock = clock
        self._report = report

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        return [timetable.job(READINESS, self.check)]

    def check(self) -> Readiness:
        """Check once. Raises StoreFailure when the result cannot be stored."""
        now = self._clock.now()
        begun = SyncRun.begin(READINESS, now, minute_of(now))
        found = readiness_of(self._checks(), now)
        self._report(found.line)
        (log.info if found.go else log.error)("readiness", extra={"result": found.line})
        run = begun.finish(
            self._clock.now(),
            Outcome.COMPLETED if found.go else Outcome.FAILED,
            error="; ".join(found.reasons) or None,
            details=found.document(),
        )
        record_runs(self._store, [run], self._guard)
        return found
