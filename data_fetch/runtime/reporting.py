"""Where remarks for people go: a terminal, a test, or the log."""

import logging
from collections.abc import Sequence
from typing import Protocol

from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import SyncRun

log = logging.getLogger("data_fetch.data_scheduler")


class ProgressReporter(Protocol):
    """Somebody who watches: a terminal, a test, nobody."""

    def message(self, text: str) -> None:
        """A remark for people."""

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        """What a slot came to."""


class _Silent:
    def message(self, text: str) -> None:
        log.info("told", extra={"text": text})

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        return None


SILENT = _Silent()
