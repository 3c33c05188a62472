"""`data-fetch chain show`: the ladder of an expiry, now or as it was known at an instant."""

from datetime import datetime

import click

from data_fetch.cli.chain.documents import exactly, leg_documents, metrics_document
from data_fetch.cli.chain.ladder import AROUND, as_of_line, ladder
from data_fetch.cli.chain.options import as_of_option, expiry_option, source_option
from data_fetch.cli.chain.stores import store_for_looking, the_snapshot, wanted_strikes
from data_fetch.cli.shared.output import emit, json_option
from data_fetch.storage.chains.snapshots import ChainStore, StoredSnapshot


@click.command()
@click.argument("symbol")
@expiry_option
@as_of_option
@source_option
@click.option(
    "--strikes",
    type=click.IntRange(min=1),
    help="How many on each side of the money to print. Default: as many as `symbols` says are "
    f"kept of SYMBOL, else {AROUND}.",
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
    with store_for_looking() as store:
        found = the_snapshot(ChainStore(store), symbol, expiry, at, source)
        around = strikes or wanted_strikes(store, symbol) or AROUND
    if as_json:
        emit(document(found))
        return
    head = found.head
    told = as_of_line(head.timestamp, head.last_confirmed, head.confirmations, head.source)
    ladder(found.summary, found.lot_size, around, [told])


def document(found: StoredSnapshot) -> dict[str, object]:
    """A stored snapshot as JSON: its head, its figures, every leg."""
    return {
        **head_document(found),
        "metrics": metrics_document(found.summary),
        "legs": list(leg_documents(found.summary, found.lot_size)),
    }


def head_document(found: StoredSnapshot) -> dict[str, object]:
    head = found.head
    return {
        "underlying": head.underlying,
        "expiry": head.expiry.isoformat(),
        "source": head.source,
        "received_at": exactly(head.timestamp),
        "exchange_time": exactly(head.exchange_time),
        "confirmations": head.confirmations,
        "last_confirmed": exactly(head.last_confirmed),
        "content_hash": head.content_hash,
        "lot_size": head.lot_size,
        "rejected": head.rejected,
        "run_id": head.run_id,
    }
