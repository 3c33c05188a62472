"""What a server keeps between its queries: open stores, and for a moment what they found.

A command opens the store once and ends. A server is asked again and again, and opening costs
more than many an answer.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from sqlalchemy import Pool

from data_fetch.core.chains.chain_lineage import ChainLineage
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import StoreFailure, StoreUnreachable
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Clock
from data_fetch.core.settings import Settings
from data_fetch.storage.database.engine import file_of, redacted
from data_fetch.storage.database.store import Store

# An exchange that was started anew has another address, an instrument may have another name.
LIFE = timedelta(seconds=2)
MOST_KEPT = 1_000

# The device and the number of a file: they stay the same when it is moved.
FileId = tuple[int, int]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Resolved:
    """The instruments that symbols name, and the first day in the master of the contracts."""

    instruments: tuple[Instrument, ...]
    first_days: Mapping[str, date]


class Recent(Generic[Key, Value]):
    """Values that were made within the last LIFE, by key; used by many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: dict[Key, tuple[datetime, Value]] = {}

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of *key*, from *make* now or a moment ago."""
        now = SystemClock().now()
        with self._lock:
            known = self._made.get(key)
        if known is not None and now - LIFE < known[0] <= now:
            return known[1]
        value = make()
        with self._lock:
            self._made.pop(key, None)
            self._made[key] = now, value
            self._forget_old(now)
        return value

    def __len__(self) -> int:
        return len(self._made)

    def _forget_old(self, now: datetime) -> None:
        """Keep only what is recent, and not too much of it. The oldest is the first."""
        while self._made:
            key, (made, _) = next(iter(self._made.items()))
            if now - LIFE < made <= now and len(self._made) <= MOST_KEPT:
                return
            del self._made[key]


@dataclass(frozen=True, slots=True)
class _Kept:
    """An open store, and which *file* it was opened on; None for one on a server."""

    store: Store
    file: FileId | None


class KeptOpen:
    """Stores by their URL, used by many threads. *clocks* are paper markets' by their folder,
    *resolved* the instruments of symbols by the store and the symbols, *lineages* those of
    underlyings by the connections of a database, which its engines share, and the name."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stores: dict[str, _Kept] = {}
        self._in_files: set[str] = set()
        self.clocks: Recent[Path, Clock] = Recent()
        self.resolved: Recent[tuple[str, tuple[str, ...]], Resolved] = Recent()
        self.lineages: Recent[tuple[Pool, str], ChainLineage] = Recent()

    @contextmanager
    def store(self, settings: Settings, opened: Callable[[Settings], Store]) -> Iterator[Store]:
        """The store of *settings*, from *opened* at the first time and after it failed.

        One that stands in for the configured store is not kept: the configured one is to be
        used as soon as it is there again. Raises StoreUnreachable when a file that was opened
        before is not there any more: opening it again would make an empty one in its place.
        """
        store = self._known(settings.store_url)
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
            self._forget(settings.store_url, store)
            raise

    def close(self) -> None:
        """Close every store."""
        with self._lock:
            kept, self._stores = list(self._stores.values()), {}
        for each in kept:
            each.store.close()

    def _known(self, url: str) -> Store | None:
        """The store at *url* if it is kept, and its file is still the one that it was opened on."""
        file = file_id(url)
        with self._lock:
            kept = self._stores.get(url)
            if file is None and url in self._in_files:
                raise StoreUnreachable(
                    f"the database {redacted(url)} is not there any more",
                    hint="Put its file back; to begin with an empty one, start this program again.",
                )
        if kept is None or kept.file == file:
            return None if kept is None else kept.store
        self._forget(url, kept.store)
        return None

    def _keeps(self, settings: Settings, store: Store) -> bool:
        """Whether *store* is the one that is kept from now on."""
        if store.name != redacted(settings.store_url):
            return False
        found = _Kept(store, file_id(settings.store_url))
        with self._lock:
            if found.file is not None:
                self._in_files.add(settings.store_url)
            return self._stores.setdefault(settings.store_url, found).store is store

    def _forget(self, url: str, store: Store) -> None:
        with self._lock:
            kept = self._stores.get(url)
            if kept is None or kept.store is not store:
                return
            del self._stores[url]
        # Another query may be in it: its connections are closed as they are returned.
        store.close()


def file_id(url: str) -> FileId | None:
    """Which file the SQLite store at *url* is; None without one, and for a store on a server."""
    file = file_of(url)
    if file is None or not file.is_file():
        return None
    found = file.stat()
    return found.st_dev, found.st_ino
