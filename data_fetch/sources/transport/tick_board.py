"""Hands ticks from the thread of a feed to others: the newest of each key, and that of the minute
before.

Memory is bounded by the number of keys, however slowly a reader reads.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from threading import Condition

from data_fetch.core.clock import minute_of
from data_fetch.core.feed.ticks import CLOCKS_DIFFER, Tick


class TickReader:
    """What one reader has not taken yet; made by `TickBoard.reader`."""

    def __init__(self, board: "TickBoard", changed: Condition) -> None:
        self._board = board
        self._changed = changed
        self._waiting: dict[str, Tick] = {}
        # Ticks that a newer one replaced before they were taken.
        self.conflated = 0

    def take(self, seconds: float = 0) -> dict[str, Tick]:
        """The newest tick of each key that has one since the last call.

        Waits at most *seconds* for the first; empty when none comes.
        """
        with self._changed:
            if not self._waiting and seconds > 0:
                self._changed.wait_for(lambda: bool(self._waiting), seconds)
            taken, self._waiting = self._waiting, {}
            return taken

    def close(self) -> None:
        """Wait for nothing any more."""
        self._board.leave(self)

    def add(self, ticks: Mapping[str, Tick]) -> None:
        """Let *ticks* wait; the board calls it, and holds the lock."""
        before = len(self._waiting)
        self._waiting.update(ticks)
        self.conflated += before + len(ticks) - len(self._waiting)

    def drop(self, keys: Collection[str]) -> None:
        """Let ticks of *keys* wait no more; the board calls it, and holds the lock."""
        for key in keys:
            self._waiting.pop(key, None)


class TickBoard:
    """The newest tick of each key. Safe to share between threads."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._latest: dict[str, Tick] = {}
        self._minute: datetime | None = None
        self._before: Mapping[str, Tick] = {}
        self._readers: list[TickReader] = []

    def put(self, ticks: Mapping[str, Tick]) -> None:
        """Replace the ticks of the keys in *ticks*: one at least, all of one message."""
        minute = minute_of(_sent_at(next(iter(ticks.values()))))
        with self._changed:
            if self._minute is None or minute > self._minute:
                self._minute, self._before = minute, dict(self._latest)
            self._latest.update(ticks)
            for reader in self._readers:
                reader.add(ticks)
            self._changed.notify_all()

    def keep(self, keys: Collection[str]) -> None:
        """Forget the ticks of all other keys than *keys*."""
        with self._changed:
            gone = [key for key in self._latest if key not in keys]
            for key in gone:
                del self._latest[key]
            for reader in self._readers:
                reader.drop(gone)

    def get(self, key: str) -> Tick | None:
        """The newest tick of *key*."""
        with self._changed:
            return self._latest.get(key)

    def latest(self) -> dict[str, Tick]:
        """The newest tick of every key."""
        with self._changed:
            return dict(self._latest)

    def at_the_turn_of_the_minute(self) -> Mapping[str, Tick]:
        """The newest tick that every key had when the first message of the newest minute came."""
        with self._changed:
            return self._before

    def reader(self) -> TickReader:
        """A reader that gets what comes from now on."""
        reader = TickReader(self, self._changed)
        with self._changed:
            self._readers.append(reader)
        return reader

    def leave(self, reader: TickReader) -> None:
        """Forget *reader*; nothing happens when it is not known."""
        with self._changed:
            if reader in self._readers:
                self._readers.remove(reader)


def _sent_at(tick: Tick) -> datetime:
    """When the message of *tick* was sent; when it was received, if the server's time cannot be."""
    sent = tick.server_time
    possible = sent is not None and abs(sent - tick.received_at) <= CLOCKS_DIFFER
    return sent if sent is not None and possible else tick.received_at
