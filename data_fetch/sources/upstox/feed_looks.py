"""When a feed looks at its state: in real time, and at instants of its clock."""

import asyncio
from datetime import datetime
from threading import Event
from types import TracebackType

from data_fetch.core.ports import Clock

# How often the state is looked at in real time, and a changed plan is noticed.
LOOK_SECONDS = 0.25


class Looks:
    """The looks of one connection.

    A virtual clock leaps, so it has to stop for each look. The looks wait with the hold of the
    feed, and have it back when they are over.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._over = Event()
        self._waiting: asyncio.Task[bool] | None = None

    async def __aenter__(self) -> "Looks":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A thread that waits notices its end a little later: the clock must not run on meanwhile.
        hold = self._clock.hold()
        try:
            self._over.set()
            if self._waiting is not None:
                await self._waiting
        finally:
            hold.release()

    async def wait(self, until: datetime) -> None:
        """Return at *until* on the clock, but after `LOOK_SECONDS` at the latest.

        A virtual clock that has reached *until* stands until the next call. While the clock is
        waited for, another *until* counts from the next call on.
        """
        if self._waiting is None:
            self._waiting = asyncio.create_task(
                asyncio.to_thread(self._clock.wait, until, self._over)
            )
        await asyncio.wait({self._waiting}, timeout=LOOK_SECONDS)
        if self._waiting.done():
            self._waiting = None
