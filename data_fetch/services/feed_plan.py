"""Which keys the feed of a collector is to deliver, the most important first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from data_fetch.core.chains.polling import Target
from data_fetch.core.feed.modes import FeedLimits, Mode
from data_fetch.core.feed.plan import Group, Plan, near_the_money, plan_of
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.services.polling import PolledSymbol

# Options of one underlying where its configuration names no number of strikes.
USUAL_OPTIONS = 160
# A smaller move of the underlying leaves the chosen options as they are.
MOVED = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class _Choice:
    """The *options* near *spot* that were chosen for *target* on *day*."""

    target: Target
    day: date
    spot: Decimal
    options: Sequence[str]

    def holds(self, target: Target, day: date, spot: Decimal) -> bool:
        same = (self.target, self.day) == (target, day)
        return same and abs(spot - self.spot) <= MOVED * self.spot


class FeedPlanner:
    """Plans the *universe* whole, then options near the money: of indices, then of pinned symbols,
    then of the other ones that are polled.

    *sentinels* have to be in every plan. *polled* finds the polled symbols, *options* the listed
    options of an underlying on a day. An underlying without a last price has no options yet.
    """

    def __init__(
        self,
        *,
        sentinels: Sequence[str],
        universe: Sequence[Instrument],
        polled: Callable[[], Sequence[PolledSymbol]],
        options: Callable[[Instrument, date], Sequence[Instrument]],
        limits: FeedLimits,
    ) -> None:
        self._whole = [*sentinels, *(each.live_key for each in universe)]
        self._polled = polled
        self._options = options
        self._limits = limits
        self._choices: dict[str, _Choice] = {}

    def plan(self, day: date, prices: Mapping[str, float]) -> Plan:
        """The plan of *day* with the last *prices* of underlyings in rupees, by live key."""
        groups = [Group("universe", Mode.FULL, self._whole)]
        for each in sorted(self._polled(), key=_rank):
            price = prices.get(each.underlying.live_key)
            if price is not None:
                near = self._near(each.target, day, Decimal(str(price)))
                groups.append(Group(GROUPS[_rank(each)], Mode.OPTION_GREEKS, near))
        return plan_of(groups, self._limits)

    def _near(self, target: Target, day: date, spot: Decimal) -> Sequence[str]:
        key = target.underlying.live_key
        known = self._choices.get(key)
        if known is None or not known.holds(target, day, spot):
            listed = self._options(target.underlying, day)
            near = near_the_money(listed, spot, target.expiries, _most(target))
            known = self._choices[key] = _Choice(target, day, spot, near)
        return known.options


GROUPS = ("index chains", "pinned chains", "other chains")


def _rank(polled: PolledSymbol) -> int:
    if polled.underlying.segment == "NSE_INDEX":
        return 0
    return 1 if polled.config.pinned else 2


def _most(target: Target) -> int:
    """Calls and puts of the strikes on both sides and at the money, of each expiry."""
    if target.strikes is None:
        return USUAL_OPTIONS
    return 2 * (2 * target.strikes + 1) * target.expiries
