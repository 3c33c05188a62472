"""The audit of refusals: noted at once, stored a moment later, bounded in a flood."""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from threading import Lock

from data_fetch.core.accounts.events import AccountEvent, RefusalBudget
from data_fetch.storage.accounts import add_events, forget_events
from data_fetch.storage.database.store import Store

# For how long events are stored.
RETENTION = timedelta(days=400)
FORGETTING = timedelta(days=1)
# While the store does not answer; then the oldest ones are lost.
MOST_WAITING = 10_000


class RefusalAudit:
    """Refusals on their way to the store."""

    def __init__(self, opened: Callable[[], AbstractContextManager[Store]]) -> None:
        self._opened = opened
        self._lock = Lock()
        self._budget = RefusalBudget()
        self._rows: deque[AccountEvent] = deque(maxlen=MOST_WAITING)
        self._forgotten_at: datetime | None = None

    def note(self, refusal: AccountEvent) -> None:
        """Record *refusal* with the next `store`."""
        with self._lock:
            self._rows.extend(self._budget.rows_for(refusal))

    def store(self, now: datetime) -> None:
        """Store what was noted, and the counts of a minute that is over.

        Raises StoreFailure; the rows are then stored the next time.
        """
        with self._lock:
            self._rows.extend(self._budget.rows_of_ended_minute(now))
        self._write(now)

    def store_all(self, now: datetime) -> None:
        """Store what was noted, and the counts so far: the server ends."""
        with self._lock:
            self._rows.extend(self._budget.rows_left())
        self._write(now)

    def _write(self, now: datetime) -> None:
        with self._lock:
            rows = list(self._rows)
            self._rows.clear()
        if not rows:
            return
        try:
            with self._opened() as store, store.writing() as connection:
                add_events(connection, rows)
                if self._forgotten_at is None or now - self._forgotten_at > FORGETTING:
                    forget_events(connection, now - RETENTION)
                    self._forgotten_at = now
        except BaseException:
            # Also when the server is stopped meanwhile: no event is lost, the next write has it.
            with self._lock:
                self._rows.extendleft(reversed(rows))
            raise
