"""The bars of a chart that no candle fills: one for every expected bar without a minute."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from data_fetch.core.candles.coverage import GAPS, DayCoverage, State
from data_fetch.core.spans import Span, Spans

# Of a bar's minutes the gravest says what is to be done.
GRAVEST_FIRST = (
    State.MISSED,
    State.PENDING,
    State.UNKNOWN_INSTRUMENT,
    State.SOURCE_EMPTY,
    State.NO_TRADE,
)


@dataclass(frozen=True, slots=True)
class BlankBar:
    """The bar from *start* to *end* (not included), minutes since 1970 UTC, without a candle for
    this *cause*."""

    start: int
    end: int
    cause: State


def bars_in(windows: Spans, size: int) -> Iterator[Span]:
    """The bars of *size* minutes in *windows*: they begin at each opening, the last is shorter."""
    for first, end in windows:
        for start in range(first, end, size):
            yield start, min(start + size, end)


def count_bars(windows: Spans, size: int) -> int:
    """How many `bars_in` gives."""
    return sum(-(-(end - first) // size) for first, end in windows)


def blank_bars(
    day: DayCoverage, windows: Spans, size: int, filled: Collection[int]
) -> list[BlankBar]:
    """The bars of *day* that are expected and not among *filled*, starts in minutes since 1970."""
    gaps = [one for one in day.intervals if one.state in GAPS]
    if not gaps:
        return []
    found = []
    for start, end in bars_in(windows, size):
        causes = {one.state for one in gaps if one.first < end and start < one.end}
        if causes and start not in filled:
            cause = next(state for state in GRAVEST_FIRST if state in causes)
            found.append(BlankBar(start, end, cause))
    return found
