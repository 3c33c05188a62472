"""`data-fetch chain price`: IV and Greeks for a captured response, without a store."""

from datetime import datetime
from pathlib import Path

import click

from data_fetch.analytics.conventions import CONVENTIONS, OWN
from data_fetch.cli.chain.ladder import print_ladder
from data_fetch.cli.chain.options import (
    INSTANT,
    date_given,
    table_expiry_option,
    table_symbol_option,
)
from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, remark
from data_fetch.reading.captured_chains import priced_document, table_subject
from data_fetch.runtime.settings import process_settings


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--at", type=INSTANT, help="Capture time, for a response without one.")
@click.option(
    "--convention",
    type=click.Choice(list(CONVENTIONS)),
    default=OWN.name,
    show_default=True,
    help="Our pricing, or the way in which a provider computes its own numbers.",
)
@table_symbol_option
@table_expiry_option
@json_option
def command(
    file: Path,
    at: datetime | None,
    convention: str,
    symbol: str | None,
    expiry: datetime | None,
    as_json: bool,
) -> None:
    """Price every leg of the captured response in FILE; nothing is stored.

    Exit status 3 when the capture time is not known: then nothing can be priced.
    """
    subject = table_subject(symbol, date_given(expiry))
    found = priced_document(process_settings(), file, at, convention, subject)
    for text in found.remarks:
        remark(f"Remark: {text}")
    if as_json:
        emit(found.document())
    else:
        for summary in found.summaries:
            print_ladder(summary, lot_size=None)
    if found.captured_at is None:
        remark("The response has no capture time, so nothing is priced: name it with --at.")
        raise SystemExit(INCOMPLETE)
