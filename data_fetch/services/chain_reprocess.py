"""The tables of chains worked out again from the raw vault, as this version reads bodies.

What was received when stays as it is; what it told is read and priced anew, by the same rules
as when it came. A body that an earlier version could not read becomes the snapshot that it is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from data_fetch.archive.raw_responses import StoredResponse
from data_fetch.core.chains.chains import Chain, ParsedChains, content_hash
from data_fetch.core.errors import DataFetchError
from data_fetch.core.ports import Clock
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import CHAIN_REPROCESS
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.sources.captured_chains import read_stored_chain
from data_fetch.storage.chains.snapshots import ChainStore, ReceiptResult


@dataclass(slots=True)
class ReprocessReport:
    """What working tables out again came to.

    *renewed* snapshots were written anew, *added* ones had not been there, *confirming* bodies
    told what the one before them did; *failures* counts bodies without a chain, by failure.
    """

    bodies: int = 0
    renewed: int = 0
    added: int = 0
    confirming: int = 0
    failures: dict[str, int] = field(default_factory=dict)


class ChainReprocess:
    """*live_key_of* gives the key under which Upstox knows an underlying, None if nobody does.

    *strikes* is how many of a symbol's strikes are wanted on each side of the money by now.
    """

    def __init__(
        self,
        *,
        chains: ChainStore,
        enricher: ChainEnricher,
        clock: Clock,
        live_key_of: Callable[[str], str | None],
        strikes: Mapping[str, int | None],
    ) -> None:
        self._chains = chains
        self._enricher = enricher
        self._clock = clock
        self._live_key_of = live_key_of
        self._strikes = strikes

    def run(self, bodies: Iterable[StoredResponse]) -> ReprocessReport:
        """Go through *bodies*, in the order in which they were received."""
        report = ReprocessReport()
        run = SyncRun.begin(CHAIN_REPROCESS, self._clock.now())
        for kept in bodies:
            # Others are about which expiries are listed, not about a chain.
            if kept.expiry is not None:
                report.bodies += 1
                self._settle(kept, run, report)
        self._chains.record([], self._grown(run, report), [])
        return report

    def _settle(self, kept: StoredResponse, run: SyncRun, report: ReprocessReport) -> None:
        try:
            told = self._read(kept).around_the_money(self._strikes.get(kept.underlying))
        except DataFetchError as problem:
            name = problem.kind.value
            report.failures[name] = report.failures.get(name, 0) + 1
            return
        for chain in told.chains:
            if self._confirms(chain, kept):
                report.confirming += 1
            else:
                self._renew(chain, told, kept, self._grown(run, report), report)

    def _read(self, kept: StoredResponse) -> ParsedChains:
        """What *kept* tells of the chain it was asked for. Raises by class of `core.errors`."""
        assert kept.expiry is not None
        return read_stored_chain(
            kept.source,
            kept.raw_response,
            kept.underlying,
            kept.expiry,
            live_key_of=self._live_key_of,
        )

    def _confirms(self, chain: Chain, kept: StoredResponse) -> bool:
        """Whether all there is to say of it stands in the snapshot before it."""
        at = kept.raw_response.received_at
        head = self._chains.head_of_receipt(chain.underlying, chain.expiry, chain.source, at)
        return head is not None and head.timestamp < at and head.content_hash == content_hash(chain)

    def _renew(
        self,
        chain: Chain,
        told: ParsedChains,
        kept: StoredResponse,
        run: SyncRun,
        report: ReprocessReport,
    ) -> None:
        answer = ParsedResponse(
            chains=[chain], received_at=kept.raw_response.received_at, rejected=len(told.rejected)
        )
        [received] = self._enricher.received([answer])
        match self._chains.renew(received, run):
            case ReceiptResult.RENEWED:
                report.renewed += 1
            case ReceiptResult.STORED:
                report.added += 1
            case _:
                report.confirming += 1

    def _grown(self, run: SyncRun, report: ReprocessReport) -> SyncRun:
        unread = sum(report.failures.values())
        return run.finish(
            self._clock.now(),
            Outcome.INCOMPLETE if unread else Outcome.COMPLETED,
            requested=report.bodies,
            stored=report.renewed + report.added,
            absent=unread,
            error=f"{unread} kept answers hold no chain" if unread else None,
            details={"repeated": report.confirming, "faults": dict(report.failures)},
        )
