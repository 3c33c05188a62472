"""Plans the fewest requests for the days that lack candles, and estimates their time. Pure.

One request covers one instrument and a range of whole days. The source decides which endpoint
serves a day, and how many days a request to it may span.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from data_fetch.core.candles.candles import CandleInterval, InstrumentDays
from data_fetch.core.instruments.instrument import Instrument

# When a contract has expired, its history moves from the live endpoints to one that not every
# account may use. A week leaves time for attempts that fail.
EXPIRES_SOON = timedelta(days=7)

# The provider counts both ends of a sliding window: a request leaves it one instant later.
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class CandleEndpoint:
    """An endpoint that serves candles, as the source describes it.

    *api* is the API whose budget its requests use, *longest_window* the number of days that
    one request may span. *is_final*: its candles are from the provider's history.
    *expired_contracts*: it serves expired contracts only, and an account may lack access to it.
    """

    name: str
    api: str
    longest_window: Mapping[CandleInterval, int] = field(compare=False, repr=False)
    is_final: bool = True
    expired_contracts: bool = False

    def __str__(self) -> str:
        return self.name


# The endpoint that serves a day of an instrument, on the date in India that is given last.
EndpointFor = Callable[[Instrument, date, date], CandleEndpoint]


@dataclass(frozen=True, slots=True)
class Need:
    """A day of an instrument for which a request could bring *minutes* of candles."""

    instrument: Instrument
    day: date
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(InstrumentDays):
    """The days of one request. *minutes* counts those it is for.

    Days without such minutes may lie between its first and its last.
    """

    endpoint: CandleEndpoint
    minutes: int

    def halves(self) -> tuple["Window", "Window"]:
        """The same days as two windows, the newer first, for a provider that refuses so many days.

        The minutes are assumed to be spread evenly. Raises ValueError for a single day.
        """
        if self.days == 1:
            raise ValueError(f"{self.instrument.instrument_key}: {self.last} is a single day")
        newer_days = self.days // 2
        middle = self.last - timedelta(days=newer_days - 1)
        minutes = self.minutes * newer_days // self.days
        newer = replace(self, first=middle, minutes=minutes)
        older = replace(self, last=middle - timedelta(days=1), minutes=self.minutes - minutes)
        return newer, older


def plan_windows(
    needs: Iterable[Need], interval: CandleInterval, today: date, endpoint_for: EndpointFor
) -> list[Window]:
    """The fewest requests that cover *needs*, in the order in which to send them.

    *today* is the date in India. Contracts about to expire come first, then the newest days of
    all instruments, instruments in the order of *needs*. Raises ValueError for a need later
    than *today*.
    """
    by_instrument: defaultdict[str, list[Need]] = defaultdict(list)
    for need in needs:
        by_instrument[need.instrument.instrument_key].append(need)
    planned = [
        _window(endpoint, group, interval)
        for own in by_instrument.values()
        for endpoint, group in _groups(own, interval, today, endpoint_for)
    ]
    return sorted(planned, key=lambda window: _rank(window, today))


def _groups(
    needs: Sequence[Need], interval: CandleInterval, today: date, endpoint_for: EndpointFor
) -> list[tuple[CandleEndpoint, list[Need]]]:
    """The needs of one instrument by the window that serves them, newest first.

    The newest need must be in some window, and of the windows with it the one that ends with it
    reaches furthest back: so windows are filled from the newest day on.
    """
    groups: list[tuple[CandleEndpoint, list[Need]]] = []
    for need in sorted(needs, key=lambda need: need.day, reverse=True):
        if need.day > today:
            raise ValueError(f"{need.instrument.instrument_key}: {need.day} is in the future")
        endpoint = endpoint_for(need.instrument, need.day, today)
        reach = timedelta(days=endpoint.longest_window[interval] - 1)
        if groups and groups[-1][0] == endpoint and groups[-1][1][0].day - need.day <= reach:
            groups[-1][1].append(need)
        else:
            groups.append((endpoint, [need]))
    return groups


def _window(endpoint: CandleEndpoint, needs: Sequence[Need], interval: CandleInterval) -> Window:
    """The window of *needs*, which are newest first."""
    return Window(
        instrument=needs[0].instrument,
        interval=interval,
        endpoint=endpoint,
        first=needs[-1].day,
        last=needs[0].day,
        minutes=sum(need.minutes for need in needs),
    )


def _rank(window: Window, today: date) -> tuple[date, timedelta]:
    expiry = window.instrument.expiry or date.max
    urgent = expiry <= today + EXPIRES_SOON and not window.endpoint.expired_contracts
    return expiry if urgent else date.max, today - window.last


@dataclass(frozen=True, slots=True)
class Budget:
    """The requests that one API still accepts.

    *limits*: how many requests are allowed in a sliding window of each width. *ends*: the
    instants from which the requests already sent count, ascending. *reserved*: how many of a
    window are reserved for live quotes. Raises ValueError when nothing is left.
    """

    limits: Mapping[timedelta, int]
    ends: Sequence[datetime] = ()
    reserved: Mapping[timedelta, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(allowed < 1 for allowed in self.allowed.values()):
            raise ValueError(f"nothing is left of {self.limits} after {self.reserved}")

    @property
    def allowed(self) -> dict[timedelta, int]:
        """How many requests each window allows besides those reserved."""
        return {width: limit - self.reserved.get(width, 0) for width, limit in self.limits.items()}


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of a plan: *requests* for so many *minutes*, sent between two instants."""

    requests: int
    minutes: int
    starts_at: datetime
    finishes_at: datetime

    @property
    def duration(self) -> timedelta:
        """The time from the first request to the last."""
        return self.finishes_at - self.starts_at


def estimate(planned: Sequence[Window], budgets: Mapping[str, Budget], now: datetime) -> Estimate:
    """The cost of the windows of *planned* when every request is sent as early as allowed.

    *budgets* holds one for every API that is needed; the APIs run side by side.
    Responses are assumed to arrive at once. An empty plan starts and finishes *now*.
    """
    requests = Counter(window.endpoint.api for window in planned)
    sent = [send_times(budgets[api], count, now) for api, count in requests.items()]
    return Estimate(
        requests=len(planned),
        minutes=sum(window.minutes for window in planned),
        starts_at=min((instants[0] for instants in sent), default=now),
        finishes_at=max((instants[-1] for instants in sent), default=now),
    )


def send_times(budget: Budget, count: int, now: datetime) -> list[datetime]:
    """The earliest instants, from *now* on, at which *count* requests may be sent one by one."""
    counted = list(budget.ends)
    limits = [(width + _INSTANT, allowed) for width, allowed in budget.allowed.items()]
    for _ in range(count):
        # The oldest request must leave a full window first.
        earliest = [
            counted[-allowed] + width for width, allowed in limits if len(counted) >= allowed
        ]
        counted.append(max([now, *earliest]))
    return counted[len(budget.ends) :]
