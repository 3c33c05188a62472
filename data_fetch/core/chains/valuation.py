"""What is worked out from a chain: prices into volatilities and Greeks, and one line about it.

A number that could not be had is None and comes with its reason; never NaN, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from data_fetch.core.chains.chains import Chain


class Reason(StrEnum):
    """Why a leg, or a figure of a chain, has no number."""

    NO_PRICE = "no_price"
    STALE_PRICE = "stale_price"
    WIDE_QUOTE = "wide_quote"
    BELOW_INTRINSIC = "below_intrinsic"
    ABOVE_MAXIMUM = "above_maximum"
    EXPIRED = "expired"
    NO_CAPTURE_TIME = "no_capture_time"
    NO_FORWARD = "no_forward"
    NO_OPEN_INTEREST = "no_open_interest"
    NO_VOLUME = "no_volume"
    NO_BASELINE = "no_baseline"
    LOT_UNKNOWN = "lot_unknown"
    REJECTED = "rejected"


class ForwardMethod(StrEnum):
    """Where a forward is from."""

    PARITY = "parity"
    PARITY_OF_ONE = "parity_of_one"
    SPOT_CARRIED = "spot_carried"


class LegValuation(NamedTuple):
    """What one leg is worth in numbers. *price* is the one that was used, rupees.

    *iv* is a fraction; theta per calendar day, vega per volatility point, rho per rate point.
    Either all of iv and the Greeks are there, or none is and *reason* says why.
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
        """Nothing at all, for that *reason*."""
        return cls(None, None, None, None, None, None, None, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """The forward of an expiry. *strikes* is how many agreed on it, *spread* how far apart
    (rupees, half of the range that holds the middle half) their answers lay."""

    value: float | None
    method: ForwardMethod | None
    strikes: int
    spread: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedChain:
    """A chain and its numbers, leg for leg in the chain's order.

    *priced_at* is the instant the prices are of (None: nobody knows), *expires_at* the close
    of the expiry, *provisional* when nobody reviewed that date. *rate* is per year.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure of a chain, from *used* of the *of* legs that it could have used."""

    value: float | None
    used: int
    of: int
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSummary:
    """The figures of a priced chain, by name.

    *age_seconds* is how old the chain's prices were when they were received; None when the
    provider does not stamp them.
    """

    priced: PricedChain
    age_seconds: float | None
    metrics: Mapping[str, Metric]
    build_up: Mapping[str, int]
