"""At most one value of each key in an interval; the newest one is not lost."""

from typing import Generic, TypeVar

from data_fetch.publishing.stream_messages import Key

T = TypeVar("T")


class Throttle(Generic[T]):
    """Passes the first value of a key at once. The newest that comes within *seconds* after it
    is due when they are over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed: dict[Key, float] = {}
        self._held: dict[Key, T] = {}

    def passes(self, key: Key, value: T, now: float) -> bool:
        """Whether *value* is to be sent now; if not, `due` returns it later."""
        last = self._passed.get(key)
        if last is not None and now - last < self._seconds:
            self._held[key] = value
            return False
        self._passed[key] = now
        # What was held is older.
        self._held.pop(key, None)
        return True

    def due(self, now: float) -> list[T]:
        """The held values whose interval is over; each is returned once."""
        keys = [key for key in self._held if now - self._passed[key] >= self._seconds]
        for key in keys:
            self._passed[key] = now
        return [self._held.pop(key) for key in keys]

    def next_due(self) -> float | None:
        """When the first of the held values is due; None when none is held."""
        return min((self._passed[key] + self._seconds for key in self._held), default=None)
