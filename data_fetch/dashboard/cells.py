"""Days and minutes as cells of a grid: what each lacks, in a short text that a browser draws.

The text of a grid has its cells one after another, row by row. A cell begins with the capital of
its worst state; NONE is a cell without anything expected. `M` is wholly missed, `P` wholly
present; `M5n12` lacks five missed minutes and twelve without trades, and the rest is present;
`M5/360` lacks five of 360, where the other cells of its column expect another number.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time

from data_fetch.core.candles.coverage import DayCoverage, State
from data_fetch.core.candles.day_counts import DayCounts
from data_fetch.core.clock import IST
from data_fetch.core.market.session import instant_of
from data_fetch.reading.coverage_days import CoverageGrid

NONE = "-"
# From the worst to the best: the order of the legend, and of the parts of a cell.
CODES: Mapping[State, str] = {
    State.MISSED: "M",
    State.PENDING: "W",
    State.UNKNOWN_INSTRUMENT: "U",
    State.SOURCE_EMPTY: "E",
    State.NO_TRADE: "N",
    State.PRESENT: "P",
    State.NOT_EXPECTED: "X",
}
NAMES: Mapping[State, str] = {
    State.MISSED: "missed",
    State.PENDING: "still to come",
    State.UNKNOWN_INSTRUMENT: "unknown to the provider",
    State.SOURCE_EMPTY: "empty at the provider",
    State.NO_TRADE: "without trades",
    State.PRESENT: "present",
    State.NOT_EXPECTED: "not expected",
}
# Readable on a light and on a dark ground, and apart for most who confuse red and green.
COLOURS: Mapping[State, str] = {
    State.MISSED: "#d62839",
    State.PENDING: "#3a86d8",
    State.UNKNOWN_INSTRUMENT: "#8f5fd0",
    State.SOURCE_EMPTY: "#e8871e",
    State.NO_TRADE: "#c9b458",
    State.PRESENT: "#3d9970",
    State.NOT_EXPECTED: "#8a8f98",
}
LACKING = (
    State.MISSED,
    State.PENDING,
    State.UNKNOWN_INSTRUMENT,
    State.SOURCE_EMPTY,
    State.NO_TRADE,
)
MINUTES_OF_HOUR = 60
# In a hundred per cent.
HUNDREDTHS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A grid to draw: the names of its *rows* and *columns*, its cells as *text*, and how many
    minutes the cells of each column usually expect. A cell is named by its row and its column,
    with *joint* between them; *newest_last*: the last column is seen first."""

    rows: Sequence[str]
    columns: Sequence[str]
    text: str
    expected: Sequence[int]
    joint: str
    newest_last: bool


def cell(counts: DayCounts | None, usual: int) -> str:
    """The text of a day that expects *usual* minutes unless it says otherwise; of None: NONE."""
    if counts is None:
        return NONE
    if not counts.expected:
        return CODES[State.NOT_EXPECTED] if counts.not_expected else NONE
    lacking = [(state, minutes) for state in LACKING if (minutes := getattr(counts, state.value))]
    of = "" if counts.expected == usual else f"/{counts.expected}"
    if lacking and lacking[0][1] == counts.expected:
        return CODES[lacking[0][0]] + of
    parts = [f"{CODES[state].lower()}{minutes}" for state, minutes in lacking]
    worst, *others = parts or [CODES[State.PRESENT]]
    return "".join((worst.upper(), *others, of))


def day_cells(grid: CoverageGrid) -> Cells:
    """Instruments by days. A date on which nothing trades has no column."""
    days = sorted({day.date for row in grid.rows for day in row.days})
    by_row = [{day.date: day.counts for day in row.days} for row in grid.rows]
    expected = [_usual(counts[day] for counts in by_row if day in counts) for day in days]
    return Cells(
        rows=[row.instrument.symbol for row in grid.rows],
        columns=[day.isoformat() for day in days],
        text="".join(
            cell(counts.get(day), usual)
            for counts in by_row
            for day, usual in zip(days, expected, strict=True)
        ),
        expected=expected,
        joint=" · ",
        newest_last=True,
    )


def minute_cells(day: DayCoverage) -> Cells:
    """The minutes of a day: hours of India by minutes of the hour."""
    states = minute_states(day)
    hours = range(min(states).hour, max(states).hour + 1) if states else range(0)
    return Cells(
        rows=[f"{hour:02}" for hour in hours],
        columns=[f"{minute:02}" for minute in range(MINUTES_OF_HOUR)],
        text="".join(
            CODES[state] if (state := states.get(time(hour, minute))) else NONE
            for hour in hours
            for minute in range(MINUTES_OF_HOUR)
        ),
        expected=[1] * MINUTES_OF_HOUR,
        joint=":",
        newest_last=False,
    )


def minute_states(day: DayCoverage) -> dict[time, State]:
    """The state of each minute of *day*, by its time in India."""
    return {
        instant_of(minute).astimezone(IST).time(): one.state
        for one in day.intervals
        for minute in range(one.first, one.end)
    }


def shares(counts: DayCounts) -> list[tuple[State, int, float]]:
    """Of each state that has any its minutes and its percentage, worst first.

    Rounded to two digits so that they add up to 100: the largest remainders are rounded up.
    """
    minutes = [
        (state, number)
        for state in (*LACKING, State.PRESENT)
        if (number := getattr(counts, state.value))
    ]
    exact = [number * HUNDREDTHS / counts.expected for _, number in minutes]
    rounded = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda row: rounded[row] - exact[row])
    for row in by_remainder[: HUNDREDTHS - sum(rounded)]:
        rounded[row] += 1
    return [
        (state, number, share / 100)
        for (state, number), share in zip(minutes, rounded, strict=True)
    ]


def _usual(counts: Iterable[DayCounts]) -> int:
    """The number of minutes that most of *counts* expect."""
    [(usual, _)] = Counter(each.expected for each in counts).most_common(1)
    return usual
