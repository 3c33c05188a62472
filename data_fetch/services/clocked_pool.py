"""Thread pools whose work a virtual clock waits for.

Work holds the clock from the call on, before its thread starts: no time passes in between.
"""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from data_fetch.core.clock import LONGEST_NAP_SECONDS
from data_fetch.core.ports import Clock, Hold

T = TypeVar("T")


class ClockedPool:
    """Threads for work that reports nothing to its caller; it holds the clock until it ends."""

    def __init__(self, clock: Clock, workers: int, name: str) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._running: set[Future[object]] = set()

    def submit(self, work: Callable[..., object], *arguments: object) -> None:
        """Run *work* on a thread of the pool and return at once."""
        hold = self._clock.hold()
        try:
            future = self._pool.submit(work, *arguments)
        except RuntimeError:
            hold.release()
            raise
        self._running.add(future)
        future.add_done_callback(lambda _: hold.release())
        future.add_done_callback(self._running.discard)

    def close(self, seconds: float | None = None) -> bool:
        """Begin no more work; whether all has ended, for which it waits up to *seconds*."""
        self._pool.shutdown(wait=False)
        with self._clock.released():
            return not wait(list(self._running), seconds).not_done


class ResultPool(Generic[T]):
    """Threads for work whose results the caller takes; it holds the clock until it is taken."""

    def __init__(self, clock: Clock, workers: int, name: str) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._holds: dict[Future[T], Hold] = {}

    def __len__(self) -> int:
        return len(self._holds)

    def submit(self, work: Callable[..., T], *arguments: object) -> None:
        """Run *work* on a thread of the pool and return at once."""
        hold = self._clock.hold()
        try:
            self._holds[self._pool.submit(work, *arguments)] = hold
        except RuntimeError:
            hold.release()
            raise

    def results(self) -> list[T]:
        """The next results; none after a short wait, so that the caller can look around.

        Raises what the work raised.
        """
        with self._clock.released():
            done, _ = wait(self._holds, LONGEST_NAP_SECONDS, FIRST_COMPLETED)
        for future in done:
            # Not by its own thread: time would pass before this one holds the clock again.
            self._holds.pop(future).release()
        return [future.result() for future in done]

    def close(self) -> None:
        """Return when all work has ended; results that were not taken are dropped."""
        if self._holds:
            with self._clock.released():
                wait(self._holds)
        self._pool.shutdown()
        for hold in self._holds.values():
            hold.release()
        self._holds.clear()
