"""Turns at the site: one request at a time, in the order in which they were wanted."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock

from data_fetch.core.ports import Clock, Hold

LOOK_UP_SECONDS = 0.1


@dataclass(slots=True, eq=False)
class _Place:
    """A place in the line; *hold* is set once its turn has come."""

    called: Event = field(default_factory=Event)
    hold: Hold | None = None


class Turns:
    """A lock that passes on, first come, first served.

    The clock is held for the next one before its thread wakes up: on a virtual clock no time
    passes in between.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._taken = False
        self._line: deque[_Place] = deque()

    def take(self, give_up: Callable[[], None]) -> None:
        """Wait for the turn. *give_up* is called again and again meanwhile, and raises to end it.

        Each turn taken is to be passed on.
        """
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            place = _Place()
            self._line.append(place)
        try:
            with self._clock.released():
                while not place.called.wait(LOOK_UP_SECONDS):
                    give_up()
        except BaseException:
            # Ctrl-C too: a place that is never taken would stop all behind it.
            self._leave(place)
            raise
        _release(place)

    def pass_on(self) -> None:
        """End the turn: the first in the line has it now."""
        with self._lock:
            if not self._line:
                self._taken = False
                return
            following = self._line.popleft()
            following.hold = self._clock.hold()
            following.called.set()

    def _leave(self, place: _Place) -> None:
        with self._lock:
            waiting = place in self._line
            if waiting:
                self._line.remove(place)
        if not waiting:
            # Its turn had come at that moment.
            _release(place)
            self.pass_on()


def _release(place: _Place) -> None:
    if place.hold is not None:
        place.hold.release()
