"""Stores option chains as snapshots by content, and reads them as of any instant."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise
from operator import attrgetter
from statistics import median

from sqlalchemy import Connection, func, select

from data_fetch.core.chains.chain_lineage import ChainLineage
from data_fetch.core.chains.chains import Chain, ChainSource, content_hash
from data_fetch.core.chains.freshness import LastReceipt
from data_fetch.core.runs import SyncAttempt, SyncRun
from data_fetch.storage.archive_ledger import chains_in_files
from data_fetch.storage.chains.archived import newest_in_files, underlyings_in_files
from data_fetch.storage.chains.heads import (
    ChainHead,
    chain_parts,
    heads_at,
    heads_between,
    in_series,
    newest_head,
    newest_heads,
    not_over,
    underlyings,
)
from data_fetch.storage.chains.lineage import chain_lineage, chain_lineages
from data_fetch.storage.chains.receipts import (
    Receipt,
    ReceiptResult,
    Settled,
    begin_chain_writing,
    begin_valuing,
    receipt_of,
    renew,
    settle,
    store_valuation,
    was_received,
)
from data_fetch.storage.chains.rows import (
    LegKey,
    Received,
    SnapshotHead,
    StoredSnapshot,
    read_snapshot,
    receipts,
    snapshots,
)
from data_fetch.storage.database.store import Guard, Store
from data_fetch.storage.instruments.contracts import refuse_invented_underlyings
from data_fetch.storage.runs import fold_attempts, write_runs

__all__ = [
    "ChainHolding",
    "ChainHoldings",
    "ChainStore",
    "Confirmation",
    "LegKey",
    "ReceiptResult",
    "Received",
    "Recorded",
    "RecordedChains",
    "SnapshotHead",
    "StoredSnapshot",
    "UnderlyingChains",
    "chain_holdings",
]

RECEIPTS_FOR_CADENCE = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A chain that was received again unchanged: its content is stored already."""

    underlying: str
    expiry: date
    source: ChainSource
    received_at: datetime
    exchange_time: datetime | None
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The result of one receipt; *timestamp* names the snapshot that it made or confirmed."""

    underlying: str
    expiry: date
    source: ChainSource
    received_at: datetime
    result: ReceiptResult
    timestamp: datetime | None


@dataclass(frozen=True, slots=True)
class RecordedChains:
    """The results of all receipts: those of priced chains in their order, then the confirmations.

    *superseded* confirmations were not written, because another content was stored meanwhile:
    those chains have to be priced and recorded.
    """

    chains: tuple[Recorded, ...]

    @property
    def stored(self) -> int:
        return self._count(ReceiptResult.STORED)

    @property
    def confirmed(self) -> int:
        return self._count(ReceiptResult.CONFIRMED)

    @property
    def repeated(self) -> int:
        return self._count(ReceiptResult.REPEATED)

    @property
    def superseded(self) -> tuple[Recorded, ...]:
        return tuple(each for each in self.chains if each.result is ReceiptResult.SUPERSEDED)

    def _count(self, result: ReceiptResult) -> int:
        return sum(each.result is result for each in self.chains)


# Writes what belongs to receipts, in their transaction.
Beside = Callable[[Connection, RecordedChains], None]


def nothing_beside(_connection: Connection, _recorded: RecordedChains) -> None:
    """Write nothing more."""


class ChainStore:
    """Stores option chains, and the audit of collecting them.

    With a *guard* (a scheduler's fence, the end of a unit) every write is checked against it.
    *beside* writes more in the transaction of `record`.
    """

    def __init__(
        self, store: Store, guard: Guard | None = None, beside: Beside = nothing_beside
    ) -> None:
        self._store = store
        self._guard = guard
        self._beside = beside

    def holdings(self) -> "ChainHoldings":
        """How much the store holds. Counts every snapshot."""
        return chain_holdings(self._store)

    def known(self, chains: Sequence[Chain], received_at: datetime) -> list[Confirmation | None]:
        """For each chain whose content is the newest at *received_at* already, its confirmation.

        None stands for a chain with new content, which has to be priced. Another program may
        write meanwhile, so `record` checks the confirmations again.
        """
        confirmations = [
            Confirmation(
                underlying=chain.underlying,
                expiry=chain.expiry,
                source=chain.source,
                received_at=received_at,
                exchange_time=chain.exchange_time,
                content_hash=content_hash(chain),
            )
            for chain in chains
        ]
        with self._store.reading() as connection:
            heads = heads_at(connection, {_series(each): received_at for each in confirmations})
        return [
            each if head is not None and head.content_hash == each.content_hash else None
            for each in confirmations
            for head in [heads.get(_series(each))]
        ]

    def record(
        self,
        priced: Sequence[Received],
        run: SyncRun,
        attempts: Sequence[SyncAttempt],
        confirmed: Sequence[Confirmation] = (),
    ) -> RecordedChains:
        """Snapshots, audit row and sync status in one transaction: all of it or nothing. The row of
        a *run* that is running counts these snapshots too.

        A chain with the content of the snapshot before it confirms that one; any other is a
        snapshot of its own, even with the same exchange time. Recording a receipt twice changes
        nothing, and receipts may be recorded in any order. Raises WrongWorld for an invented
        underlying in a live store, LostLeadership if the guard has lost the lead.
        """
        offered = [receipt_of(each, run.run_id) for each in priced]
        offered += [_receipt(each, run.run_id) for each in confirmed]
        with self._store.writing(self._guard) as connection:
            self._refuse_invented(connection, priced)
            begin_chain_writing(connection)
            settled = settle(connection, offered)
            recorded = RecordedChains(tuple(map(_recorded, offered, settled)))
            self._beside(connection, recorded)
            write_runs(connection, [run.with_stored(recorded.stored)])
            fold_attempts(connection, attempts)
        return recorded

    def renew(self, received: Received, run: SyncRun) -> ReceiptResult:
        """Replace the content of a stored receipt by *received*, parsed and priced again.

        Call it in the order of receipts. The times and the number of receipts do not change;
        their division into snapshots may. ReceiptResult.STORED: a snapshot was added. Raises as
        `record` does.
        """
        with self._store.writing(self._guard) as connection:
            self._refuse_invented(connection, [received])
            begin_chain_writing(connection)
            result = renew(connection, receipt_of(received, run.run_id))
            stored = result in {ReceiptResult.STORED, ReceiptResult.RENEWED}
            write_runs(connection, [run.with_stored(int(stored))])
        return result

    def store_valuation(self, head: SnapshotHead, received: Received, run: SyncRun) -> None:
        """Store the valuation in *received* of the stored snapshot *head*.

        Unlike `renew` it leaves receipts alone, so that several programs value chains at a time.
        Raises as `record` does, and StoreUnreachable when another content or another division into
        snapshots has taken its place meanwhile.
        """
        with self._store.writing(self._guard) as connection:
            begin_valuing(connection)
            store_valuation(connection, head, received, run.run_id)
            write_runs(connection, [run])

    def holds(self, received: Received) -> bool:
        """Whether the receipt of that instant began a snapshot with this content and these
        numbers: then `renew` would change nothing."""
        chain = received.chain
        head = self.head_of_receipt(
            chain.underlying, chain.expiry, chain.source, received.received_at
        )
        if head is None or head.timestamp != received.received_at:
            return False
        if (head.content_hash, head.lot_size) != (content_hash(chain), received.lot_size):
            return False
        with self._store.reading() as connection:
            stored = read_snapshot(connection, head)
        return stored.summary == received.summary

    def _refuse_invented(self, connection: Connection, priced: Sequence[Received]) -> None:
        # Confirmations need no check: there is no stored content that they could confirm.
        underlyings = {each.chain.underlying for each in priced}
        refuse_invented_underlyings(connection, self._store.world, underlyings)

    def of(self, underlying: str) -> "UnderlyingChains":
        """The chains of *underlying*, which is named as `instruments_named` accepts it."""
        with self._store.reading() as connection:
            return UnderlyingChains(self._store, chain_lineage(connection, underlying))

    def head_of_receipt(
        self, underlying: str, expiry: date, source: ChainSource, received_at: datetime
    ) -> SnapshotHead | None:
        """The snapshot that the receipt of exactly that instant made or confirmed.

        None when there is no such receipt.
        """
        series = (underlying, expiry, source.value)
        with self._store.reading() as connection:
            if not was_received(connection, series, received_at):
                return None
            return heads_at(connection, {series: received_at}).get(series)

    def snapshot_of_receipt(
        self, underlying: str, expiry: date, source: ChainSource, received_at: datetime
    ) -> StoredSnapshot | None:
        """The same with its content: summary and legs."""
        head = self.head_of_receipt(underlying, expiry, source, received_at)
        if head is None:
            return None
        with self._store.reading() as connection:
            return read_snapshot(connection, head)


@dataclass(frozen=True, slots=True)
class UnderlyingChains:
    """The stored chains of one underlying, under all symbols that it had.

    Results have its present symbol, and of a chain whose expiry was moved the expiry in force; it
    is found by a former one too.
    """

    store: Store
    lineage: ChainLineage

    @property
    def symbol(self) -> str:
        return self.lineage.symbol

    def snapshot_at(
        self,
        expiry: date | None = None,
        at: datetime | None = None,
        source: ChainSource | None = None,
    ) -> StoredSnapshot | None:
        """The snapshot in force at *at*, as it was known then; None when there is none.

        Without *expiry*: of the nearest expiry that was not over at *at*, else the newest of any.
        Without *at*: as of the last receipt. Without *source*: of the source that reported last,
        even if the report only confirmed what was stored.
        """
        with self.store.reading() as connection:
            head = newest_head(connection, self.lineage, expiry, at, source)
            if head is None:
                return None
            return read_snapshot(connection, head.stored).shown_as(head.shown)

    def expiries_at(
        self, at: datetime | None = None, source: ChainSource | None = None
    ) -> list[date]:
        """The expiries, nearest first, that were known and not over at *at*; without *at*, at the
        last receipt."""
        with self.store.reading() as connection:
            known = newest_heads(connection, self.lineage, at, source)
            return [head.shown.expiry for head in not_over(connection, known, at)]

    def heads_of(
        self,
        expiry: date,
        first: datetime,
        last: datetime,
        source: ChainSource | None = None,
    ) -> list[SnapshotHead]:
        """The heads of the snapshots first received from *first* to *last*, oldest first."""
        with self.store.reading() as connection:
            found = [
                replace(head, underlying=self.symbol, expiry=part.expiry)
                for part in chain_parts(connection, self.lineage, expiry)
                for head in heads_between(
                    connection,
                    part.underlying,
                    part.stored_expiry,
                    max(first, part.first),
                    min(last, part.last),
                    source,
                )
            ]
        return sorted(found, key=attrgetter("timestamp", "source"))


def _series(of: Confirmation | Chain) -> tuple[str, date, str]:
    return of.underlying, of.expiry, of.source.value


def _receipt(confirmation: Confirmation, run_id: str) -> Receipt:
    return Receipt(
        underlying=confirmation.underlying,
        expiry=confirmation.expiry,
        source=confirmation.source,
        received_at=confirmation.received_at,
        exchange_time=confirmation.exchange_time,
        content_hash=confirmation.content_hash,
        run_id=run_id,
    )


def _recorded(receipt: Receipt, settled: Settled) -> Recorded:
    return Recorded(
        underlying=receipt.underlying,
        expiry=receipt.expiry,
        source=receipt.source,
        received_at=receipt.received_at,
        result=settled.result,
        timestamp=settled.timestamp,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainHolding:
    """The newest snapshot of one underlying, and the actual interval of its receipts.

    *underlying* is its present symbol. *cadence_seconds* is the median gap between its last
    receipts in the database; None before the second.
    """

    underlying: str
    expiry: date
    timestamp: datetime
    source: ChainSource
    last_confirmed: datetime
    cadence_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainHoldings:
    """The number of stored snapshots and legs, and the newest of each underlying, by name; those
    in files included."""

    snapshots: int
    legs: int
    underlyings: tuple[ChainHolding, ...]


def chain_holdings(store: Store) -> ChainHoldings:
    """What is stored. Counts every snapshot, so it takes a while on years of them."""
    with store.reading() as connection:
        query = select(func.count(), func.coalesce(func.sum(snapshots.c.legs), 0))
        count, legs = connection.execute(query.select_from(snapshots)).one()
        in_files = chains_in_files(connection).values()
        return ChainHoldings(
            snapshots=count + sum(snapshots_in_files for snapshots_in_files, _ in in_files),
            legs=int(legs) + sum(legs_in_files for _, legs_in_files in in_files),
            underlyings=tuple(_holdings(connection)),
        )


def _holdings(connection: Connection) -> Iterator[ChainHolding]:
    names = {*underlyings(connection), *underlyings_in_files(connection)}
    lineages = chain_lineages(connection, sorted(names))
    for lineage in sorted(lineages, key=attrgetter("symbol")):
        heads = newest_heads(connection, lineage)
        if heads:
            yield _holding(connection, max(heads, key=attrgetter("shown.last_confirmed")))
        elif newest := newest_in_files(connection, [name.label for name in lineage.names]):
            yield _holding_in_files(lineage, newest)


def _holding(connection: Connection, newest: ChainHead) -> ChainHolding:
    shown = newest.shown
    return ChainHolding(
        underlying=shown.underlying,
        expiry=shown.expiry,
        timestamp=shown.timestamp,
        source=ChainSource(shown.source),
        last_confirmed=shown.last_confirmed,
        cadence_seconds=_cadence(connection, newest.stored),
    )


def _holding_in_files(of: ChainLineage, newest: LastReceipt) -> ChainHolding:
    return ChainHolding(
        underlying=of.symbol,
        expiry=of.in_force(newest.expiry),
        timestamp=newest.unchanged_since,
        source=newest.source,
        last_confirmed=newest.received_at,
        cadence_seconds=None,
    )


def _cadence(connection: Connection, newest: SnapshotHead) -> float | None:
    query = (
        select(receipts.c.received_at)
        .where(
            *in_series(receipts, newest.series),
        )
        .order_by(receipts.c.received_at.desc())
        .limit(RECEIPTS_FOR_CADENCE)
    )
    received = list(connection.scalars(query))
    gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(received)]
    return median(gaps) if gaps else None
