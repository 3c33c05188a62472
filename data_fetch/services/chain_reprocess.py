"""Builds the chain tables again from the stored raw responses, with the current parsers.

The times of receipt stay as they are; the bodies are read and priced again by the rules of a live
poll. A body that an earlier version could not read becomes a snapshot now.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from data_fetch.archive.raw_responses import StoredResponse
from data_fetch.core.chains.chains import Chain, ParsedChains, content_hash
from data_fetch.core.errors import DataFetchError
from data_fetch.core.ports import Clock
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import CHAIN_REPROCESS
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.services.kept_writes import keep_writing
from data_fetch.services.late_days import BringBack, refuse, with_days_back
from data_fetch.sources.captured_chains import read_stored_chain
from data_fetch.storage.chains.snapshots import ChainStore, ReceiptResult


@dataclass(slots=True)
class ReprocessReport:
    """The result of reprocessing.

    *renewed* snapshots were written again, *added* ones are new, *unchanged* ones have the same
    content and numbers as before, *confirming* bodies have the content of the one before them;
    *failures* counts bodies without a chain, by kind.
    """

    bodies: int = 0
    renewed: int = 0
    added: int = 0
    unchanged: int = 0
    confirming: int = 0
    failures: dict[str, int] = field(default_factory=dict)


class ChainReprocess:
    """Reprocesses stored raw responses.

    *live_key_of* returns the key of an underlying at Upstox, None when it is not known. *strikes*
    is the number of strikes on each side of the money to store now, by symbol (None: all).
    *bring_back* is called with days that are in the archive only.
    """

    def __init__(
        self,
        *,
        chains: ChainStore,
        enricher: ChainEnricher,
        clock: Clock,
        live_key_of: Callable[[str], str | None],
        strikes: Mapping[str, int | None],
        bring_back: BringBack = refuse,
    ) -> None:
        self._chains = chains
        self._enricher = enricher
        self._clock = clock
        self._live_key_of = live_key_of
        self._strikes = strikes
        self._bring_back = bring_back

    def run(self, bodies: Iterable[StoredResponse]) -> ReprocessReport:
        """Reprocess *bodies*, in the order in which they were received."""
        report = ReprocessReport()
        run = SyncRun.begin(CHAIN_REPROCESS, self._clock.now())
        for stored in bodies:
            # The others list expiries and hold no chain.
            if stored.expiry is not None:
                report.bodies += 1
                self._reprocess(stored, run, report)
        ended = self._finished(run, report)
        keep_writing(partial(self._chains.record, [], ended, []), self._clock)
        return report

    def _reprocess(self, stored: StoredResponse, run: SyncRun, report: ReprocessReport) -> None:
        try:
            parsed = self._read(stored).around_the_money(self._strikes.get(stored.underlying))
        except DataFetchError as problem:
            name = problem.kind.value
            report.failures[name] = report.failures.get(name, 0) + 1
            return
        for chain in parsed.chains:
            if self._confirms(chain, stored):
                report.confirming += 1
            else:
                grown = replace(self._finished(run, report), outcome=Outcome.RUNNING)
                self._renew(chain, parsed, stored, grown, report)

    def _read(self, stored: StoredResponse) -> ParsedChains:
        """The chain in *stored*. Raises by class of `core.errors`."""
        assert stored.expiry is not None
        return read_stored_chain(
            stored.source,
            stored.raw_response,
            stored.underlying,
            stored.expiry,
            live_key_of=self._live_key_of,
        )

    def _confirms(self, chain: Chain, stored: StoredResponse) -> bool:
        """Whether the snapshot before it has the same content."""
        at = stored.raw_response.received_at
        head = self._chains.head_of_receipt(chain.underlying, chain.expiry, chain.source, at)
        return head is not None and head.timestamp < at and head.content_hash == content_hash(chain)

    def _renew(
        self,
        chain: Chain,
        parsed: ParsedChains,
        stored: StoredResponse,
        run: SyncRun,
        report: ReprocessReport,
    ) -> None:
        response = ParsedResponse(
            chains=[chain],
            received_at=stored.raw_response.received_at,
            rejected=parsed.rejected,
        )
        [received] = self._enricher.received([response])
        if self._chains.holds(received):
            report.unchanged += 1
            return
        write = partial(self._chains.renew, received, run)
        match keep_writing(partial(with_days_back, write, self._bring_back), self._clock):
            case ReceiptResult.RENEWED:
                report.renewed += 1
            case ReceiptResult.STORED:
                report.added += 1
            case _:
                report.confirming += 1

    def _finished(self, run: SyncRun, report: ReprocessReport) -> SyncRun:
        unread = sum(report.failures.values())
        return run.finish(
            self._clock.now(),
            Outcome.INCOMPLETE if unread else Outcome.COMPLETED,
            requested=report.bodies,
            stored=report.renewed + report.added,
            absent=unread,
            error=f"{unread} stored responses hold no chain" if unread else None,
            details={
                "repeated": report.confirming + report.unchanged,
                "faults": dict(report.failures),
            },
        )
