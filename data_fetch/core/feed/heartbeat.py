"""When to send a ping, and when its answer is overdue. Pure.

Sockets live in real time, whatever the market's clock does: instants here are seconds of a counter
that never goes back; the caller reads it.
"""


class Heartbeat:
    """The pings of one connection, the first one *every* seconds after its opening at *opened*.

    Anything that is received answers a ping; without that for *within* seconds since the last sign
    of life the connection is dead.
    """

    def __init__(self, opened: float, every: float, within: float) -> None:
        self._every = every
        self._within = within
        self._pinged = self._last_sign = opened

    def received(self, at: float) -> None:
        """A message, a ping or a pong came."""
        self._last_sign = at

    def is_due(self, at: float) -> bool:
        """Whether a ping is to be sent; the caller sends it."""
        due = at - self._pinged >= self._every
        if due:
            self._pinged = at
        return due

    def is_unanswered(self, at: float) -> bool:
        """Whether the connection is dead."""
        return at - self._last_sign > self._within
