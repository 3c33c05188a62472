"""How high an implied volatility is among those of earlier days."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """The *percentile* is the share of *days* with a lower volatility, in percent. The *rank* is
    the place between the lowest day (0) and the highest (100); None where all are equal."""

    days: int
    percentile: float
    rank: float | None


def standing(now: float, earlier: Sequence[float]) -> Standing | None:
    """The standing of *now* among the volatilities of *earlier* days; None without any."""
    if not earlier:
        return None
    lowest, highest = min(earlier), max(earlier)
    spread = highest - lowest
    return Standing(
        days=len(earlier),
        percentile=100 * sum(each < now for each in earlier) / len(earlier),
        rank=100 * min(1.0, max(0.0, (now - lowest) / spread)) if spread else None,
    )
