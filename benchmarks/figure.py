"""One measured figure and the bound it is held to."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Figure:
    """*value* is at most *bound*; no bound means orientation only."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    detail: str = ""

    @property
    def kept(self) -> bool:
        return self.bound is None or self.value <= self.bound

    def cells(self) -> tuple[str, str, str, str, str]:
        bound = "" if self.bound is None else f"<= {self.bound:g} {self.unit}"
        verdict = "" if self.bound is None else ("yes" if self.kept else "NO")
        return self.name, f"{self.value:.2f} {self.unit}", bound, verdict, self.detail


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = perf_counter()
    work()
    return perf_counter() - began


def interleaved(
    ours: Callable[[], object], bare: Callable[[], object], rounds: int
) -> tuple[float, float, float]:
    """Median seconds of both, and the median of the ratios round by round.

    Taken in turn, so that a busy neighbour slows both.
    """
    pairs = [(seconds(ours), seconds(bare)) for _ in range(rounds)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    return (
        statistics.median(mine for mine, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        ratio,
    )
