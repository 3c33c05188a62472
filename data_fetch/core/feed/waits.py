"""How long to wait before the feed is connected again. Pure."""

from datetime import timedelta
from random import Random

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(seconds=60)


class Waits:
    """Waits of 1, 2, 4 … 60 s, each shortened by up to a half, so that many clients spread.

    Only data begins them anew: a server that closes each connection after it opened is asked less
    and less often.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._next = FIRST_WAIT

    def next(self, required: timedelta | None = None) -> timedelta:
        """The next wait; never shorter than *required*, the pause that the provider demands."""
        wait = self._next * self._random.uniform(0.5, 1.0)
        self._next = min(self._next * 2, LONGEST_WAIT)
        return max(wait, required or timedelta(0))

    def reset(self) -> None:
        """Data came: the next wait is the first again."""
        self._next = FIRST_WAIT
