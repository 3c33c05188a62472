"""Which receipts of a chain make one snapshot.

The receipts of a series (underlying, expiry, source) lie in the order in which they were
received; those in a row that tell the same are one snapshot, named after the first. It comes to
the same in whatever order receipts arrive here: one that falls between others may divide a
snapshot or join two.
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

from data_fetch.core.chains.chains import ChainSource, content_hash
from data_fetch.storage.chains.heads import END_OF_TIME, heads_at, in_series
from data_fetch.storage.chains.rows import (
    SNAPSHOT_COLUMNS,
    SUMMARY_COLUMNS,
    Received,
    Series,
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
from data_fetch.storage.database.dialects import wait_for_turn
from data_fetch.storage.database.upsert import upsert

# Any number that nobody else uses for an advisory lock in the same database.
CHAIN_LOCK = 4_630_914_004
MICROSECOND = timedelta(microseconds=1)

RECEIPT_COLUMNS = tuple(each.name for each in receipts.columns)
SNAPSHOT_TABLES = (snapshots, legs_table, summaries)


class ReceiptResult(StrEnum):
    """What became of a receipt."""

    STORED = "stored"
    CONFIRMED = "confirmed"
    REPEATED = "repeated"
    """It was on record already."""
    SUPERSEDED = "displaced"
    """Its content is not the one it was to confirm: nothing was written."""
    RENEWED = "renewed"
    """What its snapshot tells is written anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A source told a chain. *received* is what to store should it be news; without it the
    receipt can only confirm what is there."""

    underlying: str
    expiry: date
    source: ChainSource
    received_at: datetime
    exchange_time: datetime | None
    content_hash: str
    run_id: str
    received: Received | None = None

    @property
    def series(self) -> Series:
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
    """Wait for our turn: one writer of chains at a time, until the transaction ends.

    To be called before anything is read that decides what will be written.
    """
    wait_for_turn(connection, CHAIN_LOCK)


def settle(connection: Connection, told: Sequence[Receipt]) -> list[Settled]:
    """Write *told*, in whatever order they are; what became of each, in the order given.

    The transaction must have begun with `begin_chain_writing`.
    """
    newest = heads_at(connection, {receipt.series: END_OF_TIME for receipt in told})
    batch = _Batch(newest)
    results: dict[int, Settled] = {}
    late: list[int] = []
    for place in sorted(range(len(told)), key=lambda each: told[each].received_at):
        settled = batch.settle(told[place])
        if settled is None:
            late.append(place)
        else:
            results[place] = settled
    batch.write(connection)
    for place in late:
        results[place] = _settle_late(connection, told[place])
    return [results[place] for place in range(len(told))]


class _Batch:
    """Receipts that are newer than all there are: what has to be written for them."""

    def __init__(self, newest: dict[Series, SnapshotHead]) -> None:
        self._newest = newest
        self._receipts: list[Receipt] = []
        self._changed: dict[Any, SnapshotHead] = {}
        self._news: list[StoredChain] = []

    def settle(self, receipt: Receipt) -> Settled | None:
        """None when something later is there, so that looking is needed."""
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
            self._news.append(StoredChain(head, receipt.received))
            result = ReceiptResult.STORED
        self._newest[receipt.series] = self._changed[head.key] = head
        self._receipts.append(receipt)
        return Settled(result, head.timestamp)

    def write(self, connection: Connection) -> None:
        _write_receipts(connection, self._receipts)
        _write_heads(connection, list(self._changed.values()))
        _write_contents(connection, self._news)


def renew(connection: Connection, receipt: Receipt) -> ReceiptResult:
    """Let *receipt* tell what it tells as it is read by now, which may be news.

    Receipts are to come in the order in which they were received. The transaction must have
    begun with `begin_chain_writing`.
    """
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
    _place(connection, receipt)
    return ReceiptResult.STORED


def _settle_late(connection: Connection, receipt: Receipt) -> Settled:
    """Let a receipt fall into place among those that are there."""
    there = _same_document(connection, receipt)
    while there is None and (taken := _taken_by(connection, receipt)) is not None:
        if taken == receipt.content_hash:
            there = receipt.received_at
        else:
            # Documents without a receive time of their own share the exchange's stamp.
            receipt = replace(receipt, received_at=receipt.received_at + MICROSECOND)
    if there is not None:
        return Settled(ReceiptResult.REPEATED, _timestamp_at(connection, receipt.series, there))
    at = receipt.received_at
    head = heads_at(connection, {receipt.series: at}).get(receipt.series)
    confirms = head is not None and head.content_hash == receipt.content_hash
    if not confirms and receipt.received is None:
        return Settled(ReceiptResult.SUPERSEDED, None)
    if confirms:
        _write_receipts(connection, [receipt])
        _arrange(connection, receipt.series, at)
    else:
        _place(connection, receipt)
    result = ReceiptResult.CONFIRMED if confirms else ReceiptResult.STORED
    return Settled(result, _timestamp_at(connection, receipt.series, at))


def _place(connection: Connection, receipt: Receipt) -> None:
    """Let *receipt* be a snapshot of its own among those that are there."""
    assert receipt.received is not None
    placed = StoredChain(
        _new_head(receipt, receipt.received, receipt.received_at), receipt.received
    )
    _write_receipts(connection, [receipt])
    _write_heads(connection, [placed.head])
    _write_contents(connection, [placed])
    _arrange(connection, receipt.series, receipt.received_at)


def _same_document(connection: Connection, receipt: Receipt) -> datetime | None:
    """When a document that tells no receive time of its own was received before."""
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


def _taken_by(connection: Connection, receipt: Receipt) -> str | None:
    return _content_at(connection, receipt.series, receipt.received_at)


def was_received(connection: Connection, series: Series, at: datetime) -> bool:
    """Whether a chain of *series* was received at just that instant."""
    return _content_at(connection, series, at) is not None


def _content_at(connection: Connection, series: Series, at: datetime) -> str | None:
    """What was received at just that instant."""
    query = select(receipts.c.content_hash).where(
        *in_series(receipts, series), receipts.c.received_at == at
    )
    found: str | None = connection.scalar(query)
    return found


def _timestamp_at(connection: Connection, series: Series, at: datetime) -> datetime:
    """The snapshot that a receipt at that instant belongs to."""
    return heads_at(connection, {series: at})[series].timestamp


def _arrange(connection: Connection, series: Series, at: datetime) -> None:
    """Make the snapshots around *at* what the receipts say.

    The contents of all of them are there, each under the timestamp of one of its receipts.
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
    wanted = _wanted(connection, series, first, end, heads.values())
    for head, donor in wanted:
        if head.timestamp not in heads:
            _copy_contents(connection, donor, head)
    standing = {head.timestamp for head, _ in wanted}
    for head in heads.values():
        if head.timestamp not in standing:
            _delete_snapshot(connection, head)
    _write_heads(connection, [head for head, _ in wanted])


