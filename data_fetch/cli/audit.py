"""`data-fetch audit`: recount the candles and compare with the ledger."""

from collections.abc import Sequence

import click

from data_fetch.cli.gaps import minute_text
from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, note, say
from data_fetch.cli.shared.span_options import RangeOptions, criteria_of, span_options
from data_fetch.core.spans import Spans, count
from data_fetch.runtime.records import records_for
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.candles.audit import Difference, Recount, recount, repair
from data_fetch.storage.candles.coverage_counts import CoverageQuery

SHOWN = 20


@click.command()
@span_options
@click.option(
    "--repair", "repairing", is_flag=True, help="Rewrite the ledger of those days by the candles."
)
@json_option
def command(span: RangeOptions, repairing: bool, as_json: bool) -> None:
    """Recount the candle rows themselves and compare with the coverage ledger.

    The last 60 days unless told otherwise. Both are always written together, so they differ
    only after the store was edited by hand or restored in part. Exit status 3 when they differ
    and were not repaired.
    """
    with records_for(process_settings(), span.symbols) as records:
        criteria = criteria_of(records, span)
        with records.store.reading() as connection:
            found = recount(connection, criteria)
        repaired = repair(records.store, criteria, found.differences) if repairing else 0
    if as_json:
        emit(_document(criteria, found, repaired))
    else:
        _tell(criteria, found, repaired, span)
    if found.differences and not repairing:
        raise SystemExit(INCOMPLETE)


def _document(criteria: CoverageQuery, found: Recount, repaired: int) -> dict[str, object]:
    return {
        "checked_days": found.days,
        "candles": found.candles,
        "differences": [
            {
                "symbol": one.instrument.symbol,
                "instrument_key": one.instrument.instrument_key,
                "interval": criteria.interval.value,
                "trading_date": one.day.isoformat(),
                "ledger_present": one.ledger_present,
                "candles_present": one.candles_present,
                "only_in_ledger": _times(one.only_in_ledger),
                "only_in_candles": _times(one.only_in_candles),
            }
            for one in found.differences
        ],
        "repaired_days": repaired,
    }


def _times(spans: Spans) -> list[list[str]]:
    return [[minute_text(first), minute_text(end)] for first, end in spans]


def _tell(criteria: CoverageQuery, found: Recount, repaired: int, span: RangeOptions) -> None:
    differences = found.differences
    for one in differences[:SHOWN]:
        say(f"{one.instrument.symbol:<12} {one.day}  {_in_words(one)}")
    if len(differences) > SHOWN:
        say(f"  ... and {len(differences) - SHOWN} more: --json has them all")
    say(
        f"{found.days:,} instrument-days, {criteria.first} to {criteria.last}: "
        f"{found.candles:,} candles recounted, "
        + (f"{len(differences):,} days differ from the ledger." if differences else "all as told.")
    )
    if differences and not repaired:
        note(
            "The store was edited by hand, or restored in part. The candles are the fact: "
            "data-fetch audit --repair rewrites the ledger of these days by them."
        )
    if repaired:
        note(f"The ledger of {repaired:,} days was rewritten by the candles.")
        if _gone(differences):
            named = span.named_again(criteria.first, criteria.last)
            note(f"Candles that are gone can be fetched again: data-fetch backfill {named}")


def _gone(differences: Sequence[Difference]) -> bool:
    return any(one.only_in_ledger for one in differences)


def _in_words(one: Difference) -> str:
    said = f"ledger {one.ledger_present}, candles {one.candles_present}"
    if one.only_in_ledger:
        said += f"; only in the ledger {_listed(one.only_in_ledger)}"
    if one.only_in_candles:
        said += f"; only in the candles {_listed(one.only_in_candles)}"
    return said


def _listed(spans: Spans) -> str:
    few = ", ".join(f"{minute_text(first)}-{minute_text(end)}" for first, end in spans[:3])
    return few if len(spans) <= 3 else f"{few}, ... ({count(spans)} in all)"
