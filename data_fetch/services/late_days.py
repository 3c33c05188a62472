"""Data that arrive late, of days that are in the archive only."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar

from data_fetch.core.archive.days import Dataset
from data_fetch.core.errors import DayArchived

T = TypeVar("T")
BringBack = Callable[[Dataset, Sequence[date]], None]


def refuse(dataset: Dataset, days: Sequence[date]) -> None:
    """Bring nothing back."""
    raise DayArchived(dataset.value, days)


def with_days_back(write: Callable[[], T], bring_back: BringBack) -> T:
    """The result of *write*. Days of the archive that it writes to are brought back first.

    *write* is tried again for as long as it finds other days; what it has written is all of it or
    nothing.
    """
    brought: set[date] = set()
    while True:
        try:
            return write()
        except DayArchived as archived:
            days = [day for day in archived.days if day not in brought]
            if not days:
                raise
            bring_back(Dataset(archived.dataset), days)
            brought.update(days)
