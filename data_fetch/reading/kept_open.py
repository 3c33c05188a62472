"""What a server keeps between its queries: open stores, and the clock of the paper market.

A command opens the store once and ends. A server is asked again and again, and opening costs
more than many an answer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import StoreFailure
from data_fetch.core.ports import Clock
from data_fetch.core.settings import Settings
from data_fetch.storage.database.engine import redacted
from data_fetch.storage.database.store import Store

# An exchange that was started anew has another address.
CLOCK_LIFE = timedelta(seconds=2)


class KeptOpen:
    """Stores by their URL and paper markets' clocks by their folder, used by many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stores: dict[str, Store] = {}
        self._clocks: dict[Path, tuple[datetime, Clock]] = {}

    @contextmanager
    def store(self, settings: Settings, opened: Callable[[Settings], Store]) -> Iterator[Store]:
        """The store of *settings*, from *opened* at the first time and after it failed.

        One that stands in for the configured store is not kept: the configured one is to be
        used as soon as it is there again.
        """
        with self._lock:
            store = self._stores.get(settings.store_url)
        if store is None:
            store = opened(settings)
            if not self._keeps(settings, store):
                try:
                    yield store
                finally:
                    store.close()
                return
        try:
            yield store
        except StoreFailure:
            self._forget(settings, store)
            raise

    def clock(self, settings: Settings, made: Callable[[Settings], Clock]) -> Clock:
        """The clock of *settings*, from *made* now or a moment ago."""
        now = SystemClock().now()
        with self._lock:
            since, clock = self._clocks.get(settings.folder, (None, None))
        if since is not None and clock is not None and now - CLOCK_LIFE < since <= now:
            return clock
        clock = made(settings)
        with self._lock:
            self._clocks[settings.folder] = now, clock
        return clock

    def close(self) -> None:
        """Close every store."""
        with self._lock:
            stores, self._stores = list(self._stores.values()), {}
        for store in stores:
            store.close()

    def _keeps(self, settings: Settings, store: Store) -> bool:
        """Whether *store* is the one that is kept from now on."""
        if store.name != redacted(settings.store_url):
            return False
        with self._lock:
            return self._stores.setdefault(settings.store_url, store) is store

    def _forget(self, settings: Settings, store: Store) -> None:
        with self._lock:
            if self._stores.get(settings.store_url) is not store:
                return
            del self._stores[settings.store_url]
        # Another query may be in it: its connections are closed as they are returned.
        store.close()
