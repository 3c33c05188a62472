"""`data-fetch gaps`: intervals that are expected and not present, with their causes."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import click

from data_fetch.cli.shared.calendar_lines import remark_on_provisional
from data_fetch.cli.shared.output import (
    INCOMPLETE,
    counted,
    emit,
    json_option,
    print_out,
    remark,
)
from data_fetch.cli.shared.range_options import options_text, range_options
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import GAPS, State
from data_fetch.core.candles.gaps import BeforeFirstCandle, Gap, runs
from data_fetch.core.clock import IST
from data_fetch.reading.coverage_days import DayRange
from data_fetch.reading.coverage_gaps import CAUSES, GapList, gap_list, minute_text
from data_fetch.runtime.settings import process_settings

SHOWN = 40
# Pending minutes are due later, so they are listed only when they are named.
LISTED = tuple(state for state in GAPS if state is not State.PENDING)
WORDS = {
    State.NO_TRADE: "no trade",
    State.SOURCE_EMPTY: "the source has none",
    State.UNKNOWN_INSTRUMENT: "the source no longer knows the key of that time",
    State.MISSED: "missed",
    State.PENDING: "pending",
}


def _chosen_causes(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[State, ...]:
    named = [name.strip() for value in values for name in value.split(",") if name.strip()]
    for name in named:
        if name not in CAUSES:
            raise click.BadParameter(f"{name!r} is none of {', '.join(CAUSES)}", context, parameter)
    return tuple(State(name) for name in named)


@click.command()
@range_options
@click.option(
    "--cause",
    "causes",
    multiple=True,
    callback=_chosen_causes,
    metavar="|".join(CAUSES),
    help="Only gaps of this cause; several with commas, or by repeating it.",
)
@json_option
def command(wanted: DayRange, causes: tuple[State, ...], as_json: bool) -> None:
    """List every interval that is expected and not present. Times are IST, ends not included.

    The last 60 days by default. Exit status 3 when anything is missed, whichever causes are
    listed.
    """
    found = gap_list(process_settings(), wanted)
    if as_json:
        emit(found.document(causes or GAPS))
    else:
        _print_gaps(found, causes or LISTED, wanted)
    if found.missed:
        raise SystemExit(INCOMPLETE)


def _print_gaps(found: GapList, causes: Sequence[State], wanted: DayRange) -> None:
    lines = list(_lines(found, causes))
    for line in lines[:SHOWN]:
        print_out(line)
    if len(lines) > SHOWN:
        print_out(
            f"  ... and {len(lines) - SHOWN} more: name --symbols, --from, --to or --cause; "
            "--json lists all of them"
        )
    print_out(_totals_text(found))
    remark_on_provisional(found.provisional_sessions)
    if found.missed:
        remark(_next_step(found.missed, found.now, wanted))


def _lines(found: GapList, causes: Sequence[State]) -> Iterator[str]:
    for row in found.rows:
        if row.before_first is not None:
            yield f"{row.instrument.symbol:<12} {_before_first_text(row.before_first)}"
        listed = [gap for gap in row.gaps if gap.cause in causes]
        for run in runs(listed, row.trading_days):
            yield f"{row.instrument.symbol:<12} {_when(run):<38} {_why(run, found.now)}"


def _when(run: Sequence[Gap]) -> str:
    first, last = run[0], run[-1]
    if len(run) > 1:
        return f"{first.day} to {last.day}: {len(run)} whole days"
    whole = " (whole day)" if first.whole_day else ""
    return f"{first.day} {minute_text(first.first)}-{minute_text(first.end)}{whole}"


def _why(run: Sequence[Gap], now: datetime) -> str:
    """The cause with its proof, or with the attempts, their last error and the next one."""
    newest = run[-1]
    parts = [WORDS[newest.cause]]
    if newest.proof is not None:
        parts.append(f"{newest.proof.by}, {newest.proof.at.astimezone(IST):%Y-%m-%d %H:%M}")
    if newest.cause is State.MISSED:
        attempts = max(gap.attempts for gap in run)
        parts.append(counted(attempts, "attempt") if attempts else "never requested")
        if newest.last_error is not None:
            parts.append(newest.last_error)
    due = [gap.next_attempt for gap in run if gap.next_attempt is not None]
    if due and min(due) > now:
        parts.append(f"next attempt {min(due).astimezone(IST):%Y-%m-%d %H:%M}")
    return "; ".join(parts)


def _before_first_text(found: BeforeFirstCandle) -> str:
    when = f"{found.first} to {found.last}: {counted(found.days, 'whole day')}"
    parts = ["before the first bar"]
    if found.last_attempt is not None:
        parts.append(f"last requested {found.last_attempt.astimezone(IST):%Y-%m-%d %H:%M}")
    if found.next_attempt is not None:
        parts.append(f"next attempt {found.next_attempt.astimezone(IST):%Y-%m-%d %H:%M}")
    return f"{when:<38} {'; '.join(parts)}"


def _totals_text(found: GapList) -> str:
    lacking = found.lacking()
    unit = "minutes" if found.interval is CandleInterval.MINUTE else "days"
    counts = ", ".join(f"{lacking[cause]:,} {WORDS[cause]}" for cause in GAPS if lacking[cause])
    of = f"{counted(len(found.rows), 'instrument')}, {found.first} to {found.last}"
    return f"{of}: {counts} ({unit})." if counts else f"{of}: no gaps."


def _next_step(missed: Sequence[Gap], now: datetime, wanted: DayRange) -> str:
    first = min(gap.day for gap in missed)
    last = max(gap.day for gap in missed)
    order = f"data-fetch backfill {options_text(wanted, first, last)}"
    if all(gap.next_attempt is not None and gap.next_attempt > now for gap in missed):
        order += " --retry-failed"
    return f"To fetch what was missed: {order}"
