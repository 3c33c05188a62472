"""`data-fetch audit`: recount the candles and compare with the ledger."""

import click

from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, print_out, remark
from data_fetch.cli.shared.range_options import options_text, range_options
from data_fetch.core.spans import Spans, count
from data_fetch.reading.coverage_audit import Audit, Difference, audit
from data_fetch.reading.coverage_days import DayRange
from data_fetch.reading.coverage_gaps import minute_text
from data_fetch.runtime.settings import process_settings

SHOWN = 20


@click.command()
@range_options
@click.option("--repair", is_flag=True, help="Rewrite the ledger of those days from the candles.")
@json_option
def command(wanted: DayRange, repair: bool, as_json: bool) -> None:
    """Recount the candle rows themselves and compare with the coverage ledger.

    The last 60 days by default. Both are always written together, so they differ only after the
    store was edited by hand or restored in part. Exit status 3 when they differ and were not
    repaired.
    """
    found = audit(process_settings(), wanted, repair=repair)
    if as_json:
        emit(found.document())
    else:
        _print_audit(found, wanted)
    if found.differences and not repair:
        raise SystemExit(INCOMPLETE)


def _print_audit(found: Audit, wanted: DayRange) -> None:
    differences = found.differences
    for one in differences[:SHOWN]:
        print_out(f"{one.instrument.symbol:<12} {one.day}  {_difference_text(one)}")
    if len(differences) > SHOWN:
        print_out(f"  ... and {len(differences) - SHOWN} more: --json lists all of them")
    result = (
        f"the ledger differs on {counted(len(differences), 'day')}."
        if differences
        else "the ledger agrees."
    )
    print_out(
        f"{counted(found.days, 'instrument-day')}, {found.first} to {found.last}: "
        f"{counted(found.candles, 'candle')} recounted, {result}"
    )
    if differences and not found.repaired:
        remark(
            "The store was edited by hand, or restored in part. To rewrite the ledger of these "
            "days from the candles: data-fetch audit --repair"
        )
    if found.repaired:
        remark(f"Rewrote the ledger of {counted(found.repaired, 'day')} from the candles.")
        if any(one.only_in_ledger for one in differences):
            options = options_text(wanted, found.first, found.last)
            remark(f"To fetch the lost candles again: data-fetch backfill {options}")


def _difference_text(one: Difference) -> str:
    text = f"ledger {one.ledger_present}, candles {one.candles_present}"
    if one.only_in_ledger:
        text += f"; only in the ledger {_spans_text(one.only_in_ledger)}"
    if one.only_in_candles:
        text += f"; only in the candles {_spans_text(one.only_in_candles)}"
    return text


def _spans_text(spans: Spans) -> str:
    few = ", ".join(f"{minute_text(first)}-{minute_text(end)}" for first, end in spans[:3])
    return few if len(spans) <= 3 else f"{few}, ... ({count(spans)} in all)"
