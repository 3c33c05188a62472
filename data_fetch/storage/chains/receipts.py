"""Turns the receipts of a chain into snapshots.

The receipts of a series (underlying, expiry, source) are ordered by the time they were received;
consecutive ones with the same content are one snapshot, identified by the time of the first. The
result does not depend on the order in which receipts are stored: one that falls between others
may divide a snapshot or join two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Table,
    and_,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from data_fetch.core.archive.days import Dataset, day_of
from data_fetch.core.chains.chains import ChainSource, content_hash
from data_fetch.core.clock import END_OF_TIME
from data_fetch.core.errors import DayArchived, StoreUnreachable
from data_fetch.storage.archive_ledger import accept_rows, days_in_files
from data_fetch.storage.chains.heads import heads_at, in_series
from data_fetch.storage.chains.rows import (
    SNAPSHOT_COLUMNS,
    SUMMARY_COLUMNS,
    Received,
    SeriesKey,
    SnapshotHead,
    StoredChain,
    head_of,
    head_row,
    legs_table,
    receipts,
    snapshots,
    summaries,
    summary_row,
    write_legs,
)
from data_fetch.storage.database.dialects import wait_for_turn, wait_while_alone
from data_fetch.storage.database.partitions import cover
from data_fetch.storage.database.upsert import upsert

# An arbitrary number, unique among the advisory locks of a database.
CHAIN_LOCK = 4_630_914_004
MICROSECOND = timedelta(microseconds=1)

RECEIPT_COLUMNS = tuple(each.name for each in receipts.columns)
SNAPSHOT_TABLES = (snapshots, legs_table, summaries)


class ReceiptResult(StrEnum):
    """The result of storing a receipt."""

    STORED = "stored"
    CONFIRMED = "confirmed"
    REPEATED = "repeated"
    """It was stored already."""
    SUPERSEDED = "superseded"
    """It was to confirm a content that is no longer the newest: nothing was written."""
    RENEWED = "renewed"
    """The content of its snapshot was replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One chain, received once. *received* is stored if its content is new; without it the
    receipt can only confirm a stored content."""

    underlying: str
    expiry: date
    source: ChainSource
    received_at: datetime
    exchange_time: datetime | None
    content_hash: str
    run_id: str
    received: Received | None = None

    @property
    def series(self) -> SeriesKey:
        return self.underlying, self.expiry, self.source.value


@dataclass(frozen=True, slots=True)
class Settled:
    """The *result* of a receipt, and the timestamp of the snapshot that it made or confirmed."""

    result: ReceiptResult
    timestamp: datetime | None


def receipt_of(received: Received, run_id: str) -> Receipt:
    chain = received.chain
    return Receipt(
        underlying=chain.underlying,
        expiry=chain.expiry,
        source=chain.source,
        received_at=received.received_at.astimezone(UTC),
        exchange_time=chain.exchange_time,
        content_hash=content_hash(chain),
        run_id=run_id,
        received=received,
    )


def begin_chain_writing(connection: Connection) -> None:
    """Make this transaction the only one that writes chains, until it ends.

    Call it before anything is read that decides what will be written.
    """
    wait_for_turn(connection, CHAIN_LOCK)


def settle(connection: Connection, offered: Sequence[Receipt]) -> list[Settled]:
    """Write the receipts *offered*, in any order; the result of each, in the order given.

    The transaction must have begun with `begin_chain_writing`. Raises DayArchived for a day that is
    read from its files.
    """
    accept_rows(connection, Dataset.CHAINS, (receipt.received_at for receipt in offered))
    newest = heads_at(connection, {receipt.series: END_OF_TIME for receipt in offered})
    batch = _Batch(newest)
    results: dict[int, Settled] = {}
    late: list[int] = []
    for place in sorted(range(len(offered)), key=lambda each: offered[each].received_at):
        settled = batch.settle(offered[place])
        if settled is None:
            late.append(place)
        else:
            results[place] = settled
    batch.write(connection)
    for place in late:
        results[place] = _settle_late(connection, offered[place])
    return [results[place] for place in range(len(offered))]


class _Batch:
    """Collects the rows for receipts that are newer than all stored ones."""

    def __init__(self, newest: dict[SeriesKey, SnapshotHead]) -> None:
        self._newest = newest
        self._receipts: list[Receipt] = []
        self._changed: dict[Any, SnapshotHead] = {}
        self._new: list[StoredChain] = []

    def settle(self, receipt: Receipt) -> Settled | None:
        """The result; None if a later receipt is stored, so that its neighbours have to be read."""
        head = self._newest.get(receipt.series)
        if head is not None and receipt.received_at <= head.last_confirmed:
            return None
        if head is not None and head.content_hash == receipt.content_hash:
            head = replace(
                head,
                confirmations=head.confirmations + 1,
                last_confirmed=receipt.received_at,
            )
            result = ReceiptResult.CONFIRMED
        elif receipt.received is None:
            return Settled(ReceiptResult.SUPERSEDED, None)
        else:
            head = _new_head(receipt, receipt.received, receipt.received_at)
            self._new.append(StoredChain(head, receipt.received))
            result = ReceiptResult.STORED
        self._newest[receipt.series] = self._changed[head.key] = head
        self._receipts.append(receipt)
        return Settled(result, head.timestamp)

    def write(self, connection: Connection) -> None:
        _write_receipts(connection, self._receipts)
        _write_heads(connection, list(self._changed.values()))
        _write_contents(connection, self._new)


def begin_valuing(connection: Connection) -> None:
    """Let no other transaction rearrange chains until this one ends; any number of them may value
    chains at a time."""
    wait_while_alone(connection, CHAIN_LOCK)


def store_valuation(
    connection: Connection, head: SnapshotHead, received: Received, run_id: str
) -> None:
    """Replace legs and summary of the snapshot *head* by those with their valuation in *received*.

    The content keeps its hash: what is read from the store may be written differently (100.0 for
    100), and the next response is compared with what was received.

    The transaction must have begun with `begin_valuing`. Raises DayArchived as `settle` does, and
    StoreUnreachable when there is no such snapshot any more.
    """
    accept_rows(connection, Dataset.CHAINS, [head.timestamp])
    query = select(snapshots).where(
        *_of_snapshot(snapshots, head), snapshots.c.content_hash == head.content_hash
    )
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        raise StoreUnreachable(f"the snapshots of {head.underlying} were divided anew meanwhile")
    # As it is now: it may have been confirmed since.
    head = replace(head_of(row), lot_size=received.lot_size, run_id=run_id)
    for target in (legs_table, summaries):
        connection.execute(delete(target).where(*_of_snapshot(target, head)))
    _write_heads(connection, [head])
    _write_contents(connection, [StoredChain(head, received)])


def renew(connection: Connection, receipt: Receipt) -> ReceiptResult:
    """Store *receipt* again as the current parser reads it; this may make a snapshot of its own.

    Call it in the order in which the receipts were received. The transaction must have begun
    with `begin_chain_writing`. Raises as `settle` does.
    """
    accept_rows(connection, Dataset.CHAINS, [receipt.received_at])
    series, at = receipt.series, receipt.received_at
    if not was_received(connection, series, at):
        [settled] = settle(connection, [receipt])
        return settled.result
    head = heads_at(connection, {series: at})[series]
    if head.timestamp == at:
        _replace_contents(connection, head, receipt)
        _arrange(connection, series, at)
        return ReceiptResult.RENEWED
    if head.content_hash == receipt.content_hash:
        return ReceiptResult.CONFIRMED
    _insert(connection, receipt)
    return ReceiptResult.STORED


def _settle_late(connection: Connection, receipt: Receipt) -> Settled:
    """Store a receipt among stored ones of which some are later."""
    known_at = _same_document(connection, receipt)
    while known_at is None and (stored_hash := _content_of(connection, receipt)) is not None:
        if stored_hash == receipt.content_hash:
            known_at = receipt.received_at
        else:
            # Documents without a receive time of their own share the exchange's stamp.
            receipt = replace(receipt, received_at=receipt.received_at + MICROSECOND)
    if known_at is not None:
        return Settled(ReceiptResult.REPEATED, _timestamp_at(connection, receipt.series, known_at))
    at = receipt.received_at
    head = heads_at(connection, {receipt.series: at}).get(receipt.series)
    confirms = head is not None and head.content_hash == receipt.content_hash
    if not confirms and receipt.received is None:
        return Settled(ReceiptResult.SUPERSEDED, None)
    if confirms:
        _write_receipts(connection, [receipt])
        _arrange(connection, receipt.series, at)
    else:
        _insert(connection, receipt)
    result = ReceiptResult.CONFIRMED if confirms else ReceiptResult.STORED
    return Settled(result, _timestamp_at(connection, receipt.series, at))


def _insert(connection: Connection, receipt: Receipt) -> None:
    """Make *receipt* a snapshot of its own among the stored ones."""
    assert receipt.received is not None
    stored = StoredChain(
        _new_head(receipt, receipt.received, receipt.received_at), receipt.received
    )
    _write_receipts(connection, [receipt])
    _write_heads(connection, [stored.head])
    _write_contents(connection, [stored])
    _arrange(connection, receipt.series, receipt.received_at)


def _same_document(connection: Connection, receipt: Receipt) -> datetime | None:
    """When the same document, which has no receive time of its own, was received before."""
    if receipt.received_at != receipt.exchange_time:
        return None
    query = (
        select(receipts.c.received_at)
        .where(
            *in_series(receipts, receipt.series),
            receipts.c.received_at >= receipt.received_at,
            receipts.c.exchange_time == receipt.exchange_time,
            receipts.c.content_hash == receipt.content_hash,
        )
        .order_by(receipts.c.received_at)
        .limit(1)
    )
    found: datetime | None = connection.scalar(query)
    return found


def _content_of(connection: Connection, receipt: Receipt) -> str | None:
    return _content_at(connection, receipt.series, receipt.received_at)


def was_received(connection: Connection, series: SeriesKey, at: datetime) -> bool:
    """Whether a chain of *series* was received at exactly that instant."""
    return _content_at(connection, series, at) is not None


def _content_at(connection: Connection, series: SeriesKey, at: datetime) -> str | None:
    """The hash of the content that was received at exactly that instant."""
    query = select(receipts.c.content_hash).where(
        *in_series(receipts, series), receipts.c.received_at == at
    )
    found: str | None = connection.scalar(query)
    return found


def _timestamp_at(connection: Connection, series: SeriesKey, at: datetime) -> datetime:
    """The snapshot that a receipt at that instant belongs to."""
    return heads_at(connection, {series: at})[series].timestamp


def _arrange(connection: Connection, series: SeriesKey, at: datetime) -> None:
    """Rebuild the snapshots around *at* from the receipts.

    All their contents are stored, each under the timestamp of one of its receipts.
    """
    first, end = _neighbourhood(connection, series, at)
    heads = {
        head.timestamp: head
        for head in map(
            head_of,
            connection.execute(
                select(snapshots).where(
                    *in_series(snapshots, series), _within(snapshots, first, end)
                )
            ),
        )
    }
    arranged = _arranged(connection, series, first, end, heads.values())
    for head, donor in arranged:
        if head.timestamp not in heads:
            _copy_contents(connection, donor, head)
    remaining = {head.timestamp for head, _ in arranged}
    for head in heads.values():
        if head.timestamp not in remaining:
            _delete_snapshot(connection, head)
    _write_heads(connection, [head for head, _ in arranged])


def _neighbourhood(
    connection: Connection, series: SeriesKey, at: datetime
) -> tuple[datetime, datetime]:
    """From the snapshot before *at* to the end of the one after it."""
    stamp = snapshots.c.timestamp
    of_series = in_series(snapshots, series)
    before = select(func.max(stamp)).where(*of_series, stamp < at)
    after = select(stamp).where(*of_series, stamp > at).order_by(stamp).limit(2)
    first = connection.scalar(before) or at
    following = list(connection.scalars(after))
    return first, following[1] if len(following) > 1 else END_OF_TIME


def _arranged(
    connection: Connection,
    series: SeriesKey,
    first: datetime,
    end: datetime,
    heads: Iterable[SnapshotHead],
) -> list[tuple[SnapshotHead, SnapshotHead]]:
    """The heads that follow from the receipts in [first, end), each with a stored one of the same
    content."""
    query = (
        select(receipts.c.received_at, receipts.c.exchange_time, receipts.c.content_hash)
        .where(
            *in_series(receipts, series),
            receipts.c.received_at >= first,
            receipts.c.received_at < end,
        )
        .order_by(receipts.c.received_at)
    )
    by_timestamp = {head.timestamp: head for head in heads}
    by_content = {head.content_hash: head for head in by_timestamp.values()}
    arranged = []
    for content, alike in groupby(connection.execute(query), attrgetter("content_hash")):
        run = list(alike)
        first_receipt, confirmed = run[0], run[-1].received_at
        donor = by_timestamp.get(first_receipt.received_at) or by_content.get(content)
        if donor is None:
            # It was received first on a day whose rows are in files.
            raise DayArchived(Dataset.CHAINS, [_day_in_files_before(connection, confirmed)])
        head = replace(
            donor,
            timestamp=first_receipt.received_at,
            exchange_time=first_receipt.exchange_time,
            confirmations=len(run),
            last_confirmed=confirmed,
        )
        arranged.append((head, donor))
    return arranged


def _day_in_files_before(connection: Connection, at: datetime) -> date:
    return days_in_files(connection, Dataset.CHAINS, date.min, day_of(at))[-1]


def _new_head(receipt: Receipt, received: Received, timestamp: datetime) -> SnapshotHead:
    chain = received.chain
    return SnapshotHead(
        underlying=chain.underlying,
        expiry=chain.expiry,
        timestamp=timestamp,
        source=chain.source.value,
        exchange_time=receipt.exchange_time,
        content_hash=receipt.content_hash,
        unit=chain.unit.value,
        spot=chain.spot,
        lot_size=received.lot_size,
        legs=len(chain.legs),
        confirmations=1,
        last_confirmed=timestamp,
        rejected=received.rejected,
        run_id=receipt.run_id,
    )


def _write_receipts(connection: Connection, offered: Sequence[Receipt]) -> None:
    rows = [
        (
            *receipt.series,
            receipt.received_at,
            receipt.exchange_time,
            receipt.content_hash,
            receipt.run_id,
        )
        for receipt in offered
    ]
    upsert(connection, receipts, RECEIPT_COLUMNS, rows)


def _write_heads(connection: Connection, heads: Sequence[SnapshotHead]) -> None:
    upsert(connection, snapshots, SNAPSHOT_COLUMNS, list(map(head_row, heads)))


def _write_contents(connection: Connection, stored: Sequence[StoredChain]) -> None:
    write_legs(connection, stored)
    upsert(connection, summaries, SUMMARY_COLUMNS, list(map(summary_row, stored)))


def _replace_contents(connection: Connection, head: SnapshotHead, receipt: Receipt) -> None:
    """Replace the content of the snapshot *head* by that of *receipt*, its first one.

    The receipts that confirmed it get the new content too, until they are read again themselves.
    """
    assert receipt.received is not None
    renewed = replace(
        _new_head(receipt, receipt.received, head.timestamp),
        confirmations=head.confirmations,
        last_confirmed=head.last_confirmed,
    )
    _delete_snapshot(connection, head)
    _write_heads(connection, [renewed])
    _write_contents(connection, [StoredChain(renewed, receipt.received)])
    of_series = and_(*in_series(receipts, head.series))
    all_of_them = receipts.c.received_at.between(head.timestamp, head.last_confirmed)
    connection.execute(
        update(receipts).values(content_hash=renewed.content_hash).where(of_series, all_of_them)
    )
    first = receipts.c.received_at == head.timestamp
    connection.execute(
        update(receipts).values(exchange_time=renewed.exchange_time).where(of_series, first)
    )


def _copy_contents(connection: Connection, donor: SnapshotHead, head: SnapshotHead) -> None:
    """Copy the rows of *donor* under the timestamp of *head*."""
    changed = {"timestamp": head.timestamp, "exchange_time": head.exchange_time}
    day = day_of(head.timestamp)
    for target in (legs_table, summaries):
        values = [
            literal(changed[each.name], each.type) if each.name in changed else each
            for each in target.columns
        ]
        rows = select(*values).where(*_of_snapshot(target, donor))
        cover(connection, target.name, [day])
        connection.execute(insert(target).from_select(list(target.columns.keys()), rows))


def _delete_snapshot(connection: Connection, head: SnapshotHead) -> None:
    for target in SNAPSHOT_TABLES:
        connection.execute(delete(target).where(*_of_snapshot(target, head)))


def _of_snapshot(of: Table, head: SnapshotHead) -> list[ColumnElement[bool]]:
    return [*in_series(of, head.series), of.c.timestamp == head.timestamp]


def _within(of: FromClause, first: datetime, end: datetime) -> ColumnElement[bool]:
    return and_(of.c.timestamp >= first, of.c.timestamp < end)
