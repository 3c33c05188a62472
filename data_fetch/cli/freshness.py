"""`data-fetch freshness`: the state of each symbol's quotes."""

import click

from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, print_out
from data_fetch.core.quotes.freshness import Judgement
from data_fetch.reading.instants import ist_text
from data_fetch.reading.quote_freshness import FreshnessReport, freshness_report
from data_fetch.runtime.settings import process_settings

SHOWN = 20


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Judge every symbol by the trading minutes since its last quote.

    Exit status 3 when a symbol has no recent quote although its market is open.
    """
    report = freshness_report(process_settings())
    if as_json:
        emit(report.document())
    else:
        _print_report(report)
    if report.stale:
        raise SystemExit(INCOMPLETE)


def _print_report(report: FreshnessReport) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in report.counts.items() if count)
    print_out(f"{ist_text(report.at)}: {counts}")
    notable = report.notable
    for judgement in notable[:SHOWN]:
        print_out(f"  {judgement.symbol:<12} {judgement.state:<11} {_since(judgement)}")
    if len(notable) > SHOWN:
        print_out(f"  ... and {len(notable) - SHOWN} more: data-fetch freshness --json")


def _since(judgement: Judgement) -> str:
    if judgement.last_quote is None:
        return "no quote stored yet: collect with data-fetch run"
    return f"last quote {ist_text(judgement.last_quote)}, {judgement.minutes} trading minutes ago"
