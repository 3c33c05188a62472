"""Clocks. No other module reads the computer's time.

`SystemClock` is the wall clock. `VirtualClock` advances only when all work waits, so a trading
day takes as long as the machine needs. `ScaledClock` runs from any instant at any speed; the
paper market has one.
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
END_OF_TIME = datetime.max.replace(tzinfo=UTC)

# Waits are this short so that a suspended computer or a clock that was set is noticed soon.
LONGEST_NAP_SECONDS = 0.5
# Clocks are corrected by less than this all the time; a fast one is read in larger steps.
SMALL_STEP, SMALL_STEP_SECONDS = MINUTE, 3.0


def stopwatch() -> float:
    """Seconds on a counter that never goes back: for measuring durations."""
    return time.monotonic()


def minute_of(at: datetime) -> datetime:
    """The first instant of the minute that *at* falls in."""
    return at.replace(second=0, microsecond=0)


def utc_text(at: datetime) -> str:
    """An instant as ISO text in UTC with milliseconds and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _FreeHold:
    """The hold of a clock that cannot stand still: it does nothing."""

    def release(self) -> None:
        return None


FREE_HOLD = _FreeHold()


class _RunningClock(ABC):
    """Waits on a clock that runs by itself, *speed* seconds per second."""

    speed = 1.0

    @abstractmethod
    def now(self) -> datetime: ...

    def sleep(self, duration: timedelta) -> None:
        time.sleep(max(0.0, duration.total_seconds() / self.speed))

    def wait(self, until: datetime, stop: Event, since: datetime | None = None) -> bool:
        latest = since or self.now()
        while not stop.is_set():
            now = self.now()
            left = (until - now).total_seconds() / self.speed
            if left <= 0 or self.was_set_back(latest, now):
                return False
            latest = max(latest, now)
            stop.wait(min(left, LONGEST_NAP_SECONDS))
        return True

    def was_set_back(self, before: datetime, now: datetime) -> bool:
        return before - now > max(SMALL_STEP, timedelta(seconds=SMALL_STEP_SECONDS * self.speed))

    def elapsed_in(self, real: timedelta) -> timedelta:
        return real * self.speed

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
    """Runs from *start* at *speed* seconds per second."""

    def __init__(self, start: datetime, speed: float = 1.0) -> None:
        self.speed = speed
        self._lock = Lock()
        self._anchor = (start.astimezone(UTC), stopwatch())

    def now(self) -> datetime:
        with self._lock:
            start, since = self._anchor
            return start + timedelta(seconds=(stopwatch() - since) * self.speed)

    def set(self, now: datetime) -> None:
        """Set the clock to *now*."""
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
            self._clock._release()


class VirtualClock:
    """Stands still while any work is held; otherwise advances to the next deadline."""

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

    def wait(self, until: datetime, stop: Event, since: datetime | None = None) -> bool:
        with self._changed:
            self._wait(until, stop)
        return stop.is_set()

    def was_set_back(self, before: datetime, now: datetime) -> bool:
        return False

    def elapsed_in(self, real: timedelta) -> timedelta:
        return real

    def hold(self) -> _VirtualHold:
        with self._changed:
            self._holds += 1
        return _VirtualHold(self)

    @contextmanager
    def released(self) -> Iterator[None]:
        self._release()
        try:
            yield
        finally:
            with self._changed:
                self._holds += 1

    def _release(self) -> None:
        with self._changed:
            self._holds -= 1
            self._advance_if_idle()

    def _wait(self, until: datetime, stop: Event) -> None:
        if until <= self._now or stop.is_set():
            return
        self._tickets += 1
        waiter = _Waiter(until, self._tickets)
        heapq.heappush(self._waiters, waiter)
        self._holds -= 1
        self._advance_if_idle()
        while not waiter.awake:
            # Setting *stop* wakes no waiter, so check it from time to time.
            self._changed.wait(LONGEST_NAP_SECONDS)
            if stop.is_set() and not waiter.awake:
                self._waiters.remove(waiter)
                heapq.heapify(self._waiters)
                self._holds += 1
                return

    def _advance_if_idle(self) -> None:
        if self._holds > 0 or not self._waiters:
            return
        self._now = max(self._now, self._waiters[0].deadline)
        while self._waiters and self._waiters[0].deadline <= self._now:
            waiter = heapq.heappop(self._waiters)
            # Held again for the sleeper before another thread can advance the clock.
            waiter.awake = True
            self._holds += 1
        self._changed.notify_all()
