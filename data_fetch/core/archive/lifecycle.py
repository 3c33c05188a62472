"""What is due for a day on its way from the store into files, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from data_fetch.core.archive.days import ArchivedDay, Dataset, DayState
from data_fetch.core.clock import IST

# After the confirmation of the day's candles has begun.
AFTER_CONFIRMATION = timedelta(minutes=30)


class Step(StrEnum):
    """What is done with a day next."""

    SEAL = "seal"
    """Write its files from the store."""
    VERIFY = "verify"
    """Compare its files with the store."""
    DROP = "drop"
    """Read it from its files from now on."""
    CLEAR = "clear"
    """Delete what the store still has of it."""
    RESTORE = "restore"
    """Load the rest of its rows back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long days stay in the store, and from when on a day is over.

    *hot_days* counts days back from the newest one, which is the first; 0: for ever. A day is over
    half an hour after *confirmed_at*, an Indian time.
    """

    hot_days: Mapping[Dataset, int]
    confirmed_at: time

    def is_over(self, day: date, now: datetime) -> bool:
        """Whether nothing more is expected of an Indian date."""
        return now >= datetime.combine(day, self.confirmed_at, IST) + AFTER_CONFIRMATION

    def is_hot(self, dataset: Dataset, day: date, newest: date) -> bool:
        """Whether the day stays in the store, where *newest* is the newest day."""
        window = self.hot_days[dataset]
        return window == 0 or (newest - day).days < window

    def rests(self, known: ArchivedDay, now: datetime) -> bool:
        """Whether a day was brought back so lately that it stays."""
        window = timedelta(days=self.hot_days[known.dataset])
        return known.state is DayState.RESTORED and now - known.changed_at < window


def next_step(
    retention: Retention,
    dataset: Dataset,
    day: date,
    known: ArchivedDay | None,
    newest: date,
    now: datetime,
) -> Step | None:
    """What is due for a day of which the ledger has *known*; None: nothing.

    *newest* is the newest day in the store: the hot window is counted from there, so that a clock
    that is ahead drops nothing, nor does a collector that stands still.
    """
    if not retention.is_over(day, now):
        return None
    if known is None:
        return Step.SEAL
    match known.state:
        case DayState.ARCHIVED:
            return Step.VERIFY
        case DayState.DROPPED:
            return Step.CLEAR
        case DayState.RESTORING:
            return Step.RESTORE
        case DayState.CLEARED:
            return None
    stays = retention.is_hot(dataset, day, newest) or retention.rests(known, now)
    return None if stays else Step.DROP
