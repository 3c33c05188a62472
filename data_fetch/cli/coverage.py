"""`data-fetch coverage`: a grid of instruments by days."""

import shutil
from collections.abc import Sequence
from datetime import date
from itertools import groupby

import click

from data_fetch.cli.shared.calendar_lines import remark_on_provisional
from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, print_out, remark
from data_fetch.cli.shared.range_options import options_text, range_options
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import State
from data_fetch.reading.coverage_days import STATES, CoverageGrid, DayRange, coverage_grid
from data_fetch.runtime.settings import process_settings

# One character per day; a complete day is the least conspicuous.
MARKS = {
    State.PRESENT: ".",
    State.MISSED: "X",
    State.UNKNOWN_INSTRUMENT: "u",
    State.SOURCE_EMPTY: "o",
    State.PENDING: "~",
    State.NOT_EXPECTED: "-",
}
LEGEND = ". complete   X missed   o the source lacks some   ~ pending   - nothing expected"
LEGEND_OF_UNKNOWN = "u the source no longer knows the key of that time"
NAME_WIDTH = 14


@click.command()
@range_options
@json_option
def command(wanted: DayRange, as_json: bool) -> None:
    """Show instruments by days: which days are complete, and what the others lack.

    The last 60 days by default. Exit status 3 when anything is missed.
    """
    grid = coverage_grid(process_settings(), wanted)
    if as_json:
        emit(grid.document())
    else:
        _print_grid(grid, wanted)
    if grid.totals.missed:
        raise SystemExit(INCOMPLETE)


def _print_grid(grid: CoverageGrid, wanted: DayRange) -> None:
    days = sorted({day.date for row in grid.rows for day in row.days})
    if not days:
        print_out(f"No trading days from {grid.first} to {grid.last}.")
        return
    marks = {
        row.instrument.instrument_key: {day.date: MARKS[day.counts.state] for day in row.days}
        for row in grid.rows
    }
    width = max(1, shutil.get_terminal_size().columns - NAME_WIDTH)
    for begin in range(0, len(days), width):
        shown = days[begin : begin + width]
        for line in header(shown):
            print_out(f"{'':<{NAME_WIDTH}}{line}".rstrip())
        for row in grid.rows:
            of_day = marks[row.instrument.instrument_key]
            line = "".join(of_day.get(day, " ") for day in shown)
            print_out(f"{row.instrument.symbol:<{NAME_WIDTH}}{line}".rstrip())
        print_out("")
    print_out(LEGEND)
    if grid.states[State.UNKNOWN_INSTRUMENT]:
        print_out(LEGEND_OF_UNKNOWN)
    print_out(_totals_text(grid))
    remark_on_provisional(grid.provisional_sessions)
    if len(days) > width:
        remark("The grid is wider than the screen: name --from, --to or --symbols for less.")
    if grid.totals.missed:
        options = options_text(wanted, grid.first, grid.last)
        remark(f"To list them: data-fetch gaps {options} --cause missed")
        remark(f"To fetch them: data-fetch backfill {options}")


def header(days: Sequence[date]) -> list[str]:
    """The names of the months where they fit, and the days of the month downwards."""
    months = ""
    for first, alike in groupby(days, key=lambda day: day.replace(day=1)):
        width = len(list(alike))
        names = (f"{first:%b %Y}", f"{first:%b}", "")
        months += f"{next(name for name in names if len(name) < width):<{width}}"
    tens, units = zip(*(f"{day:%d}" for day in days), strict=True)
    return [months, "".join(tens), "".join(units)]


def _totals_text(grid: CoverageGrid) -> str:
    totals = grid.totals
    unit = "minutes" if grid.interval is CandleInterval.MINUTE else "days"
    share = f" ({100 * totals.present / totals.expected:.2f} %)" if totals.expected else ""
    others = {
        "of them provisional": totals.provisional,
        "no trade": totals.no_trade,
        "not at the source": totals.source_empty,
        "under a key the source no longer knows": totals.unknown_instrument,
        "missed": totals.missed,
        "pending": totals.pending,
    }
    rest = "".join(f", {count:,} {name}" for name, count in others.items() if count)
    by_state = ", ".join(
        f"{grid.states[state]:,} {state.replace('_', ' ')}"
        for state in STATES
        if grid.states[state]
    )
    return (
        f"{grid.first} to {grid.last}: {totals.expected:,} {unit} expected, "
        f"{totals.present:,} present{share}{rest}.\nInstrument-days: {by_state}."
    )
