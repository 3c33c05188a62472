"""When a request may be sent under a provider's sliding windows. Pure.

A request counts from the moment it is sent until one window width after its response, because
the provider may have counted it at any moment between the two. Both ends of a window belong to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

# No request is in flight longer: settings allow a timeout of 120 s. If a process dies with a
# request in flight, it is unknown when, or whether, the provider counted it.
LONGEST_FLIGHT = timedelta(seconds=130)

# A waiting process that does not return within this time after its turn is taken for dead.
OVERDUE = timedelta(seconds=2)

# The longest window of any provider here: a longer pause cannot be about its limits.
LONGEST_PAUSE = timedelta(minutes=30)

# The first instant that a window which ends at another one does not hold.
NEXT_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class RateRules:
    """The limits of one account by window, and the longest time that a request is in flight."""

    limits: Mapping[timedelta, int]
    flight: timedelta = LONGEST_FLIGHT

    @property
    def longest(self) -> timedelta:
        return max(self.limits)


@dataclass(slots=True)
class QueueEntry:
    """A request that wants permission. *number* is unlike that of any other request.

    Its ledger gives it a *ticket*, the place in its lane, when it has to wait, and notes when it
    was *sent*.
    """

    number: int
    api: str
    lane: int
    ticket: int | None = None
    sent: datetime | None = None


class Cause(Enum):
    """Why a request has to wait."""

    BUDGET = auto()
    PAUSE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Turn:
    """The earliest instant at which a request may be sent. At *now* or before it is granted."""

    now: datetime
    at: datetime
    cause: Cause

    @property
    def granted(self) -> bool:
        return self.at <= self.now

    @property
    def wait(self) -> timedelta:
        return self.at - self.now

    def comes_within(self, patience: timedelta | None) -> bool:
        """Whether it comes at all for a request that waits so long; None: as long as necessary."""
        return patience is None or self.wait <= patience


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides about a request at *now*.

    *ends*: for each window with more places than requests *ahead* in the queue, when the newest
    request that has to leave it was answered (in flight: the latest possible instant); None when
    the window has room. Before *unknown_until* an unknown number of requests may still count.
    """

    now: datetime
    ahead: int
    ends: Mapping[timedelta, datetime | None]
    paused_until: datetime | None = None
    unknown_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """What is recorded at *now*: by API, the instants from which its requests count, oldest
    first, as if those in flight were answered now; and until when each API is paused.

    *unknown_until* as in `Standing`; None when everything is known.
    """

    now: datetime
    ends: Mapping[str, Sequence[datetime]]
    pauses: Mapping[str, datetime]
    unknown_until: datetime | None = None


def turn_of(rules: RateRules, standing: Standing) -> Turn:
    """The turn of a request.

    Assumes that requests in flight get their response now, and that those ahead in the queue
    are sent and get theirs now: it cannot be earlier, and the next try computes it again.
    """
    now = standing.now
    at, cause = now, Cause.BUDGET
    for window, limit in rules.limits.items():
        end = now if standing.ahead >= limit else standing.ends[window]
        if end is not None:
            at = max(at, min(end, now) + window + NEXT_INSTANT)
    for until, why in (
        (standing.paused_until, Cause.PAUSE),
        (standing.unknown_until, Cause.UNKNOWN),
    ):
        if until is not None and until >= at:
            at, cause = until, why
    return Turn(now, at, cause)
