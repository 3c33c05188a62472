"""One measured figure and the bound it is held to."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Figure:
    """*value* is at most *bound* and at least *least*; neither means orientation only."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    detail: str = ""
    least: float | None = None

    @property
    def kept(self) -> bool:
        low_enough = self.bound is None or self.value <= self.bound
        return low_enough and (self.least is None or self.value >= self.least)

    def cells(self) -> tuple[str, str, str, str, str]:
        limits = (("<=", self.bound), (">=", self.least))
        bounds = [f"{sign} {limit:g} {self.unit}" for sign, limit in limits if limit is not None]
        verdict = ("yes" if self.kept else "NO") if bounds else ""
        return self.name, f"{self.value:.2f} {self.unit}", ", ".join(bounds), verdict, self.detail


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = perf_counter()
    work()
    return perf_counter() - began


def nothing() -> None:
    """Prepares nothing."""


def interleaved(
    ours: Callable[[], object],
    bare: Callable[[], object],
    rounds: int,
    prepare: Callable[[], object] = nothing,
) -> tuple[float, float, float]:
    """Median seconds of both, and the median of the ratios round by round.

    Taken in turn, so that a busy neighbour slows both; *prepare* goes before each, untimed.
    """

    def prepared(work: Callable[[], object]) -> float:
        prepare()
        return seconds(work)

    pairs = [(prepared(ours), prepared(bare)) for _ in range(rounds)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    return (
        statistics.median(mine for mine, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        ratio,
    )
