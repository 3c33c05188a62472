"""`data-fetch coverage`: a grid of instruments by days."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

import click

from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, note, say
from data_fetch.cli.shared.span_options import RangeOptions, criteria_of, span_options
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.day_counts import DayCounts, summed
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.runtime.records import records_for
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.candles.coverage_counts import CoverageQuery, day_counts

# One character per day; what is complete stands back.
MARKS = {
    State.PRESENT: ".",
    State.MISSED: "X",
    State.SOURCE_EMPTY: "o",
    State.PENDING: "~",
    State.NOT_EXPECTED: "-",
}
LEGEND = ". complete   X missed   o the source lacks some   ~ pending   - nothing expected"
NAME_WIDTH = 14


@dataclass(frozen=True, slots=True)
class InstrumentDays:
    """The counts of an instrument's trading days, oldest first."""

    instrument: Instrument
    days: Sequence[tuple[date, DayCounts]]


@click.command()
@span_options
@json_option
def command(span: RangeOptions, as_json: bool) -> None:
    """Show instruments by days: which days are complete, and what the others lack.

    The last 60 days unless told otherwise. Exit status 3 when anything is missed.
    """
    with records_for(process_settings(), span.symbols) as records:
        criteria = criteria_of(records, span)
        with records.store.reading() as connection:
            grid = [InstrumentDays(*one) for one in day_counts(connection, criteria)]
    counted = [counts for row in grid for _, counts in row.days]
    totals = summed([DayCounts(), *counted])
    states = Counter(counts.state for counts in counted)
    if as_json:
        emit(_document(criteria, grid, totals, states))
    else:
        _tell(criteria, grid, totals, states, span)
    if totals.missed:
        raise SystemExit(INCOMPLETE)


def _document(
    criteria: CoverageQuery,
    grid: Sequence[InstrumentDays],
    totals: DayCounts,
    states: Counter[State],
) -> dict[str, object]:
    return {
        "interval": criteria.interval.value,
        "from": criteria.first.isoformat(),
        "to": criteria.last.isoformat(),
        "instruments": [
            {
                "symbol": row.instrument.symbol,
                "instrument_key": row.instrument.instrument_key,
                "days": [
                    {"date": day.isoformat(), "state": counts.state.value, **counts._asdict()}
                    for day, counts in row.days
                ],
            }
            for row in grid
        ],
        "totals": {
            **totals._asdict(),
            "days": {state.value: states[state] for state in MARKS},
        },
    }


def _tell(
    criteria: CoverageQuery,
    grid: Sequence[InstrumentDays],
    totals: DayCounts,
    states: Counter[State],
    span: RangeOptions,
) -> None:
    days = sorted({day for row in grid for day, _ in row.days})
    if not days:
        say(f"No trading days from {criteria.first} to {criteria.last}.")
        return
    marks = {
        row.instrument.instrument_key: {day: MARKS[counts.state] for day, counts in row.days}
        for row in grid
    }
    width = max(1, shutil.get_terminal_size().columns - NAME_WIDTH)
    for begin in range(0, len(days), width):
        shown = days[begin : begin + width]
        for line in header(shown):
            say(f"{'':<{NAME_WIDTH}}{line}".rstrip())
        for row in grid:
            of_day = marks[row.instrument.instrument_key]
            line = "".join(of_day.get(day, " ") for day in shown)
            say(f"{row.instrument.symbol:<{NAME_WIDTH}}{line}".rstrip())
        say("")
    say(LEGEND)
    say(_sum(criteria, totals, states))
    if len(days) > width:
        note("That is more than fits a line: name --from, --to or --symbols for less.")
    if totals.missed:
        named = span.named_again(criteria.first, criteria.last)
        note(f"Which ones: data-fetch gaps {named} --cause missed")
        note(f"To fetch them: data-fetch backfill {named}")


def header(days: Sequence[date]) -> list[str]:
    """The months where there is room for their names, and the days of the month downwards."""
    months = ""
    for first, alike in groupby(days, key=lambda day: day.replace(day=1)):
        room = len(list(alike))
        names = (f"{first:%b %Y}", f"{first:%b}", "")
        months += f"{next(name for name in names if len(name) < room):<{room}}"
    tens, units = zip(*(f"{day:%d}" for day in days), strict=True)
    return [months, "".join(tens), "".join(units)]


def _sum(criteria: CoverageQuery, totals: DayCounts, states: Counter[State]) -> str:
    unit = "minutes" if criteria.interval is CandleInterval.MINUTE else "days"
    share = f" ({100 * totals.present / totals.expected:.2f} %)" if totals.expected else ""
    others = {
        "of them provisional": totals.provisional,
        "no trade": totals.no_trade,
        "not at the source": totals.source_empty,
        "missed": totals.missed,
        "pending": totals.pending,
    }
    rest = "".join(f", {count:,} {name}" for name, count in others.items() if count)
    by_state = ", ".join(
        f"{states[state]:,} {state.replace('_', ' ')}" for state in MARKS if states[state]
    )
    return (
        f"{criteria.first} to {criteria.last}: {totals.expected:,} {unit} expected, "
        f"{totals.present:,} present{share}{rest}.\nInstrument-days: {by_state}."
    )
