"""Minutes in which the volume proves that nothing was traded. Pure.

The volume of a quote is cumulative for the day. An index has no volume, so nothing can be proved
of it: callers must leave indices out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from data_fetch.core.clock import MINUTE
from data_fetch.core.market.session import minute_number
from data_fetch.core.spans import Spans, joined

INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class VolumeSeen:
    """The day's cumulative volume of one instrument, as known at an instant."""

    at: datetime
    volume: int


@dataclass(frozen=True, slots=True)
class FeedSeen:
    """The quotes of all instruments, as known at an instant: any values that change with them."""

    at: datetime
    volume: tuple[float, ...]


def still_spans(seen: Sequence[VolumeSeen | FeedSeen]) -> Spans:
    """The whole minutes of one day over which the volume did not change.

    *seen* are the quotes of that day, oldest first. Only minutes that lie wholly between two
    quotes of equal volume count, and only if every quote between the two agrees.
    """
    found = []
    for _, group in groupby(seen, key=lambda one: one.volume):
        run = list(group)
        # The first whole minute after the first quote; a quote at the start of a minute counts.
        first = minute_number(run[0].at + MINUTE - INSTANT)
        found.append((first, minute_number(run[-1].at)))
    return joined(found)


def holds_all_volume(day_volume: int | None, stored_volume: int) -> bool:
    """Whether the stored minutes have all the volume of a day, so that the others had none."""
    return day_volume is not None and day_volume == stored_volume
