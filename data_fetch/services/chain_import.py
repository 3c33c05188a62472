"""Stores captured documents: reads, prices and records them in batches.

A document without a chain costs itself only, and is named with its failure.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from data_fetch.core.chains.chains import Chain, ChainError, ParsedChains
from data_fetch.core.ports import Clock
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import CHAIN_IMPORT
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.services.gc_tuning import rarely_collecting_garbage
from data_fetch.services.kept_writes import keep_writing
from data_fetch.services.late_days import BringBack, refuse, with_days_back
from data_fetch.sources.captured_chains import CapturedDocument, TableSubject, read_document
from data_fetch.storage.chains.snapshots import ChainStore, ReceiptResult, Received

# In one transaction: enough to be fast, few enough to need little memory.
LEGS_AT_ONCE = 8_000
MICROSECOND = timedelta(microseconds=1)
MOST_REFUSALS_KEPT = 50


@dataclass(frozen=True, slots=True)
class Refused:
    """A document without a chain, or without a capture time."""

    name: str
    failure: str
    why: str


@dataclass(slots=True)
class ImportReport:
    """The import result, in documents, snapshots and legs."""

    documents: int = 0
    snapshots: int = 0
    confirmed: int = 0
    repeated: int = 0
    legs: int = 0
    rejected: int = 0
    refused: list[Refused] = field(default_factory=list)
    remarked: dict[str, list[str]] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """What was noticed, with the number of documents, or the name of the only one."""
        return [
            f"{text} ({names[0]})" if len(names) == 1 else f"{text} ({len(names):,} documents)"
            for text, names in self.remarked.items()
        ]


class CaptureTimes:
    """When each document of a file was received.

    Documents with only the exchange's timestamp were received in the order of the file: those
    of one timestamp are placed a microsecond apart, so that each counts as a receipt.
    """

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, datetime]] = Counter()

    def of(self, document: CapturedDocument, parsed: ParsedChains) -> datetime | None:
        if document.captured_at is not None:
            return document.captured_at
        first = parsed.chains[0]
        if first.exchange_time is None:
            return None
        place = first.underlying, first.exchange_time
        before = self._seen[place]
        self._seen[place] += 1
        return first.exchange_time + before * MICROSECOND


class ChainImport:
    """Stores captured documents. *symbol_of* turns a provider's key into our symbol,
    *bring_back* is called with days that are in the archive only.

    A document without a chain is rejected by name; reading ends where a file is damaged.
    """

    def __init__(
        self,
        *,
        chains: ChainStore,
        enricher: ChainEnricher,
        clock: Clock,
        symbol_of: Callable[[str], str],
        bring_back: BringBack = refuse,
    ) -> None:
        self._chains = chains
        self._enricher = enricher
        self._clock = clock
        self._symbol_of = symbol_of
        self._bring_back = bring_back

    def store(
        self,
        documents: Iterable[CapturedDocument],
        at: datetime | None = None,
        subject: TableSubject | None = None,
    ) -> ImportReport:
        """Store *documents* of one file; *at* is the capture time of those without their own,
        *subject* what tables downloaded from NSE's page are about."""
        report = ImportReport()
        run = SyncRun.begin(CHAIN_IMPORT, self._clock.now())
        times = CaptureTimes()
        readable = self._readable(documents, at, times, report, subject)
        with rarely_collecting_garbage():
            for batch in _batches(readable):
                self._record(self._enricher.received(batch), run, report)
        ended = self._finished(run, report)
        keep_writing(partial(self._chains.record, [], ended, []), self._clock)
        return report

    def _readable(
        self,
        documents: Iterable[CapturedDocument],
        at: datetime | None,
        times: CaptureTimes,
        report: ImportReport,
        subject: TableSubject | None,
    ) -> Iterator[ParsedResponse]:
        for document in self._undamaged(documents, report):
            report.documents += 1
            try:
                parsed = read_document(document, subject)
            except ChainError as problem:
                report.refused.append(Refused(document.name, problem.kind, problem.message))
                continue
            received_at = times.of(document, parsed) or at
            if received_at is None:
                why = "it has no capture time: set it with --at"
                report.refused.append(Refused(document.name, "no_capture_time", why))
                continue
            report.rejected += len(parsed.rejected)
            for remark in parsed.remarks:
                report.remarked.setdefault(remark, []).append(document.name)
            yield ParsedResponse(
                chains=self._with_symbols(parsed.chains),
                received_at=received_at,
                rejected=parsed.rejected,
            )

    def _undamaged(
        self, documents: Iterable[CapturedDocument], report: ImportReport
    ) -> Iterator[CapturedDocument]:
        """*documents* up to where the file is damaged, if it is."""
        try:
            yield from documents
        except ChainError as problem:
            report.refused.append(Refused("the rest of the file", problem.kind, problem.message))

    def _with_symbols(self, chains: Sequence[Chain]) -> list[Chain]:
        symbols = [self._symbol_of(chain.underlying) for chain in chains]
        return [
            chain if chain.underlying == symbol else replace(chain, underlying=symbol)
            for chain, symbol in zip(chains, symbols, strict=True)
        ]

    def _record(self, priced: Sequence[Received], run: SyncRun, report: ImportReport) -> None:
        grown = replace(self._finished(run, report), outcome=Outcome.RUNNING)
        write = partial(self._chains.record, priced, grown, [])
        recorded = keep_writing(partial(with_days_back, write, self._bring_back), self._clock)
        report.snapshots += recorded.stored
        report.confirmed += recorded.confirmed
        report.repeated += recorded.repeated
        report.legs += sum(
            len(each.chain.legs)
            for each, result in zip(priced, recorded.chains, strict=True)
            if result.result is ReceiptResult.STORED
        )

    def _finished(self, run: SyncRun, report: ImportReport) -> SyncRun:
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


def _batches(responses: Iterable[ParsedResponse]) -> Iterator[list[ParsedResponse]]:
    """*responses* in batches of about `LEGS_AT_ONCE` legs."""
    batch: list[ParsedResponse] = []
    legs = 0
    for response in responses:
        batch.append(response)
        legs += sum(len(chain.legs) for chain in response.chains)
        if legs >= LEGS_AT_ONCE:
            yield batch
            batch, legs = [], 0
    if batch:
        yield batch
