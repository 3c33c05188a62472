"""Keeps the lead of a store, on threads of its own.

One thread renews the lead and may have to wait for the database; another reports when it has
waited for long, so that a database that hangs is noticed although nothing returns from it.
"""

import logging
from collections.abc import Callable
from math import inf
from threading import Event, Thread
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from data_fetch.core.clock import stopwatch
from data_fetch.core.errors import DataFetchError, StoreUnreachable
from data_fetch.storage.database.leadership import LEASE, RENEW_SECONDS, Leadership

log = logging.getLogger("data_fetch.data_scheduler")

# Longer than another program may have the write lock of a SQLite file for good reasons.
SILENT_AFTER_SECONDS = 6.0
# A restart of the database is over by then. Another scheduler could have the lead.
GIVEN_UP_AFTER_SECONDS = LEASE.total_seconds()
CHECK_SECONDS = 0.5
# A renewal in progress would take the lead back after its release.
JOIN_SECONDS = 5.0


class LeadKeeper:
    """Renews the lead until the end of its block, and releases it.

    *lost* is set when another scheduler leads. *report* receives a line when nothing could be
    written for some seconds, and one when it works again. After *give_up_after* such seconds the
    lead is given up, and *lost* set. Raises StoreUnreachable at the end when the store could not be
    written to until then.
    """

    def __init__(
        self,
        leadership: Leadership,
        store_name: str,
        report: Callable[[str], None],
        lost: Event,
        give_up_after: float = inf,
    ) -> None:
        self._leadership = leadership
        self._store_name = store_name
        self._report = report
        self._lost = lost
        self._give_up_after = give_up_after
        self._leads = True
        self._done = Event()
        self._answered_at = stopwatch()
        self._silent_since: float | None = None
        self._problem: str | None = None
        self._given_up: str | None = None
        self._threads = [
            Thread(target=work, name=f"lead-{work.__name__}", daemon=True)
            for work in (self._renew, self._watch)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        self._leadership.release()
        if self._silent_since is not None and problem is None:
            raise StoreUnreachable(
                self._given_up or self._silence(),
                hint="What could not be stored is recorded as missed.",
            )

    def leads(self) -> bool:
        """Whether the lead is ours, as of the last renewal."""
        return self._leads

    def _renew(self) -> None:
        while self._leads and not self._done.wait(RENEW_SECONDS):
            try:
                self._leads = self._leadership.renew()
            except (DataFetchError, SQLAlchemyError) as problem:
                self._problem = _named(problem)
                continue
            self._answered_at, self._problem = stopwatch(), None
        if not self._leads:
            self._lost.set()

    def _watch(self) -> None:
        while not self._done.wait(CHECK_SECONDS):
            if self._silent_since is None and self._silent_seconds() > SILENT_AFTER_SECONDS:
                self._silent_since = self._answered_at
                self._report_silence(self._silent_seconds())
            elif self._silent_since is not None and self._answered_at > self._silent_since:
                self._report_answer(self._answered_at - self._silent_since)
                self._silent_since = None
            elif self._silent_seconds() > self._give_up_after:
                self._given_up = self._silence()
                self._leadership.give_up()
                self._lost.set()
                return

    def _silent_seconds(self) -> float:
        return stopwatch() - self._answered_at

    def _report_silence(self, seconds: float) -> None:
        facts = {"store": self._store_name, "seconds": round(seconds), "problem": self._problem}
        log.error("store_silent", extra=facts)
        self._report(f"{self._silence()}. Check it: data-fetch doctor")

    def _silence(self) -> str:
        """For how long nothing could be stored, and why; it may be that no response came at all."""
        seconds = f"{self._silent_seconds():.0f} s"
        if self._problem is None:
            return f"{self._store_name} has not answered for {seconds}; nothing can be stored"
        return f"for {seconds} nothing could be stored: {self._problem}"

    def _report_answer(self, seconds: float) -> None:
        facts = {"store": self._store_name, "seconds": round(seconds)}
        log.warning("store_answers", extra=facts)
        self._report(f"{self._store_name} answers again after {seconds:.0f} s.")


def _named(problem: Exception) -> str:
    return problem.message if isinstance(problem, DataFetchError) else type(problem).__name__
