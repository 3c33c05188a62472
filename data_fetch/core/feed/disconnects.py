"""The intervals in which the feed delivered nothing that can be relied on. Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """The feed was away for *keys* from *began* to *ended* (UTC); None: it still is.

    *began* is the last instant with a sign of life, *ended* that of the first live price after it.
    While none has to come, because the market is closed, a snapshot is enough.
    """

    began: datetime
    ended: datetime | None
    cause: str
    keys: frozenset[str]


class DisconnectLog:
    """The present disconnect. Failed attempts to connect again prolong it, with its first cause."""

    def __init__(self) -> None:
        self.present: Disconnect | None = None

    def lost(self, began: datetime, cause: str, keys: frozenset[str]) -> None:
        """The connection was lost, or not established."""
        if self.present is None:
            self.present = Disconnect(began=began, ended=None, cause=cause, keys=keys)

    def ended(self, at: datetime) -> Disconnect | None:
        """The disconnect that prices, or the end of the feed, end at *at*; None without one."""
        over, self.present = self.present, None
        if over is None:
            return None
        return Disconnect(
            began=over.began, ended=max(at, over.began), cause=over.cause, keys=over.keys
        )
