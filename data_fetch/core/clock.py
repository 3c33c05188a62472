"""What time it is. The only module that asks the computer.

`SystemClock` is the wall clock. `VirtualClock` moves only when everybody waits, so a
trading day passes as fast as the machine works. `ScaledClock` runs from any instant at any
pace; the paper market's time is one.
"""

import heapq
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Condition, Event, Lock
from zoneinfo import ZoneInfo

IST = ZoneInfo("Asia/Kolkata")
MINUTE = timedelta(minutes=1)

# A sleeping computer, a stepped clock or a jumping paper market must be noticed soon.
LONGEST_NAP_SECONDS = 0.5


def stopwatch() -> float:
    """Seconds on a counter that never goes back: for measuring, not for telling time."""
    return time.monotonic()


def minute_of(at: datetime) -> datetime:
    """The first instant of the minute that *at* falls in."""
    return at.replace(second=0, microsecond=0)


class _FreeHold:
    """On a clock that cannot stand still, holding costs nothing."""

    def release(self) -> None:
        return None


FREE_HOLD = _FreeHold()


class _RunningClock(ABC):
    """Waiting on a clock that runs by itself, *speed* seconds to the second."""

    speed = 1.0

    @abstractmethod
    def now(self) -> datetime: ...

    def sleep(self, duration: timedelta) -> None:
        time.sleep(max(0.0, duration.total_seconds() / self.speed))

    def wait(self, until: datetime, stop: Event) -> bool:
        while not stop.is_set():
            left = (until - self.now()).total_seconds() / self.speed
            if left <= 0:
                return False
            stop.wait(min(left, LONGEST_NAP_SECONDS))
        return True

    def hold(self) -> _FreeHold:
        return FREE_HOLD

    @contextmanager
    def released(self) -> Iterator[None]:
        yield


class SystemClock(_RunningClock):
    """The wall clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ScaledClock(_RunningClock):
    """Runs from *start* at *speed* seconds to the second."""

    def __init__(self, start: datetime, speed: float = 1.0) -> None:
        self.speed = speed
        self._lock = Lock()
        self._anchor = (start.astimezone(UTC), stopwatch())

    def now(self) -> datetime:
        with self._lock:
            start, since = self._anchor
            return start + timedelta(seconds=(stopwatch() - since) * self.speed)

    def set(self, now: datetime) -> None:
        """From here on it is *now*."""
        with self._lock:
            self._anchor = (now.astimezone(UTC), stopwatch())


@dataclass(order=True)
class _Waiter:
    deadline: datetime
    ticket: int
    awake: bool = field(default=False, compare=False)


class _VirtualHold:
    def __init__(self, clock: "VirtualClock") -> None:
        self._clock = clock
        self._held = True

    def release(self) -> None:
        if self._held:
            self._held = False
            self._clock._let_go()


class VirtualClock:
    """Stands still while any work is held; otherwise leaps to the next instant waited for."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._holds = 0
        self._tickets = 0
        self._waiters: list[_Waiter] = []
        self._changed = Condition()

    def now(self) -> datetime:
        with self._changed:
            return self._now

    def sleep(self, duration: timedelta) -> None:
        with self._changed:
            self._wait(self._now + duration, Event())

    def wait(self, until: datetime, stop: Event) -> bool:
        with self._changed:
            self._wait(until, stop)
        return stop.is_set()

    def hold(self) -> _VirtualHold:
        with self._changed:
            self._holds += 1
        return _VirtualHold(self)

    @contextmanager
    def released(self) -> Iterator[None]:
        self._let_go()
        try:
            yield
        finally:
            with self._changed:
                self._holds += 1

    def _let_go(self) -> None:
        with self._changed:
            self._holds -= 1
            self._leap_if_idle()

    def _wait(self, until: datetime, stop: Event) -> None:
        if until <= self._now or stop.is_set():
            return
        self._tickets += 1
        waiter = _Waiter(until, self._tickets)
        heapq.heappush(self._waiters, waiter)
        self._holds -= 1
        self._leap_if_idle()
        while not waiter.awake:
            # Nobody can announce that *stop* was set, so look now and then.
            self._changed.wait(LONGEST_NAP_SECONDS)
            if stop.is_set() and not waiter.awake:
                self._waiters.remove(waiter)
                heapq.heapify(self._waiters)
                self._holds += 1
                return

    def _leap_if_idle(self) -> None:
        if self._holds > 0 or not self._waiters:
            return
        self._now = max(self._now, self._waiters[0].deadline)
        while self._waiters and self._waiters[0].deadline <= self._now:
            waiter = heapq.heappop(self._waiters)
            # Held again on the sleeper's behalf, before anybody else can leap.
            waiter.awake = True
            self._holds += 1
        self._changed.notify_all()
