"""The result of requesting several instrument keys, whatever the dataset."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from data_fetch.core.errors import DataFetchError
from data_fetch.core.text import presentable

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row, or a field of one, that was received and not stored, and why.

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
    failed for good, because of this error). *dropped_fields* names fields of records that are None
    because their value cannot be; *unrequested* are rows of keys that were not requested.
    """

    records: tuple[R_co, ...] = ()
    absent: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    rejected: tuple[RejectedRow, ...] = ()
    failed: Mapping[str, DataFetchError] = field(default_factory=dict)
    unrequested: tuple[RejectedRow, ...] = ()
    dropped_fields: tuple[RejectedRow, ...] = ()
    requests: int = 0
    received_at: datetime

    @property
    def error(self) -> str | None:
        """Why requests failed, each reason once; None when none did."""
        reasons = Counter(map(str, self.failed.values()))
        if len(reasons) < 2:
            return next(iter(reasons), None)
        return "; ".join(f"{count} keys: {reason}" for reason, count in reasons.most_common())
