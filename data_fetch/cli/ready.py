"""`data-fetch ready`: whether the trading day can begin."""

import click

from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, print_out
from data_fetch.core.readiness import Readiness
from data_fetch.reading.instants import ist_text
from data_fetch.runtime.readiness import readiness_now
from data_fetch.runtime.settings import process_settings


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Check what the trading day needs: token, provider, limits, clock, calendar, store, disk,
    instrument master, symbols. One request is sent.

    Exit status 0 for go, 3 for no-go. A running collector does the same at 08:55 IST of each
    trading day, and records the result.
    """
    found = readiness_now(process_settings())
    if as_json:
        emit({"at": ist_text(found.at), **found.document()})
    else:
        _print(found)
    if not found.go:
        raise SystemExit(INCOMPLETE)


def _print(found: Readiness) -> None:
    for each in found.findings:
        print_out(f"{each.verdict:<8} {each.name:<9} {each.message}")
        if each.hint:
            print_out(f"{'':<18} -> {each.hint}")
    print_out(found.line)
