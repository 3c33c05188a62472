"""`data-fetch chain price`: numbers for a captured response, without a store."""

from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import click

from data_fetch.analytics.chain_pricing import price_chains
from data_fetch.analytics.conventions import CONVENTIONS, OWN
from data_fetch.analytics.summary import Subject, summarise
from data_fetch.cli.chain.documents import (
    doubtful_leg_document,
    exactly,
    leg_documents,
    metrics_document,
)
from data_fetch.cli.chain.ladder import ladder
from data_fetch.cli.chain.options import INSTANT
from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, note
from data_fetch.core.chains.chains import ParsedChains
from data_fetch.core.chains.valuation import ChainSummary
from data_fetch.core.errors import SetupError
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.world import calendar_for
from data_fetch.sources.captured_chains import CapturedDocument, documents_in, read_document

CONTRACT = itemgetter("expiry", "strike", "option_type")


@dataclass(frozen=True, slots=True)
class PricedDocument:
    """What a captured response came to."""

    told: ParsedChains
    captured_at: datetime | None
    convention: str
    summaries: tuple[ChainSummary, ...]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--at", type=INSTANT, help="When it was captured; needed where it does not say.")
@click.option(
    "--convention",
    type=click.Choice(list(CONVENTIONS)),
    default=OWN.name,
    show_default=True,
    help="Ours, or the way in which a provider works its own numbers out.",
)
@json_option
def command(file: Path, at: datetime | None, convention: str, as_json: bool) -> None:
    """Price every leg of the captured response in FILE; nothing is stored.

    Exit status 3 when nothing says when it was captured: then nothing can be priced.
    """
    found = price_document(the_document(file), at, convention)
    for remark in (*found.told.remarks, *(leg.reason for leg in found.told.rejected)):
        note(f"Remark: {remark}")
    if as_json:
        emit(document(found))
    else:
        for summary in found.summaries:
            ladder(summary, lot_size=None)
    if found.captured_at is None:
        note("Nothing says when this was captured, so nothing is priced: name it with --at.")
        raise SystemExit(INCOMPLETE)


def the_document(file: Path) -> CapturedDocument:
    """The one document in *file*. Raises SetupError when there are several, or none."""
    documents = documents_in(file)
    first, second = next(documents, None), next(documents, None)
    if first is None:
        raise SetupError(f"{file} holds no document", hint="Name a captured response.")
    if second is not None:
        raise SetupError(
            f"{file} holds several documents", hint="Store them: data-fetch chain import"
        )
    return first


def price_document(
    captured: CapturedDocument, at: datetime | None, convention: str
) -> PricedDocument:
    """Raises ChainError when there is no chain in it."""
    told = read_document(captured)
    captured_at = at or _stamped(told) or captured.captured_at
    calendar = calendar_for(process_settings())
    priced = price_chains(told.chains, captured_at, CONVENTIONS[convention], calendar)
    return PricedDocument(
        told=told,
        captured_at=captured_at,
        convention=convention,
        summaries=tuple(summarise([Subject(each, captured_at, None) for each in priced])),
    )


def document(found: PricedDocument) -> dict[str, object]:
    return {
        "underlying": found.told.chains[0].underlying,
        "captured_at": exactly(found.captured_at),
        "source": found.told.chains[0].source.value,
        "convention": found.convention,
        "legs": _legs(found),
        "metrics": [metrics_document(each) for each in found.summaries],
        "rejected": [{"leg": leg.name, "reason": leg.reason} for leg in found.told.rejected],
        "remarks": list(found.told.remarks),
    }


def _legs(found: PricedDocument) -> list[dict[str, Any]]:
    """Every leg of the body once, those that were set aside as well: nearest expiry first, then
    by strike, the call before the put."""
    unit = found.told.chains[0].unit
    doubtful = (doubtful_leg_document(leg, unit) for leg in found.told.rejected)
    legs = {CONTRACT(leg): leg for leg in doubtful if leg is not None}
    legs |= {CONTRACT(leg): leg for each in found.summaries for leg in leg_documents(each, None)}
    return [legs[contract] for contract in sorted(legs)]


def _stamped(told: ParsedChains) -> datetime | None:
    return next((chain.exchange_time for chain in told.chains if chain.exchange_time), None)
