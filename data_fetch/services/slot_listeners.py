"""Listeners of the slots, each with a thread and a queue of its own: none delays a slot."""

import logging
from collections import deque
from collections.abc import Sequence
from threading import Lock

from data_fetch.core.ports import Clock, SlotListener
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import SyncRun
from data_fetch.core.timetable import Job, Timetable
from data_fetch.services.clocked_pool import ClockedPool
from data_fetch.services.recurring import RecurringService

log = logging.getLogger(__name__)

CAPACITY = 20
CLOSE_SECONDS = 5.0


class QueuedListener(RecurringService):
    """Calls *listener* with one slot after the other, and returns to its own caller at once.

    When *capacity* slots wait, the oldest one is dropped. Drops are logged when they begin, and
    counted when the listener returns.
    """

    def __init__(
        self, name: str, listener: SlotListener, clock: Clock, capacity: int = CAPACITY
    ) -> None:
        self._name = name
        self._listener = listener
        self._lock = Lock()
        self._waiting: deque[tuple[SyncRun, Sequence[StoredQuote]]] = deque()
        self._capacity = capacity
        self._dropped = 0
        self._busy = False
        self._pool = ClockedPool(clock, 1, f"listener-{name}")

    def __call__(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        with self._lock:
            self._waiting.append((run, quotes))
            if len(self._waiting) > self._capacity:
                self._drop_oldest()
            was_busy, self._busy = self._busy, True
        if not was_busy:
            self._pool.submit(self._work)

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        """None: the quotes bring its work."""
        return []

    def close(self) -> None:
        """Return when the waiting slots are delivered, or after a few seconds."""
        if not self._pool.close(CLOSE_SECONDS):
            log.warning("listener_hangs", extra={"listener": self._name})

    def _drop_oldest(self) -> None:
        self._waiting.popleft()
        self._dropped += 1
        if self._dropped == 1:
            # Into the file only: the listener that hangs may be the screen.
            log.info("listener_behind", extra={"listener": self._name})

    def _work(self) -> None:
        while (slot := self._next()) is not None:
            try:
                self._listener(*slot)
            except Exception as problem:
                # Any exception: the next slots are delivered all the same.
                facts = {"listener": self._name, "problem": str(problem)}
                log.error("listener_failed", exc_info=True, extra=facts)

    def _next(self) -> tuple[SyncRun, Sequence[StoredQuote]] | None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            slot = self._waiting.popleft() if self._waiting else None
            self._busy = slot is not None
        if dropped:
            facts = {"listener": self._name, "slots": dropped}
            log.warning("listener_dropped", extra=facts)
        return slot
