"""Finds the newest receipt of the chains of a symbol: a few look-ups in keys, no scan."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    bindparam,
    func,
    select,
)

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
        for expiry, *instants in connection.execute(NEWEST_BY_SERIES, {"underlying": underlying})
        for source, received_at in zip(ChainSource, instants, strict=True)
        if received_at is not None
    ]
    if not newest:
        return None
    received_at, expiry, source = max(newest, key=lambda each: each[0])
    series = {"underlying": underlying, "expiry": expiry, "source": source.value}
    exchange_time, unchanged_since = connection.execute(
        DESCRIBED, {**series, "received_at": received_at}
    ).one()
    return LastReceipt(
        expiry=expiry,
        source=source,
        received_at=received_at,
        exchange_time=exchange_time,
        unchanged_since=unchanged_since,
    )


def _newest_by_series() -> Select[Any]:
    """A row per expiry: the expiry, and when its chain was last received from each source."""
    of_underlying = receipts.c.underlying == bindparam("underlying")
    # One look-up in the key for each expiry; SELECT DISTINCT would read every receipt.
    first = select(func.min(receipts.c.expiry).label("expiry")).where(of_underlying)
    steps = first.cte("steps", recursive=True)
    following = select(func.min(receipts.c.expiry)).where(
        of_underlying, receipts.c.expiry > steps.c.expiry
    )
    steps = steps.union_all(select(following.scalar_subquery()).where(steps.c.expiry.is_not(None)))
    last = select(func.max(receipts.c.received_at))
    by_source = [
        last.where(
            of_underlying,
            receipts.c.expiry == steps.c.expiry,
            receipts.c.source == source.value,
        ).scalar_subquery()
        for source in ChainSource
    ]
    return select(steps.c.expiry, *by_source).where(steps.c.expiry.is_not(None))


def _described() -> Select[Any]:
    """The receipt of exactly one instant; its content was first received by its snapshot."""
    at: BindParameter[datetime] = bindparam("received_at")
    first_received = select(func.max(snapshots.c.timestamp)).where(
        *_of_series(snapshots), snapshots.c.timestamp <= at
    )
    return select(receipts.c.exchange_time, first_received.scalar_subquery()).where(
        *_of_series(receipts), receipts.c.received_at == at
    )


def _of_series(of: FromClause) -> list[ColumnElement[bool]]:
    """The rows of the series whose three parts are parameters of these names."""
    return [of.c[name] == bindparam(name) for name in ("underlying", "expiry", "source")]


# Made once, which takes longer than to find what they find.
NEWEST_BY_SERIES, DESCRIBED = _newest_by_series(), _described()
