"""Own option numbers by workers: a chain is stored as it was received, and a worker prices it.

The unit is offered in the transaction that stores the chain, and settled in the one that stores
its numbers.
"""

from dataclasses import replace
from datetime import date, datetime

from sqlalchemy import Connection

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.valuation import NOT_PRICED
from data_fetch.core.errors import NothingStored
from data_fetch.core.ports import Clock
from data_fetch.core.runs import Outcome
from data_fetch.core.work import UnitKind, UnitOffer
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.services.late_days import BringBack, with_days_back
from data_fetch.storage.chains.snapshots import (
    Beside,
    ChainStore,
    ReceiptResult,
    Recorded,
    RecordedChains,
    StoredSnapshot,
)
from data_fetch.storage.database.store import Store
from data_fetch.storage.work_units import UnitLease, offer_units


def offering_to_price(clock: Clock) -> Beside:
    """Offers each new snapshot to be priced, in the transaction that stores it. *clock* is that of
    the machine."""

    def offer(connection: Connection, recorded: RecordedChains) -> None:
        offers = [_offer(each) for each in recorded.chains if each.result is ReceiptResult.STORED]
        if offers:
            offer_units(connection, offers, clock.now())

    return offer


class ChainUnits:
    """Prices stored chains. *clock* is that of the machine, *bring_back* is called with days that
    are in the archive only."""

    def __init__(
        self, store: Store, enricher: ChainEnricher, clock: Clock, bring_back: BringBack
    ) -> None:
        self._store = store
        self._chains = ChainStore(store)
        self._enricher = enricher
        self._clock = clock
        self._bring_back = bring_back

    def do(self, lease: UnitLease) -> None:
        """Price the snapshot of a unit, and settle the unit with its numbers.

        One that has been priced meanwhile stays as it is. Raises NothingStored when the store has
        no such receipt.
        """
        stored = self._snapshot(lease)
        if stored.summary.priced.convention != NOT_PRICED:
            with self._store.writing() as connection:
                lease.settle(connection, self._clock.now())
            return
        response = ParsedResponse(chains=[stored.chain], received_at=stored.timestamp)
        [received] = self._enricher.received([response])
        priced = replace(
            received,
            rejected=stored.head.rejected,
            instrument_keys=stored.instrument_keys,
        )

        def write() -> None:
            now = self._clock.now()
            run = lease.begun.finish(now, Outcome.COMPLETED, requested=1, stored=1)
            ChainStore(self._store, lease.settling(now)).store_valuation(stored.head, priced, run)

        with_days_back(write, self._bring_back)

    def _snapshot(self, lease: UnitLease) -> StoredSnapshot:
        subject = lease.unit.subject
        stored = self._chains.snapshot_of_receipt(
            subject["underlying"],
            date.fromisoformat(subject["expiry"]),
            ChainSource(subject["source"]),
            datetime.fromisoformat(subject["received_at"]),
        )
        if stored is None:
            raise NothingStored(
                f"the store has no chain of {lease.unit.key}",
                hint="Does the worker have the same DATABASE_URL as the collector?",
            )
        return stored


def _offer(recorded: Recorded) -> UnitOffer:
    series = (recorded.underlying, recorded.expiry.isoformat(), recorded.source.value)
    received_at = recorded.received_at.isoformat()
    return UnitOffer(
        kind=UnitKind.ENRICHMENT,
        content=(*series, received_at),
        subject={
            **dict(zip(("underlying", "expiry", "source"), series, strict=True)),
            "received_at": received_at,
        },
    )
