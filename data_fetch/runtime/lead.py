"""Keeps the lead of a store, on threads of its own.

One thread renews the lead and may have to wait for the database; another reports when it has
waited for long, so that a database that hangs is noticed although nothing returns from it.
"""

import logging
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from data_fetch.core.clock import stopwatch
from data_fetch.core.errors import DataFetchError, StoreUnreachable
from data_fetch.storage.database.leadership import RENEW_SECONDS, Leadership

log = logging.getLogger("data_fetch.data_scheduler")

# Longer than another program may have the write lock of a SQLite file for good reasons.
SILENT_AFTER_SECONDS = 6.0
CHECK_SECONDS = 0.5
# A renewal in progress would take the lead back after its release.
JOIN_SECONDS = 5.0


class LeadKeeper:
    """Renews the lead until the end of its block, and releases it.

    *lost* is set when another scheduler leads. *report* receives a line when nothing could be
    written for some seconds, and one when it works again. Raises StoreUnreachable at the end when
    the store did not answer until then.
    """

    def __init__(
        self,
        leadership: Leadership,
        store_name: str,
        report: Callable[[str], None],
        lost: Event,
    ) -> None:
        self._leadership = leadership
        self._store_name = store_name
        self._report = report
        self._lost = lost
        self._leads = True
        self._done = Event()
        self._answered_at = stopwatch()
        self._silent_since: float | None = None
        self._problem: str | None = None
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
                f"{self._store_name} did not answer for the last {self._silent_seconds():.0f} s",
                hint="Slots of that time are recorded as missed at the next start.",
            )

    def leads(self) -> bool:
        """Whether the lead is ours, as of the last renewal."""
        return self._leads

    def _renew(self) -> None:
        while self._leads and not self._done.wait(RENEW_SECONDS):
            try:
                self._leads = self._leadership.renew()
            except (DataFetchError, SQLAlchemyError) as problem:
                self._problem = problem.message if isinstance(problem, DataFetchError) else None
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

    def _silent_seconds(self) -> float:
        return stopwatch() - self._answered_at

    def _report_silence(self, seconds: float) -> None:
        why = f" ({self._problem})" if self._problem else ""
        facts = {"store": self._store_name, "seconds": round(seconds), "problem": self._problem}
        log.error("store_silent", extra=facts)
        self._report(
            f"{self._store_name} has not answered for {seconds:.0f} s{why}. Nothing can be stored "
            "until it does. Check it: data-fetch doctor"
        )

    def _report_answer(self, seconds: float) -> None:
        facts = {"store": self._store_name, "seconds": round(seconds)}
        log.warning("store_answers", extra=facts)
        self._report(f"{self._store_name} answers again after {seconds:.0f} s.")
