"""What became of keys that were requested together, whatever the dataset."""

from dataclasses import dataclass
from datetime import datetime

from data_fetch.core.text import presentable


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was received and not stored, and why.

    Both may quote what the provider sent, so both are made presentable.
    """

    instrument_key: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "instrument_key", presentable(self.instrument_key))
        object.__setattr__(self, "reason", presentable(self.reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What became of keys that were asked for together and brought no record.

    Each of them is in exactly one of *absent* (a good answer lacks it), *unknown* (the provider
    refuses the key), *rejected* (its row could not be true) and *failed* (its request failed
    for good: *error* says why). *unrequested* are rows that answer no key that was asked for.
    """

    absent: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    rejected: tuple[RejectedRow, ...] = ()
    failed: tuple[str, ...] = ()
    unrequested: tuple[RejectedRow, ...] = ()
    error: str | None = None
    requests: int = 0
    received_at: datetime
