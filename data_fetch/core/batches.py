"""The result of requesting several instrument keys, whatever the dataset."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from data_fetch.core.text import presentable

R_co = TypeVar("R_co", covariant=True)


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


# Without slots: Python 3.11 cannot make an instance of a frozen generic class that has them.
@dataclass(frozen=True, kw_only=True)
class BatchResult(Generic[R_co]):
    """Keys that were requested together, with a record each or without one.

    Each key is in exactly one of *records*, *absent* (a good response lacks it), *unknown* (the
    provider rejects the key), *rejected* (its row cannot be true) and *failed* (its request
    failed for good; the reason is in *error*). *unrequested* are rows of keys that were not
    requested.
    """

    records: tuple[R_co, ...] = ()
    absent: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    rejected: tuple[RejectedRow, ...] = ()
    failed: tuple[str, ...] = ()
    unrequested: tuple[RejectedRow, ...] = ()
    error: str | None = None
    requests: int = 0
    received_at: datetime
