"""The tables of chains worked out again from the raw vault, as this version reads bodies.

What was received when, and how often, stays; what it told is read and priced anew. A body that
an earlier version could not read becomes the snapshot that it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from data_fetch.chain_enricher import ChainEnricher, Told
from data_fetch.core.chains import Chain, ChainFault, ReadChains
from data_fetch.core.ports import Clock
from data_fetch.core.records import Outcome, SyncRun, new_run_id
from data_fetch.core.timetable import CHAIN_REDERIVE
from data_fetch.sources.chain_documents import CapturedDocument, read_document
from data_fetch.storage.chains import ChainStore, Received
from data_fetch.storage.vault import Kept


@dataclass(slots=True)
class RederiveReport:
    """What working tables out again came to.

    *renewed* snapshots were written anew, *added* ones had not been there, *confirming* bodies
    told what the one before them did; *faults* counts bodies without a chain, by fault.
    """

    bodies: int = 0
    renewed: int = 0
    added: int = 0
    confirming: int = 0
    faults: dict[str, int] = field(default_factory=dict)


class ChainRederive:
    """*strikes* is how many of a symbol's strikes are kept, as it was when they were polled."""

    def __init__(
        self,
        *,
        chains: ChainStore,
        enricher: ChainEnricher,
        clock: Clock,
        strikes: Mapping[str, int | None],
    ) -> None:
        self._chains = chains
        self._enricher = enricher
        self._clock = clock
        self._strikes = strikes

    def run(self, bodies: Iterable[Kept]) -> RederiveReport:
        """Go through *bodies*, in the order in which they were received."""
        report = RederiveReport()
        now = self._clock.now()
        run = SyncRun(
            run_id=new_run_id(),
            job=CHAIN_REDERIVE,
            due_slot=None,
            started_at=now,
            finished_at=now,
            outcome=Outcome.COMPLETED,
        )
        for kept in bodies:
            if kept.expiry is None:
                # About which expiries are listed, not about a chain.
                continue
            report.bodies += 1
            try:
                told = read_document(CapturedDocument(kept.underlying, None, kept.payload.body))
            except ChainFault as problem:
                name = problem.fault.value
                report.faults[name] = report.faults.get(name, 0) + 1
                continue
            for chain in told.chains:
                self._settle(replace(chain, underlying=kept.underlying), told, kept, run, report)
        return report

    def _settle(
        self, chain: Chain, told: ReadChains, kept: Kept, run: SyncRun, report: RederiveReport
    ) -> None:
        at = kept.payload.received_at
        head = self._chains.head_of_receipt(chain.underlying, chain.expiry, chain.source, at)
        if head is not None and head.timestamp < at:
            report.confirming += 1
            return
        [received] = self._received(chain, told, kept)
        run = self._grown(run, report)
        if head is None:
            self._chains.record([received], run, [])
            report.added += 1
        else:
            self._chains.replace(received, at, run)
            report.renewed += 1

    def _received(self, chain: Chain, told: ReadChains, kept: Kept) -> list[Received]:
        answer = Told(
            chains=[chain],
            received_at=kept.payload.received_at,
            strikes=self._strikes.get(chain.underlying),
            set_aside=len(told.set_aside),
        )
        return self._enricher.received([answer])

    def _grown(self, run: SyncRun, report: RederiveReport) -> SyncRun:
        return replace(
            run,
            finished_at=self._clock.now(),
            requested=report.bodies,
            stored=report.renewed + report.added + 1,
            details={"faults": dict(report.faults)},
        )
