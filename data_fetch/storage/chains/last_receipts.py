"""Finds the newest receipt of the chains of a symbol: a few look-ups in keys, no scan."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, select

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.freshness import LastReceipt
from data_fetch.storage.chains.archived import newest_in_files
from data_fetch.storage.database.tables import ChainReceiptRow, ChainSnapshotRow, table

receipts = table(ChainReceiptRow)
snapshots = table(ChainSnapshotRow)


def last_receipts(connection: Connection, underlyings: Iterable[str]) -> dict[str, LastReceipt]:
    """The newest receipt of each of *underlyings*, of any expiry and source.

    Underlyings without a receipt are left out. Of one whose chains are all in files it is known
    as the ledger of the archive has it: without the source's stamp.
    """
    found = {
        each: _last_receipt(connection, each) or newest_in_files(connection, [each])
        for each in underlyings
    }
    return {each: last for each, last in found.items() if last is not None}


def _last_receipt(connection: Connection, underlying: str) -> LastReceipt | None:
    newest = [
        (received_at, expiry, source)
        for expiry, *instants in connection.execute(_newest_by_series(underlying))
        for source, received_at in zip(ChainSource, instants, strict=True)
        if received_at is not None
    ]
    if not newest:
        return None
    received_at, expiry, source = max(newest, key=lambda each: each[0])
    return _described(connection, underlying, expiry, source, received_at)


def _newest_by_series(underlying: str) -> Select[Any]:
    """A row per expiry: the expiry, and when its chain was last received from each source."""
    of_underlying = receipts.c.underlying == underlying
    # One look-up in the key for each expiry; SELECT DISTINCT would read every receipt.
    first = select(func.min(receipts.c.expiry).label("expiry")).where(of_underlying)
    steps = first.cte("steps", recursive=True)
    following = select(func.min(receipts.c.expiry)).where(
        of_underlying, receipts.c.expiry > steps.c.expiry
    )
    steps = steps.union_all(select(following.scalar_subquery()).where(steps.c.expiry.is_not(None)))
    last = select(func.max(receipts.c.received_at))
    by_source = [
        last.where(_of_chain(receipts, underlying, steps.c.expiry, source)).scalar_subquery()
        for source in ChainSource
    ]
    return select(steps.c.expiry, *by_source).where(steps.c.expiry.is_not(None))


def _described(
    connection: Connection, underlying: str, expiry: date, source: ChainSource, at: datetime
) -> LastReceipt:
    """The receipt of exactly that instant; its content was first received by its snapshot."""
    first_received = select(func.max(snapshots.c.timestamp)).where(
        _of_chain(snapshots, underlying, expiry, source), snapshots.c.timestamp <= at
    )
    query = select(receipts.c.exchange_time, first_received.scalar_subquery()).where(
        _of_chain(receipts, underlying, expiry, source), receipts.c.received_at == at
    )
    exchange_time, unchanged_since = connection.execute(query).one()
    return LastReceipt(
        expiry=expiry,
        source=source,
        received_at=at,
        exchange_time=exchange_time,
        unchanged_since=unchanged_since,
    )


def _of_chain(
    of: FromClause,
    underlying: str,
    expiry: date | ColumnElement[date],
    source: ChainSource,
) -> ColumnElement[bool]:
    return and_(of.c.underlying == underlying, of.c.expiry == expiry, of.c.source == source.value)
