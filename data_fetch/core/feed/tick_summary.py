"""What a series of ticks contains, in some figures and a digest. Pure."""

from collections import Counter
from datetime import datetime
from hashlib import sha256

import orjson

from data_fetch.core.feed.ticks import Tick


class TickSummary:
    """The ticks that were added so far: how many of each key, when the *first* and the *last* were
    received (UTC), and their digest.

    The digest is of all that they say and of their order, and not of when they were received: two
    ends of one connection, which have clocks of their own, have the same.
    """

    def __init__(self) -> None:
        self.by_key: Counter[str] = Counter()
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._hash = sha256()

    @property
    def ticks(self) -> int:
        return self.by_key.total()

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal digits."""
        return self._hash.hexdigest()

    def add(self, tick: Tick) -> None:
        """Add the next tick."""
        self.by_key[tick.key] += 1
        self.first = self.first or tick.received_at
        self.last = tick.received_at
        said = tick._asdict()
        del said["received_at"]
        self._hash.update(orjson.dumps(said, default=tuple, option=orjson.OPT_APPEND_NEWLINE))
