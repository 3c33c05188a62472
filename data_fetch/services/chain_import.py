"""Captured documents into the store: read, priced, recorded, some at a time.

A document without a chain costs itself only, and is named with its failure.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from data_fetch.core.chains.chains import Chain, ChainError, ParsedChains
from data_fetch.core.ports import Clock
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import CHAIN_IMPORT
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.services.gc_tuning import rarely_collecting_garbage
from data_fetch.sources.captured_chains import CapturedDocument, read_document
from data_fetch.storage.chains.snapshots import ChainStore, ReceiptResult, Received

# In one transaction: enough to be quick, few enough to take little memory.
LEGS_AT_ONCE = 8_000
MICROSECOND = timedelta(microseconds=1)
MOST_REFUSALS_KEPT = 50


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that holds no chain, or of which nobody knows when it was captured."""

    name: str
    failure: str
    why: str


@dataclass(slots=True)
class ImportReport:
    """What importing came to, counted in documents, snapshots and legs."""

    documents: int = 0
    snapshots: int = 0
    confirmed: int = 0
    repeated: int = 0
    legs: int = 0
    rejected: int = 0
    refused: list[Refused] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class CaptureTimes:
    """When each document of a file was received, as far as anybody can tell.

    Documents that bear the exchange's stamp only were received in the order in which they
    stand: those of one stamp are placed a microsecond apart, so that each counts as a receipt.
    """

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, datetime]] = Counter()

    def of(self, document: CapturedDocument, told: ParsedChains) -> datetime | None:
        if document.captured_at is not None:
            return document.captured_at
        first = told.chains[0]
        if first.exchange_time is None:
            return None
        place = first.underlying, first.exchange_time
        before = self._seen[place]
        self._seen[place] += 1
        return first.exchange_time + before * MICROSECOND


class ChainImport:
    """Stores captured documents. *symbol_of* turns a provider's key into our symbol.

    A document without a chain is refused by name; where a file is damaged it ends.
    """

    def __init__(
        self,
        *,
        chains: ChainStore,
        enricher: ChainEnricher,
        clock: Clock,
        symbol_of: Callable[[str], str],
    ) -> None:
        self._chains = chains
        self._enricher = enricher
        self._clock = clock
        self._symbol_of = symbol_of

    def store(
        self, documents: Iterable[CapturedDocument], at: datetime | None = None
    ) -> ImportReport:
        """Store *documents* of one file, captured at *at* unless they say it themselves."""
        report = ImportReport()
        run = SyncRun.begin(CHAIN_IMPORT, self._clock.now())
        times = CaptureTimes()
        readable = self._readable(documents, at, times, report)
        with rarely_collecting_garbage():
            for several in _portions(readable):
                self._record(self._enricher.received(several), run, report)
        # The audit row says what all of it came to, when that is known.
        self._chains.record([], self._grown(run, report), [])
        return report

    def _readable(
        self,
        documents: Iterable[CapturedDocument],
        at: datetime | None,
        times: CaptureTimes,
        report: ImportReport,
    ) -> Iterator[ParsedResponse]:
        for document in self._undamaged(documents, report):
            report.documents += 1
            try:
                told = read_document(document)
            except ChainError as problem:
                report.refused.append(Refused(document.name, problem.kind, problem.message))
                continue
            received_at = times.of(document, told) or at
            if received_at is None:
                why = "nothing says when it was captured: name it with --at"
                report.refused.append(Refused(document.name, "no_capture_time", why))
                continue
            report.rejected += len(told.rejected)
            report.remarks += [remark for remark in told.remarks if remark not in report.remarks]
            yield ParsedResponse(
                chains=self._named(told.chains),
                received_at=received_at,
                rejected=len(told.rejected),
            )

    def _undamaged(
        self, documents: Iterable[CapturedDocument], report: ImportReport
    ) -> Iterator[CapturedDocument]:
        """*documents* up to where the file is damaged, if it is."""
        try:
            yield from documents
        except ChainError as problem:
            report.refused.append(Refused("the rest of it", problem.kind, problem.message))

    def _named(self, chains: Sequence[Chain]) -> list[Chain]:
        symbols = [self._symbol_of(chain.underlying) for chain in chains]
        return [
            chain if chain.underlying == symbol else replace(chain, underlying=symbol)
            for chain, symbol in zip(chains, symbols, strict=True)
        ]

    def _record(self, priced: Sequence[Received], run: SyncRun, report: ImportReport) -> None:
        recorded = self._chains.record(priced, self._grown(run, report), [])
        report.snapshots += recorded.stored
        report.confirmed += recorded.confirmed
        report.repeated += recorded.repeated
        report.legs += sum(
            len(each.chain.legs)
            for each, became in zip(priced, recorded.chains, strict=True)
            if became.result is ReceiptResult.STORED
        )

    def _grown(self, run: SyncRun, report: ImportReport) -> SyncRun:
        refused = {each.name: each.failure for each in report.refused[:MOST_REFUSALS_KEPT]}
        return run.finish(
            self._clock.now(),
            Outcome.INCOMPLETE if report.refused else Outcome.COMPLETED,
            requested=report.documents,
            stored=report.snapshots,
            rejected=report.rejected,
            error=report.refused[-1].why if report.refused else None,
            details={
                "repeated": report.confirmed + report.repeated,
                "refused": refused,
                "remarks": report.remarks,
            },
        )


def _portions(answers: Iterable[ParsedResponse]) -> Iterator[list[ParsedResponse]]:
    """*answers*, several at a time."""
    portion: list[ParsedResponse] = []
    legs = 0
    for answer in answers:
        portion.append(answer)
        legs += sum(len(chain.legs) for chain in answer.chains)
        if legs >= LEGS_AT_ONCE:
            yield portion
            portion, legs = [], 0
    if portion:
        yield portion
