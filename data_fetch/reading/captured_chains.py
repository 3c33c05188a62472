"""Captured responses: the documents of a file, and one of them priced without a store."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from data_fetch.analytics.chain_pricing import price_chains
from data_fetch.analytics.conventions import CONVENTIONS
from data_fetch.analytics.summary import Subject, summarise
from data_fetch.core.chains.chains import ParsedChains
from data_fetch.core.chains.valuation import ChainSummary
from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.reading.documents import leg_documents, metrics_document, rejected_leg_document
from data_fetch.reading.instants import exact_text
from data_fetch.runtime.calendars import calendar_for
from data_fetch.sources.captured_chains import (
    CapturedDocument,
    TableSubject,
    documents_in,
    read_document,
)

CONTRACT = itemgetter("expiry", "strike", "option_type")


@dataclass(frozen=True, slots=True)
class PricedDocument:
    """The chains of a captured response, priced as of *captured_at* (None: not known)."""

    parsed: ParsedChains
    captured_at: datetime | None
    convention: str
    summaries: tuple[ChainSummary, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on the response, and the reason for each rejected leg."""
        return (*self.parsed.remarks, *(leg.reason for leg in self.parsed.rejected))

    def document(self) -> dict[str, Any]:
        return {
            "underlying": self.parsed.chains[0].underlying,
            "captured_at": exact_text(self.captured_at),
            "source": self.parsed.chains[0].source.value,
            "convention": self.convention,
            "legs": self._legs(),
            "metrics": [metrics_document(each) for each in self.summaries],
            "rejected": [{"leg": leg.name, "reason": leg.reason} for leg in self.parsed.rejected],
            "remarks": list(self.parsed.remarks),
        }

    def _legs(self) -> list[dict[str, Any]]:
        """Every leg of the response once, rejected ones too: nearest expiry first, then by
        strike, the call before the put."""
        unit = self.parsed.chains[0].unit
        rejected = (rejected_leg_document(leg, unit) for leg in self.parsed.rejected)
        legs = {CONTRACT(leg): leg for leg in rejected if leg is not None}
        for each in self.summaries:
            legs |= {CONTRACT(leg): leg for leg in leg_documents(each, None)}
        return [legs[contract] for contract in sorted(legs)]


def captured_documents(file: Path) -> Iterator[CapturedDocument]:
    """The documents of *file*: a single body, one document a line, or an archive."""
    return documents_in(file)


def priced_document(
    settings: Settings,
    file: Path,
    at: datetime | None,
    convention: str,
    subject: TableSubject | None = None,
) -> PricedDocument:
    """The one document in *file*, priced by *convention*, captured *at* unless that is None.

    A table downloaded from NSE's page is about *subject*.

    Raises SetupError when *file* has several documents or none, ChainError when the document
    has no chain.
    """
    captured = _the_document(file)
    parsed = read_document(captured, subject)
    captured_at = at or _stamped(parsed) or captured.captured_at
    calendar = calendar_for(settings)
    priced = price_chains(parsed.chains, captured_at, CONVENTIONS[convention], calendar)
    return PricedDocument(
        parsed=parsed,
        captured_at=captured_at,
        convention=convention,
        summaries=tuple(summarise([Subject(each, captured_at, None) for each in priced])),
    )


def _the_document(file: Path) -> CapturedDocument:
    documents = documents_in(file)
    first, second = next(documents, None), next(documents, None)
    if first is None:
        raise SetupError(f"{file} has no document", hint="Name a captured response.")
    if second is not None:
        raise SetupError(
            f"{file} has several documents", hint="Store them: data-fetch chain import"
        )
    return first


def table_subject(symbol: str | None, expiry: date | None) -> TableSubject | None:
    """What a downloaded table is about; None when neither is named. Raises SetupError for one
    without the other."""
    if symbol is None and expiry is None:
        return None
    if symbol is None or expiry is None:
        raise SetupError("a table needs both --symbol and --expiry", hint="Name the other one.")
    return TableSubject(symbol.upper(), expiry)


def _stamped(parsed: ParsedChains) -> datetime | None:
    return next((chain.exchange_time for chain in parsed.chains if chain.exchange_time), None)
