"""The places of rate windows, for tests: a file, Redis, PostgreSQL."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import redis
from sqlalchemy import func, select

from data_fetch.core.clock import VirtualClock
from data_fetch.core.pacing import LONGEST_FLIGHT, RateRules
from data_fetch.core.ports import Clock, RateWindows
from data_fetch.core.world import World
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.transport.pacing import Pacer
from data_fetch.sources.transport.redis_windows import RedisWindows
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.storage.database.engine import engine_for, reading
from data_fetch.storage.rate_windows import DatabaseWindows, waiting_requests

ACCOUNT = "tests"
LONG_AGO = timedelta(days=1)


class Place(ABC):
    """A place that every pacer of a test shares. Pacers are as those of different processes."""

    def __init__(self) -> None:
        self._opened: list[RateWindows] = []

    @abstractmethod
    def windows(self, clock: Clock | None) -> RateWindows:
        """The windows as another process sees them, on *clock*; None: on the server's own."""

    @abstractmethod
    def waiting(self) -> int:
        """How many requests are in the queue."""

    def pacer(
        self,
        clock: Clock,
        limits: Mapping[timedelta, int] = UPSTOX_LIMITS,
        flight: timedelta = LONGEST_FLIGHT,
        account: str = ACCOUNT,
    ) -> Pacer:
        windows = self.windows(clock)
        self._opened.append(windows)
        return Pacer(windows, lambda: account, clock, limits, flight)

    def close(self) -> None:
        for windows in self._opened:
            windows.close()


class FilePlace(Place):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def windows(self, clock: Clock | None) -> FileWindows:
        assert clock is not None
        return FileWindows(self.folder, clock)

    def waiting(self) -> int:
        count = 0
        for file in self.folder.glob("pacing-*.sqlite3"):
            with closing(sqlite3.connect(file)) as db:
                count += db.execute("SELECT count(*) FROM waiting").fetchone()[0]
        return count


class RedisPlace(Place):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def windows(self, clock: Clock | None) -> RedisWindows:
        return RedisWindows(self.url, clock)

    def pacer(
        self,
        clock: Clock,
        limits: Mapping[timedelta, int] = UPSTOX_LIMITS,
        flight: timedelta = LONGEST_FLIGHT,
        account: str = ACCOUNT,
    ) -> Pacer:
        """Of an account that Redis has known for long."""
        if not self._keys(f"{{{account}}}:state"):
            before = self.windows(VirtualClock(clock.now() - LONG_AGO))
            before.ledger(account, RateRules(limits, flight)).spending()
            before.close()
        return super().pacer(clock, limits, flight, account)

    def waiting(self) -> int:
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return sum(client.zcard(key) for key in self._keys(":waiting:"))

    def forget(self, of: str = "") -> None:
        """Lose the keys with *of* in their names."""
        with redis.Redis.from_url(self.url) as client:
            for key in self._keys(of):
                client.delete(key)

    def _keys(self, of: str) -> list[str]:
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return [str(key) for key in client.keys("data-fetch:rate:*") if of in str(key)]


class PostgresPlace(Place):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def windows(self, clock: Clock | None) -> DatabaseWindows:
        return DatabaseWindows(self.url, World.PAPER, "RATE_WINDOWS_URL", clock)

    def waiting(self) -> int:
        engine = engine_for(self.url)
        with reading(engine) as connection:
            count: int = connection.execute(
                select(func.count()).select_from(waiting_requests)
            ).scalar_one()
        engine.dispose()
        return count
