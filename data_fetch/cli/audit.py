"""`data-fetch audit`: recount the candles, and compare with the ledger and the calendar."""

import click

from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, print_out, remark
from data_fetch.cli.shared.range_options import options_text, range_options
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.core.candles.findings import Difference, Finding, FindingKind
from data_fetch.core.spans import Spans, count
from data_fetch.reading.coverage_audit import Audit, audit
from data_fetch.reading.coverage_days import DayRange
from data_fetch.reading.coverage_gaps import minute_text
from data_fetch.runtime.settings import process_settings

SHOWN = 20
# What `--json` names shortly; the number is that of minutes, rows or columns.
WORDS = {
    FindingKind.COUNTS: "the ledger's count columns contradict its minutes",
    FindingKind.FINALITY: "the ledger and the candles disagree on what is final",
    FindingKind.KINDS: "candles of a kind that their session does not have",
    FindingKind.AUCTION: "the closing auction",
    FindingKind.OUTSIDE: "candles outside of every session",
    FindingKind.CONTRADICTION: "the ledger row contradicts itself",
    FindingKind.DAY_CANDLE: "the candle of the day is not that of its minutes",
}
# Findings after whose repair history is requested again.
FETCHED_AGAIN = (FindingKind.MINUTES, FindingKind.AUCTION, FindingKind.FINALITY)


@click.command()
@range_options
@click.option("--repair", is_flag=True, help="Mend what follows from the candles.")
@json_option
def command(wanted: DayRange, repair: bool, as_json: bool) -> None:
    """Recount the candle rows themselves and compare with the coverage ledger and the calendar.

    The last 60 days by default. All are always written together, so they differ only after the
    store was edited by hand or restored in part. --repair rewrites the ledger from the candles,
    corrects their kinds, and deletes candles outside of every session. Exit status 3 when
    something was found and not repaired.
    """
    settings = settings_to_store() if repair else process_settings()
    found = audit(settings, wanted, repair=repair)
    if as_json:
        emit(found.document())
    else:
        _print_audit(found, wanted)
    if found.findings and not repair:
        raise SystemExit(INCOMPLETE)


def _print_audit(found: Audit, wanted: DayRange) -> None:
    minutes = {(one.instrument.instrument_key, one.day): one for one in found.differences}
    for one in found.findings[:SHOWN]:
        text = (
            _difference_text(minutes[one.instrument.instrument_key, one.day])
            if one.kind is FindingKind.MINUTES
            else _finding_text(one)
        )
        print_out(f"{one.instrument.symbol:<12} {one.day}  {text}")
    if len(found.findings) > SHOWN:
        print_out(f"  ... and {len(found.findings) - SHOWN} more: --json lists all of them")
    print_out(
        f"{counted(found.days, 'instrument-day')}, {found.first} to {found.last}: "
        f"{counted(found.candles, 'candle')} recounted, {_result_text(found)}"
    )
    day_candles = found.counts.get(FindingKind.DAY_CANDLE, 0)
    if len(found.findings) > day_candles and not (found.repaired.days or found.repaired.deleted):
        remark(
            "The store was edited by hand, or restored in part. To rewrite the ledger of these "
            "days from the candles: data-fetch audit --repair"
        )
    if day_candles:
        remark(
            "The provider's candles of a day contradict its minutes. Both are left as they are: "
            "compare them with the exchange's report of the day."
        )
    if found.repaired.days:
        remark(f"Rewrote the ledger of {counted(found.repaired.days, 'day')} from the candles.")
    if found.repaired.deleted:
        deleted = counted(found.repaired.deleted, "candle")
        remark(f"Deleted {deleted} outside of every session.")
    if found.repaired.days and any(one.kind in FETCHED_AGAIN for one in found.findings):
        options = options_text(wanted, found.first, found.last)
        remark(f"To fetch the lost candles again: data-fetch backfill {options}")


def _result_text(found: Audit) -> str:
    if not found.findings:
        return "the ledger agrees."
    differing = found.counts.get(FindingKind.MINUTES, 0)
    others = [f"{kind} {days}" for kind, days in found.counts.items() if kind in WORDS]
    named = [f"the ledger differs on {counted(differing, 'day')}"] if differing else []
    if others:
        named.append(f"days with other findings: {', '.join(others)}")
    return "; ".join(named) + "."


def _finding_text(one: Finding) -> str:
    samples = "; ".join(one.samples)
    more = f" and more ({one.count} in all)" if one.count > len(one.samples) else ""
    return f"{WORDS[one.kind]}: {samples}{more}"


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
