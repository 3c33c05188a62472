"""From days that lack something to the fewest requests, and how long those take. Pure.

The provider answers for one instrument and a range of whole days at a time. How long a range
may be depends on the interval, which endpoint (*endpoint*) serves a day on whether that day, or
the contract, is over.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.instruments.instrument import Instrument

# How many days one request may span, both ends counted. The provider speaks of a month (31
# days are accepted, 33 refused) and of a decade (ten years with three leap days).
LONGEST_WINDOW: Mapping[CandleInterval, int] = {
    CandleInterval.MINUTE: 31,
    CandleInterval.DAY: 3653,
}

# Once a contract has expired its history leaves the live endpoints, and not every account may
# ask the expired one. A week leaves time for the attempts that fail.
EXPIRES_SOON = timedelta(days=7)

# The provider counts a window with both its ends: room is made an instant after it has passed.
_INSTANT = timedelta(microseconds=1)


class CandleEndpoint(StrEnum):
    """The endpoint a window is asked at."""

    HISTORICAL = "historical"
    INTRADAY = "intraday"
    EXPIRED = "expired"


def api_of(endpoint: CandleEndpoint) -> str:
    """The API whose budget a request at *endpoint* spends."""
    return "expired-candles" if endpoint is CandleEndpoint.EXPIRED else "candles"


@dataclass(frozen=True, slots=True)
class Need:
    """A day of an instrument that a request could better. *minutes* are wanted of it."""

    instrument: Instrument
    day: date
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One request: whole days of one instrument, from *first_day* to *last_day*, both included.

    *minutes* is how many of them are wanted; days between that want nothing may lie inside.
    """

    instrument: Instrument
    interval: CandleInterval
    endpoint: CandleEndpoint
    first_day: date
    last_day: date
    minutes: int

    @property
    def days(self) -> int:
        """How many days it spans."""
        return (self.last_day - self.first_day).days + 1

    def halves(self) -> tuple["Window", "Window"]:
        """The same days as two windows, the newer first, for a provider that wants less at once.

        The wanted minutes are taken to be spread evenly. Raises ValueError for a single day.
        """
        if self.days == 1:
            raise ValueError(f"{self.instrument.instrument_key}: {self.last_day} is a single day")
        newer_days = self.days // 2
        begins = self.last_day - timedelta(days=newer_days - 1)
        minutes = self.minutes * newer_days // self.days
        newer = replace(self, first_day=begins, minutes=minutes)
        older = replace(self, last_day=begins - timedelta(days=1), minutes=self.minutes - minutes)
        return newer, older


def windows(needs: Iterable[Need], interval: CandleInterval, today: date) -> list[Window]:
    """The fewest requests that cover *needs*, in the order in which to send them.

    *today* is the date in India. Contracts about to expire come first, then the newest days of
    all instruments, in the order in which *needs* names these. Raises ValueError for a need
    later than *today*.
    """
    own: defaultdict[str, list[Need]] = defaultdict(list)
    for need in needs:
        own[need.instrument.instrument_key].append(need)
    found = [
        _window(group, interval, today)
        for wanted in own.values()
        for group in _groups(wanted, interval, today)
    ]
    return sorted(found, key=lambda window: _rank(window, today))


def _groups(needs: Sequence[Need], interval: CandleInterval, today: date) -> list[list[Need]]:
    """The needs of one instrument by the window that serves them, newest first.

    The newest need must be in some window, and none that holds it reaches further back than
    one that ends with it: so windows are filled from the newest day on.
    """
    reach = timedelta(days=LONGEST_WINDOW[interval] - 1)
    groups: list[list[Need]] = []
    for need in sorted(needs, key=lambda need: need.day, reverse=True):
        newest = groups[-1][0] if groups else None
        if (
            newest is not None
            and newest.day - need.day <= reach
            and _candle_endpoint(newest, today) is _candle_endpoint(need, today)
        ):
            groups[-1].append(need)
        else:
            groups.append([need])
    return groups


def _window(needs: Sequence[Need], interval: CandleInterval, today: date) -> Window:
    """The window that *needs*, newest first, make."""
    newest, oldest = needs[0], needs[-1]
    return Window(
        instrument=newest.instrument,
        interval=interval,
        endpoint=_candle_endpoint(newest, today),
        first_day=oldest.day,
        last_day=newest.day,
        minutes=sum(need.minutes for need in needs),
    )


def _candle_endpoint(need: Need, today: date) -> CandleEndpoint:
    if need.day > today:
        raise ValueError(f"{need.instrument.instrument_key}: {need.day} is still to come")
    expiry = need.instrument.expiry
    if expiry is not None and expiry < today:
        return CandleEndpoint.EXPIRED
    return CandleEndpoint.INTRADAY if need.day == today else CandleEndpoint.HISTORICAL


def _rank(window: Window, today: date) -> tuple[date, timedelta]:
    expiry = window.instrument.expiry or date.max
    urgent = expiry <= today + EXPIRES_SOON and window.endpoint is not CandleEndpoint.EXPIRED
    return expiry if urgent else date.max, today - window.last_day


@dataclass(frozen=True, slots=True)
class Budget:
    """What one API may still be sent.

    *limits*: how many requests a sliding window of each width may hold. *ends*: from when each
    request that was already sent counts, ascending. *reserved*: how many of a window are kept
    free for live quotes. Raises ValueError when these leave no room.
    """

    limits: Mapping[timedelta, int]
    ends: Sequence[datetime] = ()
    reserved: Mapping[timedelta, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(room < 1 for room in self.room.values()):
            raise ValueError(f"nothing is left of {self.limits} after {self.reserved}")

    @property
    def room(self) -> dict[timedelta, int]:
        """How many requests each window may hold besides what is reserved."""
        return {width: limit - self.reserved.get(width, 0) for width, limit in self.limits.items()}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan costs: *requests*, for so many wanted *minutes*, sent between two instants."""

    requests: int
    minutes: int
    starts_at: datetime
    finishes_at: datetime

    @property
    def duration(self) -> timedelta:
        """From the first sending to the last."""
        return self.finishes_at - self.starts_at


def estimate(planned: Sequence[Window], budgets: Mapping[str, Budget], now: datetime) -> Estimate:
    """How long the windows of *planned* take when each API sends as early as it may.

    *budgets* holds one for every API that is needed (`api_of`); the APIs run side by side.
    Answers are taken to come at once. An empty plan starts and finishes *now*.
    """
    requests = Counter(api_of(window.endpoint) for window in planned)
    sent = [sendings(budgets[api], count, now) for api, count in requests.items()]
    return Estimate(
        requests=len(planned),
        minutes=sum(window.minutes for window in planned),
        starts_at=min((instants[0] for instants in sent), default=now),
        finishes_at=max((instants[-1] for instants in sent), default=now),
    )


def sendings(budget: Budget, count: int, now: datetime) -> list[datetime]:
    """The earliest instants, from *now* on, at which *count* requests may be sent one by one."""
    counted = list(budget.ends)
    room = [(width + _INSTANT, allowed) for width, allowed in budget.room.items()]
    for _ in range(count):
        # Of a full window the oldest request must leave first.
        left = [counted[-allowed] + width for width, allowed in room if len(counted) >= allowed]
        counted.append(max([now, *left]))
    return counted[len(budget.ends) :]
