"""Build-up: the change of price and open interest of each leg since a baseline."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from data_fetch.analytics.columns import Bools, Floats, LegColumns, floats
from data_fetch.core.chains.chains import Chain, ChainLeg, OptionType
from data_fetch.core.chains.valuation import Reason


class BuildUp(StrEnum):
    """Growing open interest is a build-up: long if the price rises, short if it falls. Shrinking
    open interest is a closing: short covering if the price rises, long unwinding if it falls."""

    LONG_BUILD_UP = "long_build_up"
    SHORT_BUILD_UP = "short_build_up"
    SHORT_COVERING = "short_covering"
    LONG_UNWINDING = "long_unwinding"
    UNCHANGED = "unchanged"


KINDS = tuple(BuildUp)
NOT_KNOWN = -1
# The keys of `counts`, in the order of the codes of calls, then of puts.
COUNTED = tuple(f"{side} {kind}" if kind else "" for side in OptionType for kind in (None, *KINDS))


@dataclass(frozen=True, slots=True)
class BaselineLeg:
    """The last price (rupees) and open interest (in the chain's unit) of a leg at the baseline."""

    price: float | None
    oi: float | None


NO_BASELINE_LEG = BaselineLeg(None, None)

Baseline = Mapping[tuple[Decimal, OptionType], BaselineLeg]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegBuildUp:
    """The build-up of one leg; *kind* is None where there is a *reason*."""

    leg: ChainLeg
    price_change: float | None
    oi_change: float | None
    kind: BuildUp | None
    reason: Reason | None


def previous_close(chain: Chain) -> Baseline:
    """The baseline that the provider sends with a chain: previous close and open interest."""
    return {leg.key: BaselineLeg(leg.prev_close, leg.prev_oi) for leg in chain.legs}


def baseline_of(chain: Chain) -> Baseline:
    """The baseline of an earlier chain of the same expiry and unit."""
    return {leg.key: BaselineLeg(leg.ltp, leg.oi) for leg in chain.legs}


def build_up(chain: Chain, baseline: Baseline) -> list[LegBuildUp]:
    """The build-up of each leg, in the chain's order."""
    before = [baseline.get(leg.key, NO_BASELINE_LEG) for leg in chain.legs]
    rise = floats([leg.ltp for leg in chain.legs]) - floats([stand.price for stand in before])
    growth = floats([leg.oi for leg in chain.legs]) - floats([stand.oi for stand in before])
    codes = _kinds(rise, growth).tolist()
    return [
        LegBuildUp(
            leg=leg,
            price_change=None if np.isnan(price) else price,
            oi_change=None if np.isnan(oi) else oi,
            kind=None if code == NOT_KNOWN else KINDS[code],
            reason=_missing_reason(leg) if code == NOT_KNOWN else None,
        )
        for leg, price, oi, code in zip(
            chain.legs, rise.tolist(), growth.tolist(), codes, strict=True
        )
    ]


def counts(found: Sequence[LegBuildUp]) -> dict[str, int]:
    """The number of legs by side and kind: ``{"CE long_build_up": 12, ...}``."""
    codes = [NOT_KNOWN if each.kind is None else KINDS.index(each.kind) for each in found]
    is_call = [each.leg.option_type is OptionType.CALL for each in found]
    return _counted(np.array(is_call, dtype=bool), np.array(codes, dtype=np.intp))


def counts_since_previous_close(legs: LegColumns, chains: Iterable[slice]) -> list[dict[str, int]]:
    """`counts` against the previous close, for several *chains*, each a slice of *legs*."""
    kinds = _kinds(legs.last - legs.prev_close, legs.oi - legs.prev_oi)
    return [_counted(legs.is_call[rows], kinds[rows]) for rows in chains]


def _kinds(rise: Floats, growth: Floats) -> NDArray[np.intp]:
    """Positions in `KINDS` by the changes of price and open interest, or NOT_KNOWN."""
    return np.select(
        [
            np.isnan(rise) | np.isnan(growth),
            (rise == 0) | (growth == 0),
            (rise > 0) & (growth > 0),
            (rise < 0) & (growth > 0),
            rise > 0,
        ],
        [
            NOT_KNOWN,
            KINDS.index(BuildUp.UNCHANGED),
            KINDS.index(BuildUp.LONG_BUILD_UP),
            KINDS.index(BuildUp.SHORT_BUILD_UP),
            KINDS.index(BuildUp.SHORT_COVERING),
        ],
        default=KINDS.index(BuildUp.LONG_UNWINDING),
    )


def _counted(is_call: Bools, codes: NDArray[np.intp]) -> dict[str, int]:
    # NOT_KNOWN is first on either side, and is left out.
    places = codes - NOT_KNOWN + (1 + len(KINDS)) * ~is_call
    tally = np.bincount(places, minlength=len(COUNTED)).tolist()
    return {name: n for name, n in zip(COUNTED, tally, strict=True) if name and n}


def _missing_reason(leg: ChainLeg) -> Reason:
    if leg.ltp is None:
        return Reason.NO_PRICE
    return Reason.NO_OPEN_INTEREST if leg.oi is None else Reason.NO_BASELINE