def _neighbourhood(
    connection: Connection, series: Series, at: datetime
) -> tuple[datetime, datetime]:
    """From the snapshot before *at* to the end of the one after it."""
    stamp = snapshots.c.timestamp
    of_series = in_series(snapshots, series)
    before = select(func.max(stamp)).where(*of_series, stamp < at)
    after = select(stamp).where(*of_series, stamp > at).order_by(stamp).limit(2)
    first = connection.scalar(before) or at
    following = list(connection.scalars(after))
    return first, following[1] if len(following) > 1 else END_OF_TIME


def _wanted(
    connection: Connection,
    series: Series,
    first: datetime,
    end: datetime,
    heads: Iterable[SnapshotHead],
) -> list[tuple[SnapshotHead, SnapshotHead]]:
    """What the receipts in [first, end) make: each head, and a stored one of its content."""
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
    wanted = []
    for content, alike in groupby(connection.execute(query), attrgetter("content_hash")):
        run = list(alike)
        begun, confirmed = run[0], run[-1].received_at
        donor = by_timestamp.get(begun.received_at, by_content[content])
        head = replace(
            donor,
            timestamp=begun.received_at,
            exchange_time=begun.exchange_time,
            confirmations=len(run),
            last_confirmed=confirmed,
        )
        wanted.append((head, donor))
    return wanted


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


def _write_receipts(connection: Connection, told: Sequence[Receipt]) -> None:
    rows = [
        (
            *receipt.series,
            receipt.received_at,
            receipt.exchange_time,
            receipt.content_hash,
            receipt.run_id,
        )
        for receipt in told
    ]
    upsert(connection, receipts, RECEIPT_COLUMNS, rows)


def _write_heads(connection: Connection, heads: Sequence[SnapshotHead]) -> None:
    upsert(connection, snapshots, SNAPSHOT_COLUMNS, list(map(head_row, heads)))


def _write_contents(connection: Connection, placed: Sequence[StoredChain]) -> None:
    write_legs(connection, placed)
    upsert(connection, summaries, SUMMARY_COLUMNS, list(map(summary_row, placed)))


def _replace_contents(connection: Connection, head: SnapshotHead, receipt: Receipt) -> None:
    """Let *receipt* stand for what the snapshot *head*, which it began, told; and for what
    confirmed that, as long as nobody has looked at it."""
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
    """The rows of *donor* once more, under the timestamp of *head*."""
    changed = {"timestamp": head.timestamp, "exchange_time": head.exchange_time}
    for target in (legs_table, summaries):
        values = [
            literal(changed[each.name], each.type) if each.name in changed else each
            for each in target.columns
        ]
        rows = select(*values).where(*_of_snapshot(target, donor))
        connection.execute(insert(target).from_select(list(target.columns.keys()), rows))


def _delete_snapshot(connection: Connection, head: SnapshotHead) -> None:
    for target in SNAPSHOT_TABLES:
        connection.execute(delete(target).where(*_of_snapshot(target, head)))


def _of_snapshot(of: Table, head: SnapshotHead) -> list[ColumnElement[bool]]:
    return [*in_series(of, head.series), of.c.timestamp == head.timestamp]


def _within(of: FromClause, first: datetime, end: datetime) -> ColumnElement[bool]:
    return and_(of.c.timestamp >= first, of.c.timestamp < end)
