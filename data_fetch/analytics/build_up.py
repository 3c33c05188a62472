"""What traders did at each strike since a baseline: price and open interest taken together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from data_fetch.core.chain_numbers import Reason
from data_fetch.core.chains import Chain, ChainLeg, OptionType


class BuildUp(StrEnum):
    """Open interest that grows is built up, by buyers when the price rises with it; open
    interest that shrinks is closed, by sellers when the price rises."""

    LONG_BUILD_UP = "long_build_up"
    SHORT_BUILD_UP = "short_build_up"
    SHORT_COVERING = "short_covering"
    LONG_UNWINDING = "long_unwinding"
    UNCHANGED = "unchanged"


# By whether price and open interest rose.
KINDS = {
    (True, True): BuildUp.LONG_BUILD_UP,
    (False, True): BuildUp.SHORT_BUILD_UP,
    (True, False): BuildUp.SHORT_COVERING,
    (False, False): BuildUp.LONG_UNWINDING,
}


@dataclass(frozen=True, slots=True)
class Stand:
    """How a leg stood: its last price (rupees) and open interest (in the chain's unit)."""

    price: float | None
    oi: float | None


Baseline = Mapping[tuple[Decimal, OptionType], Stand]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegBuildUp:
    """What became of one leg; *kind* is None where *reason* says why."""

    leg: ChainLeg
    price_change: float | None
    oi_change: float | None
    kind: BuildUp | None
    reason: Reason | None


def previous_close(chain: Chain) -> Baseline:
    """The baseline that the provider tells along: yesterday's close and open interest."""
    return {leg.key: Stand(leg.prev_close, leg.prev_oi) for leg in chain.legs}


def standing(chain: Chain) -> Baseline:
    """An earlier chain of the same expiry and unit as a baseline."""
    return {leg.key: Stand(leg.ltp, leg.oi) for leg in chain.legs}


def build_up(chain: Chain, baseline: Baseline) -> list[LegBuildUp]:
    """One line a leg, in the chain's order."""
    return [_of_leg(leg, baseline.get(leg.key, Stand(None, None))) for leg in chain.legs]


def counts(found: Sequence[LegBuildUp]) -> dict[str, int]:
    """How many legs of each side did what: ``{"CE long_build_up": 12, ...}``."""
    kinds = Counter(
        f"{each.leg.option_type} {each.kind}" for each in found if each.kind is not None
    )
    return dict(sorted(kinds.items()))


def _of_leg(leg: ChainLeg, then: Stand) -> LegBuildUp:
    rise = None if leg.ltp is None or then.price is None else leg.ltp - then.price
    growth = None if leg.oi is None or then.oi is None else leg.oi - then.oi
    kind: BuildUp | None = None
    reason: Reason | None = None
    if rise is None or growth is None:
        reason = Reason.NO_PRICE if leg.ltp is None else Reason.NO_BASELINE
    elif rise == 0 or growth == 0:
        kind = BuildUp.UNCHANGED
    else:
        kind = KINDS[rise > 0, growth > 0]
    return LegBuildUp(leg=leg, price_change=rise, oi_change=growth, kind=kind, reason=reason)
