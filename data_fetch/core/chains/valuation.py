"""Computed values of a chain: volatilities, Greeks, and its summary.

A value that cannot be computed is None and has a reason; it is never NaN and never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from data_fetch.core.chains.chains import Chain


class Reason(StrEnum):
    """Why a leg, or a metric of a chain, has no value."""

    NOT_PRICED_YET = "not_priced_yet"
    NO_PRICE = "no_price"
    STALE_PRICE = "stale_price"
    CROSSED_BOOK = "crossed_book"
    ONE_SIDED_BOOK = "one_sided_book"
    WIDE_QUOTE = "wide_quote"
    BELOW_INTRINSIC = "below_intrinsic"
    ABOVE_MAXIMUM = "above_maximum"
    EXPIRED = "expired"
    NO_CAPTURE_TIME = "no_capture_time"
    NO_FORWARD = "no_forward"
    OUTSIDE_STRIKES = "outside_strikes"
    NO_OPEN_INTEREST = "no_open_interest"
    NO_VOLUME = "no_volume"
    NO_CALLS = "no_calls"
    NO_BASELINE = "no_baseline"
    LOT_UNKNOWN = "lot_unknown"
    REJECTED = "rejected"


# The convention of a chain that was stored as it was received: a worker will price it.
NOT_PRICED = "none"


class ForwardMethod(StrEnum):
    """How a forward was computed."""

    PARITY = "parity"
    PARITY_OF_ONE = "parity_of_one"
    SPOT_CARRIED = "spot_carried"


class LegValuation(NamedTuple):
    """The valuation of one leg. *price* is the price that was used, in rupees.

    *iv* is a fraction; theta per calendar day, vega per volatility point, rho per rate point.
    Either iv and all Greeks have a value, or none has and *reason* is why.
    """

    price: float | None
    iv: float | None
    delta: float | None
    gamma: float | None
    theta: float | None
    vega: float | None
    rho: float | None
    reason: Reason | None

    @classmethod
    def none(cls, reason: Reason) -> "LegValuation":
        """A valuation without values, for that *reason*."""
        return cls(None, None, None, None, None, None, None, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """The forward of an expiry. *strikes* is the number of strikes it was computed from,
    *spread* half the interquartile range of their forwards (rupees)."""

    value: float | None
    method: ForwardMethod | None
    strikes: int
    spread: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedChain:
    """A chain and its valuation, leg for leg in the chain's order.

    *priced_at* is the instant of the prices (None: unknown), *expires_at* the close of the
    expiry, *provisional* if that date is not reviewed. *rate* is per year.
    """

    chain: Chain
    convention: str
    priced_at: datetime | None
    expires_at: datetime
    provisional: bool
    years: float | None
    rate: float
    forward: Forward
    numbers: tuple[LegValuation, ...]

    @property
    def obstacle(self) -> Reason | None:
        """The reason why no leg has a volatility; None where they can have one."""
        if self.convention == NOT_PRICED:
            return Reason.NOT_PRICED_YET
        return obstacle_to_pricing(self.years, self.forward)


def obstacle_to_pricing(years: float | None, forward: Forward) -> Reason | None:
    """Why a chain with *years* to its expiry and this *forward* cannot be priced, if so."""
    if years is None:
        return Reason.NO_CAPTURE_TIME
    if years <= 0:
        return Reason.EXPIRED
    return Reason.NO_FORWARD if forward.value is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of a chain, computed from *used* of the *of* legs that it could use."""

    value: float | None
    used: int
    of: int
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSummary:
    """The metrics of a priced chain, by name.

    *age_seconds* is the age of the chain's prices when they were received; None when the
    provider does not send a timestamp.
    """

    priced: PricedChain
    age_seconds: float | None
    metrics: Mapping[str, Metric]
    build_up: Mapping[str, int]
