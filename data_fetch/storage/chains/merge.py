"""Merges the option chains of one store into another, receipt by receipt.

If a series has two contents at one instant, the destination's remains: one of the two was
reprocessed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, select

from data_fetch.core.chains.chains import ChainSource
from data_fetch.storage.chains.heads import heads_at, in_series
from data_fetch.storage.chains.receipts import (
    SNAPSHOT_TABLES,
    Receipt,
    ReceiptResult,
    begin_chain_writing,
    settle,
)
from data_fetch.storage.chains.rows import (
    Received,
    SeriesKey,
    StoredSnapshot,
    legs_table,
    read_snapshot,
    receipts,
    snapshots,
    summaries,
)
from data_fetch.storage.database.progress import Watcher
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.contracts import refuse_invented_underlyings

READ_AT_ONCE = 1_000
# Few enough to hold SQLite's write lock only briefly.
LEGS_AT_ONCE = 4_000


@dataclass(frozen=True, slots=True)
class _ReadReceipt:
    receipt: Receipt
    legs: int


def merge_chains(src: Store, dst: Store, watcher: Watcher) -> dict[str, int]:
    """Copy the chains of *src* into *dst*; returns how many rows of each table changed there.

    *watcher* is called with the number of receipts read. Raises WrongWorld for an invented
    underlying in live stores.
    """
    changed = Counter(dict.fromkeys((receipts.name, *(of.name for of in SNAPSHOT_TABLES)), 0))
    with src.reading() as reading:
        missing = _missing_receipts(reading, dst, watcher)
        for several in _in_portions(missing):
            changed.update(_write(dst, several))
    return dict(changed)


def _missing_receipts(reading: Connection, dst: Store, watcher: Watcher) -> Iterator[_ReadReceipt]:
    """The receipts that are not in *dst*, in order within each series."""
    query = select(receipts).order_by(*receipts.primary_key.columns)
    result = reading.execute(query, execution_options={"yield_per": READ_AT_ONCE})
    for rows in result.partitions():
        for series, of_series in groupby(rows, _series):
            in_src = list(of_series)
            known = _known(dst, series, in_src[0].received_at, in_src[-1].received_at)
            yield from _contents(reading, [row for row in in_src if _is_missing(row, known)])
        watcher(receipts.name, len(rows))


def _series(row: Row[Any]) -> SeriesKey:
    return row.underlying, row.expiry, row.source


def _known(dst: Store, series: SeriesKey, first: datetime, last: datetime) -> set[datetime]:
    query = select(receipts.c.received_at).where(
        *in_series(receipts, series), receipts.c.received_at.between(first, last)
    )
    with dst.reading() as connection:
        return set(connection.scalars(query))


def _is_missing(row: Row[Any], known: set[datetime]) -> bool:
    # Documents without a receive time of their own may share an instant and differ in content.
    return row.received_at not in known or row.received_at == row.exchange_time


def _contents(reading: Connection, rows: Sequence[Row[Any]]) -> Iterator[_ReadReceipt]:
    """Each receipt with its content; a snapshot is read once for all its receipts."""
    snapshot: StoredSnapshot | None = None
    for row in rows:
        if snapshot is None or row.received_at > snapshot.last_confirmed:
            head = heads_at(reading, {_series(row): row.received_at})[_series(row)]
            snapshot = read_snapshot(reading, head)
        receipt = Receipt(
            underlying=row.underlying,
            expiry=row.expiry,
            source=ChainSource(row.source),
            received_at=row.received_at,
            exchange_time=row.exchange_time,
            content_hash=row.content_hash,
            run_id=row.run_id,
            received=Received(
                summary=snapshot.summary,
                received_at=row.received_at,
                lot_size=snapshot.lot_size,
                instrument_keys=snapshot.instrument_keys,
                rejected=snapshot.head.rejected,
            ),
        )
        yield _ReadReceipt(receipt, snapshot.head.legs)


def _in_portions(missing: Iterator[_ReadReceipt]) -> Iterator[list[_ReadReceipt]]:
    portion: list[_ReadReceipt] = []
    legs = 0
    for read in missing:
        portion.append(read)
        legs += read.legs
        if legs >= LEGS_AT_ONCE:
            yield portion
            portion, legs = [], 0
    if portion:
        yield portion


def _write(dst: Store, several: Sequence[_ReadReceipt]) -> Counter[str]:
    with dst.writing() as connection:
        underlyings = {read.receipt.underlying for read in several}
        refuse_invented_underlyings(connection, dst.world, underlyings)
        begin_chain_writing(connection)
        settled = settle(connection, [read.receipt for read in several])
    changed: Counter[str] = Counter()
    touched = set()
    for read, each in zip(several, settled, strict=True):
        if each.result is ReceiptResult.REPEATED:
            continue
        changed[receipts.name] += 1
        touched.add((read.receipt.series, each.timestamp))
        if each.result is ReceiptResult.STORED:
            changed[legs_table.name] += read.legs
            changed[summaries.name] += 1
    changed[snapshots.name] = len(touched)
    return changed
