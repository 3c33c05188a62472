"""Sends the ticks of a feed to those who follow them live."""

from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Generic, TypeVar

from data_fetch.core.clock import stopwatch
from data_fetch.core.feed.ticks import Tick
from data_fetch.core.ports import TickReader, TickSource
from data_fetch.publishing.throttle import Throttle

# The first tick of a name is sent at once, those within so long after it as one.
NAME_SECONDS = 0.2
# Between two looks: while nothing is due, and at least, so that what is due soon goes together.
LONGEST_LOOK_SECONDS, SHORTEST_LOOK_SECONDS = 0.25, 0.01

# A symbol, or a contract.
Name = TypeVar("Name")


class TickRelay(Generic[Name]):
    """Takes ticks from *source*, and calls *publish* with the newest of each name, in a thread of
    its own.

    *names* are those of the instrument keys that are sent; other keys are left out. There may be
    more of them later. *publish* may be slow: what it misses meanwhile is replaced by newer ticks,
    and memory is bounded by the number of names. It raises nothing, and is called again after
    *pause* seconds at the earliest. *seconds* is a counter that never goes back.
    """

    def __init__(
        self,
        source: TickSource,
        names: Mapping[str, Name],
        publish: Callable[[Mapping[Name, Tick]], None],
        pause: float = 0.0,
        seconds: Callable[[], float] = stopwatch,
    ) -> None:
        self._source = source
        self._names = names
        self._publish = publish
        self._pause = pause
        self._seconds = seconds
        self._throttle: Throttle[tuple[Name, Tick]] = Throttle(NAME_SECONDS)
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Send the ticks that come from now on. Without effect while it runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop.clear()
        reader = self._source.reader()
        self._thread = Thread(target=self._run, args=(reader,), name="tick-relay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when nothing is published any more. A second call does nothing."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self._thread = None

    def _run(self, reader: TickReader) -> None:
        try:
            while not self._stop.is_set():
                due = self._due(reader.take(self._look_seconds()))
                if due:
                    self._publish(due)
                    self._stop.wait(self._pause)
        finally:
            reader.close()

    def _look_seconds(self) -> float:
        """How long to wait for a tick: until a held one is due."""
        due_at = self._throttle.next_due()
        if due_at is None:
            return LONGEST_LOOK_SECONDS
        left = due_at - self._seconds()
        return min(max(left, SHORTEST_LOOK_SECONDS), LONGEST_LOOK_SECONDS)

    def _due(self, ticks: Mapping[str, Tick]) -> dict[Name, Tick]:
        """What is to be sent now, of *ticks* and of those that were held."""
        now = self._seconds()
        passed = [
            (name, tick)
            for key, tick in ticks.items()
            if (name := self._names.get(key)) is not None
            and self._throttle.passes((key,), (name, tick), now)
        ]
        return dict([*passed, *self._throttle.due(now)])
