"""How often each chain can be polled, and which one is due. Pure; nothing here waits.

A provider's rate windows allow a steady number of requests a second. Indices and pinned
symbols get the cadence they wish for first; what is left is shared by the others, all
stretched by the same factor.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Of the steady rate: the rest is for repeated requests and for one-off commands beside a
# running collector.
USED_SHARE = 0.9
# Of that, so that a wish for too much up front leaves the others something.
KEPT_FOR_OTHERS = 0.1
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PollRequest:
    """A symbol to poll: *requests* each time, every *seconds*; *first* is served first."""

    symbol: str
    seconds: float
    requests: int
    first: bool


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a symbol is polled: as *wished*, and as it is *planned* (seconds)."""

    symbol: str
    wished: float
    planned: float

    @property
    def stretched(self) -> bool:
        return self.planned > self.wished


@dataclass(frozen=True, slots=True, kw_only=True)
class PollingPlan:
    """What can be had: *wished* and *budget* are requests a minute."""

    cadences: tuple[Cadence, ...]
    wished: float
    budget: float

    @property
    def feasible(self) -> bool:
        return not any(cadence.stretched for cadence in self.cadences)

    def of(self, symbol: str) -> Cadence | None:
        return next((each for each in self.cadences if each.symbol == symbol), None)


def steady_rate(limits: Mapping[timedelta, int]) -> float:
    """Requests a second that can be kept up for ever within sliding windows *limits*."""
    return min(count / window.total_seconds() for window, count in limits.items())


def plan_polling(wishes: Sequence[PollRequest], limits: Mapping[timedelta, int]) -> PollingPlan:
    """The cadence of each wish under *limits*; none is polled more often than it wishes."""
    budget = USED_SHARE * steady_rate(limits)
    first = [wish for wish in wishes if wish.first]
    others = [wish for wish in wishes if not wish.first]
    for_first = budget * (1 - KEPT_FOR_OTHERS) if others else budget
    by_first = _stretch(first, for_first)
    left = budget - _load(first) / by_first
    by_others = _stretch(others, left)
    return PollingPlan(
        cadences=tuple(
            Cadence(
                wish.symbol, wish.seconds, wish.seconds * (by_first if wish.first else by_others)
            )
            for wish in wishes
        ),
        wished=60 * _load(wishes),
        budget=60 * budget,
    )


def _load(wishes: Iterable[PollRequest]) -> float:
    """Requests a second."""
    return sum(wish.requests / wish.seconds for wish in wishes)


def _stretch(wishes: Sequence[PollRequest], rate: float) -> float:
    return max(1.0, _load(wishes) / rate) if wishes else 1.0


class PollQueue:
    """Whose turn it is. A symbol that is at work, or was polled less than its cadence ago, is
    not due; a new one is due at once, and one that fell behind does not catch up."""

    def __init__(self) -> None:
        self._plan = PollingPlan(cadences=(), wished=0, budget=0)
        self._last_beats: dict[str, datetime] = {}
        self._at_work: set[str] = set()

    def follow(self, plan: PollingPlan) -> None:
        """Poll as *plan* has it from now on, which counts for turns that are awaited as well;
        symbols that it lacks are not polled any more."""
        self._plan = plan
        listed = {cadence.symbol for cadence in plan.cadences}
        self._last_beats = {name: at for name, at in self._last_beats.items() if name in listed}

    def take(self, now: datetime) -> str | None:
        """The symbol that has been due for longest, to be given back with `done`."""
        due = [
            (due_at, number, each)
            for number, each in enumerate(self._plan.cadences)
            if each.symbol not in self._at_work and (due_at := self._due_at(each)) <= now
        ]
        if not due:
            return None
        due_at, _, cadence = min(due, key=lambda one: one[:2])
        self._at_work.add(cadence.symbol)
        # On the beat, unless the next one has come already.
        in_time = now - due_at < timedelta(seconds=cadence.planned)
        self._last_beats[cadence.symbol] = due_at if in_time else now
        return cadence.symbol

    def done(self, symbol: str) -> None:
        self._at_work.discard(symbol)

    def _due_at(self, cadence: Cadence) -> datetime:
        last = self._last_beats.get(cadence.symbol)
        return LONG_AGO if last is None else last + timedelta(seconds=cadence.planned)
