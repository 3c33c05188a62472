"""`data-fetch gaps`: what is expected and not there, and why."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import click

from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, ist_text, json_option, note, say
from data_fetch.cli.shared.span_options import RangeOptions, criteria_of, span_options
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import GAPS, Proof, State
from data_fetch.core.candles.gaps import Gap, runs
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import instant_of
from data_fetch.runtime.records import records_for
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.candles.coverage_counts import CoverageQuery, instrument_gaps

SHOWN = 40
CAUSES = tuple(state.value for state in GAPS)
# Pending minutes are no news: they are due later.
NEWS = tuple(state for state in GAPS if state is not State.PENDING)
# What people call each cause.
WORDS = {
    State.NO_TRADE: "no trade",
    State.SOURCE_EMPTY: "the source has none",
    State.MISSED: "missed",
    State.PENDING: "pending",
}


@dataclass(frozen=True, slots=True)
class InstrumentGaps:
    """The gaps of one instrument among its trading days, both oldest first."""

    instrument: Instrument
    trading_days: Sequence[date]
    gaps: Sequence[Gap]


def _chosen_causes(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[State, ...]:
    named = [name.strip() for value in values for name in value.split(",") if name.strip()]
    for name in named:
        if name not in CAUSES:
            raise click.BadParameter(f"{name!r} is none of {', '.join(CAUSES)}", context, parameter)
    return tuple(State(name) for name in named)


@click.command()
@span_options
@click.option(
    "--cause",
    "causes",
    multiple=True,
    callback=_chosen_causes,
    metavar="|".join(CAUSES),
    help="Only gaps of this cause; several with commas, or by repeating it.",
)
@json_option
def command(span: RangeOptions, causes: tuple[State, ...], as_json: bool) -> None:
    """List every interval that is expected and not present. Times are IST, ends not included.

    The last 60 days unless told otherwise. Exit status 3 when anything is missed, whichever
    causes are listed.
    """
    with records_for(process_settings(), span.symbols) as records:
        criteria = criteria_of(records, span)
        with records.store.reading() as connection:
            found = [InstrumentGaps(*one) for one in instrument_gaps(connection, criteria)]
    everything = [gap for one in found for gap in one.gaps]
    if as_json:
        wanted = causes or GAPS
        emit({"gaps": [_row(one, gap) for one in found for gap in one.gaps if gap.cause in wanted]})
    else:
        _tell(found, causes or NEWS, criteria, span)
    if any(gap.cause is State.MISSED for gap in everything):
        raise SystemExit(INCOMPLETE)


def _row(one: InstrumentGaps, gap: Gap) -> dict[str, object]:
    return {
        "symbol": one.instrument.symbol,
        "instrument_key": gap.instrument_key,
        "interval": gap.interval.value,
        "trading_date": gap.day.isoformat(),
        "from": minute_text(gap.first),
        "to": minute_text(gap.end),
        "cause": gap.cause.value,
        "proof": None if gap.proof is None else proof_text(gap.proof),
        "attempts": gap.attempts,
        "next_attempt": ist_text(gap.next_attempt),
    }


def minute_text(minute: int) -> str:
    """The IST time of day of a minute number."""
    return f"{instant_of(minute).astimezone(IST):%H:%M}"


def proof_text(proof: Proof) -> str:
    """Who proved it, in which run, when."""
    return f"{proof.by}, run {proof.run_id}, {ist_text(proof.at)}"


def _tell(
    found: Sequence[InstrumentGaps],
    causes: Sequence[State],
    criteria: CoverageQuery,
    span: RangeOptions,
) -> None:
    now = criteria.expectation.now
    lines = list(_lines(found, causes, now))
    for line in lines[:SHOWN]:
        say(line)
    if len(lines) > SHOWN:
        say(
            f"  ... and {len(lines) - SHOWN} more: name --symbols, --from, --to or --cause; "
            "--json has them all"
        )
    say(_sum(found, criteria))
    missed = [gap for one in found for gap in one.gaps if gap.cause is State.MISSED]
    if missed:
        note(_cure(missed, now, span))


def _lines(
    found: Iterable[InstrumentGaps], causes: Sequence[State], now: datetime
) -> Iterator[str]:
    for one in found:
        listed = [gap for gap in one.gaps if gap.cause in causes]
        for run in runs(listed, one.trading_days):
            yield f"{one.instrument.symbol:<12} {_when(run):<38} {_why(run, now)}"


def _when(run: Sequence[Gap]) -> str:
    first, last = run[0], run[-1]
    if len(run) > 1:
        return f"{first.day} to {last.day}: {len(run)} whole days"
    whole = " (whole day)" if first.whole else ""
    return f"{first.day} {minute_text(first.first)}-{minute_text(first.end)}{whole}"


def _why(run: Sequence[Gap], now: datetime) -> str:
    """The cause, who proved it or how often it was tried and what came, and when again."""
    newest = run[-1]
    said = [WORDS[newest.cause]]
    if newest.proof is not None:
        said.append(f"{newest.proof.by}, {newest.proof.at.astimezone(IST):%Y-%m-%d %H:%M}")
    if newest.cause is State.MISSED:
        attempts = max(gap.attempts for gap in run)
        said.append(counted(attempts, "attempt") if attempts else "never asked for")
        if newest.last_error is not None:
            said.append(newest.last_error)
    due = [gap.next_attempt for gap in run if gap.next_attempt is not None]
    if due and min(due) > now:
        said.append(f"next attempt {min(due).astimezone(IST):%Y-%m-%d %H:%M}")
    return "; ".join(said)


def _sum(found: Sequence[InstrumentGaps], criteria: CoverageQuery) -> str:
    lacking: Counter[State] = Counter()
    for one in found:
        for gap in one.gaps:
            lacking[gap.cause] += _weight(gap)
    unit = "minutes" if criteria.interval is CandleInterval.MINUTE else "days"
    said = ", ".join(f"{lacking[cause]:,} {WORDS[cause]}" for cause in GAPS if lacking[cause])
    span = f"{counted(len(found), 'instrument')}, {criteria.first} to {criteria.last}"
    return f"{span}: {said} ({unit})." if said else f"{span}: no gaps."


def _weight(gap: Gap) -> int:
    return gap.end - gap.first if gap.interval is CandleInterval.MINUTE else 1


def _cure(missed: Sequence[Gap], now: datetime, span: RangeOptions) -> str:
    first = min(gap.day for gap in missed)
    last = max(gap.day for gap in missed)
    order = f"data-fetch backfill {span.named_again(first, last)}"
    if all(gap.next_attempt is not None and gap.next_attempt > now for gap in missed):
        order += " --retry-failed"
    return f"To fetch what was missed: {order}"
