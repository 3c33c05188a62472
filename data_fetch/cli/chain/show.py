"""`data-fetch chain show`: the ladder of an expiry, now or as stored at an instant."""

from datetime import datetime

import click

from data_fetch.cli.chain.ladder import AROUND, as_of_line, print_ladder
from data_fetch.cli.chain.options import as_of_option, date_given, expiry_option, source_option
from data_fetch.cli.shared.output import emit, json_option
from data_fetch.reading.chain_snapshots import stored_chain
from data_fetch.reading.documents import snapshot_document
from data_fetch.runtime.settings import process_settings


@click.command()
@click.argument("symbol")
@expiry_option
@as_of_option
@source_option
@click.option(
    "--strikes",
    type=click.IntRange(min=1),
    help="How many on each side of the money to print. Default: as many as `symbols` stores of "
    f"SYMBOL, else {AROUND}.",
)
@json_option
def command(
    symbol: str,
    expiry: datetime | None,
    at: datetime | None,
    source: str | None,
    strikes: int | None,
    as_json: bool,
) -> None:
    """Show the option chain of SYMBOL: calls to the left, puts to the right of the strike."""
    found, configured = stored_chain(process_settings(), symbol, date_given(expiry), at, source)
    if as_json:
        emit(snapshot_document(found))
    else:
        around = strikes or configured or AROUND
        print_ladder(found.summary, found.lot_size, around, [as_of_line(found.head)])
