"""Which keys are subscribed in which mode, and what to send when that changes. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import chain

from data_fetch.core.feed.modes import FeedLimits, Mode
from data_fetch.core.instruments.instrument import Instrument

# A request of so many contract keys has about 8 kB.
KEYS_IN_A_REQUEST = 500


@dataclass(frozen=True, slots=True)
class Group:
    """Keys that are wanted in one mode, the most important first."""

    name: str
    mode: Mode
    keys: Sequence[str]


@dataclass(frozen=True)
class Plan:
    """The mode of each subscribed key; *left_out* are those without room, by group."""

    modes: Mapping[str, Mode] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self.modes)


EMPTY_PLAN = Plan()


def plan_of(groups: Sequence[Group], limits: FeedLimits) -> Plan:
    """The keys of *groups* that have room within *limits*; earlier groups come first.

    A key of several groups has the place of its first group and the richest mode of all. The
    limits of a mixed connection apply when more than one mode is used.
    """
    wanted = _richest(groups)
    used = set(wanted.values())
    room = Counter(dict(limits.alone if len(used) == 1 else limits.mixed))
    modes: dict[str, Mode] = {}
    for key, mode in wanted.items():
        if room[mode] > 0:
            room[mode] -= 1
            modes[key] = mode
    left_out: dict[str, list[str]] = {}
    for group in groups:
        if left := [key for key in group.keys if key not in modes]:
            left_out.setdefault(group.name, []).extend(left)
    return Plan(modes, left_out)


def _richest(groups: Iterable[Group]) -> dict[str, Mode]:
    wanted: dict[str, Mode] = {}
    for group in groups:
        for key in group.keys:
            known = wanted.get(key, group.mode)
            wanted[key] = max(known, group.mode, key=lambda mode: mode.richness)
    return wanted


def near_the_money(
    contracts: Iterable[Instrument], spot: Decimal, expiries: int, most: int
) -> list[str]:
    """The live keys of at most *most* options of one underlying, the nearest to *spot* first.

    Of the *expiries* nearest expiries; at one distance the nearer expiry and the call are first.
    """
    options = [each for each in contracts if each.strike is not None and each.expiry is not None]
    listed: list[date] = sorted({each.expiry for each in options if each.expiry is not None})
    chosen = set(listed[:expiries])

    def distance(option: Instrument) -> tuple[Decimal, date, str]:
        assert option.strike is not None
        assert option.expiry is not None
        return abs(option.strike - spot), option.expiry, option.instrument_type

    near = sorted((each for each in options if each.expiry in chosen), key=distance)
    return [each.live_key for each in near[:most]]


class Method(StrEnum):
    """What a request to the feed does."""

    SUBSCRIBE = "sub"
    UNSUBSCRIBE = "unsub"
    CHANGE_MODE = "change_mode"


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the feed. *mode* is None where its method has none."""

    method: Method
    mode: Mode | None
    keys: tuple[str, ...]


def changes(before: Plan, after: Plan, most: int = KEYS_IN_A_REQUEST) -> list[Request]:
    """The requests that turn *before* into *after*, of at most *most* keys each.

    What makes room comes first: no limit that both plans keep is exceeded between them.
    """
    gone = [key for key in before.modes if key not in after.modes]
    fewer: list[str] = []
    more: list[str] = []
    new: list[str] = []
    for key, mode in after.modes.items():
        known = before.modes.get(key)
        if known is None:
            new.append(key)
        elif known is not mode:
            (fewer if mode.richness < known.richness else more).append(key)
    return list(
        chain(
            _requests(Method.UNSUBSCRIBE, None, gone, most),
            _by_mode(Method.CHANGE_MODE, after, fewer, most),
            _by_mode(Method.CHANGE_MODE, after, more, most),
            _by_mode(Method.SUBSCRIBE, after, new, most),
        )
    )


def subscriptions(modes: Mapping[str, Mode], most: int = KEYS_IN_A_REQUEST) -> list[Request]:
    """The requests that subscribe *modes*."""
    return changes(EMPTY_PLAN, Plan(modes), most)


def mode_changes(modes: Mapping[str, Mode], most: int = KEYS_IN_A_REQUEST) -> list[Request]:
    """The requests that change subscribed keys to *modes*."""
    return list(_by_mode(Method.CHANGE_MODE, Plan(modes), list(modes), most))


def _by_mode(method: Method, plan: Plan, keys: Sequence[str], most: int) -> Iterator[Request]:
    for mode in Mode:
        yield from _requests(method, mode, [key for key in keys if plan.modes[key] is mode], most)


def _requests(
    method: Method, mode: Mode | None, keys: Sequence[str], most: int
) -> Iterator[Request]:
    for first in range(0, len(keys), most):
        yield Request(method, mode, tuple(keys[first : first + most]))
