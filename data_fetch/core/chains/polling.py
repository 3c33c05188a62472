"""How often each chain can be polled, and which one is due. Pure; nothing here waits.

A provider's rate limits allow a steady number of requests a second. Indices and pinned symbols
are polled at their requested interval first; the rest of the budget is shared by the others,
whose intervals are all multiplied by the same factor.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from data_fetch.core.instruments.instrument import Instrument

# Of the steady rate: the rest is for repeated requests and for one-off commands beside a
# running collector.
USED_SHARE = 0.9
# Of that, so that priority symbols with too short an interval leave something for the others.
SHARE_OF_OTHERS = 0.1
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PollRequest:
    """A symbol to poll with *requests* each time, every *requested_interval* seconds.

    Symbols with *priority* get their share of the budget first.
    """

    symbol: str
    requested_interval: float
    requests: int
    priority: bool


@dataclass(frozen=True, slots=True)
class Target:
    """The chains to poll of one underlying: how many *expiries*, nearest first, or the one of
    *expiry* alone; and how many *strikes* on each side of the money (None: all)."""

    underlying: Instrument
    expiries: int = 1
    strikes: int | None = None
    expiry: date | None = None


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """What one source allows: requests in sliding *windows*, and so many polls *at_once*."""

    windows: Mapping[timedelta, int]
    at_once: int


@dataclass(frozen=True, slots=True)
class Cadence:
    """The interval at which a symbol is polled (seconds): as requested, and as planned.

    Of several symbols that are due, those with *priority* are polled first.
    """

    symbol: str
    requested_interval: float
    planned_interval: float
    priority: bool

    @property
    def slowed(self) -> bool:
        """Whether the budget does not allow the requested interval."""
        return self.planned_interval > self.requested_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PollingPlan:
    """The cadence of each symbol; *requested* and *budget* are requests a minute."""

    cadences: tuple[Cadence, ...]
    requested: float
    budget: float

    @property
    def feasible(self) -> bool:
        """Whether every symbol is polled at its requested interval."""
        return not any(cadence.slowed for cadence in self.cadences)

    def of(self, symbol: str) -> Cadence | None:
        """The cadence of *symbol*; None if it is not polled."""
        return next((each for each in self.cadences if each.symbol == symbol), None)


NOTHING_POLLED = PollingPlan(cadences=(), requested=0, budget=0)


def steady_rate(limits: Mapping[timedelta, int]) -> float:
    """Requests a second that stay within the sliding windows *limits* at all times."""
    return min(count / window.total_seconds() for window, count in limits.items())


def plan_polling(
    poll_requests: Sequence[PollRequest], limits: Mapping[timedelta, int]
) -> PollingPlan:
    """The cadence of each symbol under *limits*, never faster than requested."""
    budget = USED_SHARE * steady_rate(limits)
    first = [each for each in poll_requests if each.priority]
    others = [each for each in poll_requests if not each.priority]
    for_first = budget * (1 - SHARE_OF_OTHERS) if others else budget
    by_first = _factor(first, for_first)
    by_others = _factor(others, budget - _load(first) / by_first)
    return PollingPlan(
        cadences=tuple(
            Cadence(
                each.symbol,
                each.requested_interval,
                each.requested_interval * (by_first if each.priority else by_others),
                each.priority,
            )
            for each in poll_requests
        ),
        requested=60 * _load(poll_requests),
        budget=60 * budget,
    )


def _load(poll_requests: Iterable[PollRequest]) -> float:
    """Requests a second."""
    return sum(each.requests / each.requested_interval for each in poll_requests)


def _factor(poll_requests: Sequence[PollRequest], rate: float) -> float:
    """The factor for the intervals of *poll_requests* that keeps them within *rate*."""
    return max(1.0, _load(poll_requests) / rate) if poll_requests else 1.0


class PollQueue:
    """The order of polls. A symbol whose poll is in progress, or began less than its interval
    ago, is not due; a new symbol is due at once, and polls that were missed are not repeated."""

    def __init__(self) -> None:
        self._plan = NOTHING_POLLED
        self._last_ticks: dict[str, datetime] = {}
        self._in_progress: set[str] = set()

    def follow(self, plan: PollingPlan) -> None:
        """Use *plan* from now on, for polls that are already waiting as well; symbols that it
        lacks are not polled any more."""
        self._plan = plan
        listed = {cadence.symbol for cadence in plan.cadences}
        self._last_ticks = {name: at for name, at in self._last_ticks.items() if name in listed}

    def take(self, now: datetime) -> str | None:
        """The symbol to poll now, None if none is due. Call `done` after it.

        Symbols with priority come first, then the one that has been due for longest.
        """
        due = [
            (not each.priority, due_at, number, each)
            for number, each in enumerate(self._plan.cadences)
            if each.symbol not in self._in_progress and (due_at := self._due_at(each)) <= now
        ]
        if not due:
            return None
        _, due_at, _, cadence = min(due, key=lambda one: one[:3])
        self._in_progress.add(cadence.symbol)
        # The next tick is counted from this one, unless that is over already.
        in_time = now - due_at < timedelta(seconds=cadence.planned_interval)
        self._last_ticks[cadence.symbol] = due_at if in_time else now
        return cadence.symbol

    def forget_ticks(self) -> None:
        """Every symbol is due: the clock was set back behind its last poll."""
        self._last_ticks.clear()

    def done(self, symbol: str) -> None:
        """The poll of *symbol* is over."""
        self._in_progress.discard(symbol)

    def _due_at(self, cadence: Cadence) -> datetime:
        last = self._last_ticks.get(cadence.symbol)
        return LONG_AGO if last is None else last + timedelta(seconds=cadence.planned_interval)
