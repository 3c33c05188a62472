"""Where a collector reports its progress: a screen, a test, or the log."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from data_fetch.core.chains.polls import Poll
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import SyncRun
from data_fetch.core.world import World

log = logging.getLogger("data_fetch.data_scheduler")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorStart:
    """Where a collector starts: world, store, universe, and when its first job is due.

    *members* of the *listed* symbols are resolved; *now* is the provider's time.
    """

    world: World
    base_url: str
    store: str
    members: int
    listed: int
    now: datetime
    first_job: str
    first_due: datetime | None


class ProgressReporter(Protocol):
    """Receives the progress of a collector."""

    def message(self, text: str) -> None:
        """A message for people."""

    def started(self, start: CollectorStart) -> None:
        """A collector is ready."""

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        """A slot was collected or missed."""

    def polled(self, poll: Poll) -> None:
        """The chains of a symbol were polled."""


class _Silent:
    def message(self, text: str) -> None:
        log.info("message", extra={"text": text})

    def started(self, start: CollectorStart) -> None:
        return None

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        return None

    def polled(self, poll: Poll) -> None:
        return None


SILENT = _Silent()
