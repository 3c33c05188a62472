"""Looks that tell cheaply whether there is something new in a store: a look-up in an index each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, not_, select

from data_fetch.core.clock import MINUTE
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.storage.chains.rows import snapshots
from data_fetch.storage.quotes import ltp_data, stored_quote

# A snapshot is stored after its chain was received: priced, and retried while a store is away.
STORED_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class NewSnapshots:
    """The number of recent snapshots and the instant of the newest; both change with a new one."""

    count: int
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class SnapshotMark:
    """What names the content of a series: when it was received first, its hash, and its spot."""

    underlying: str
    expiry: date
    source: str
    timestamp: datetime
    content_hash: str
    spot: float | None


def new_snapshots(connection: Connection, now: datetime) -> NewSnapshots:
    """The recent snapshots of all chains, as of *now*."""
    newest = _newest_snapshot(connection, now)
    if newest is None:
        return NewSnapshots(0, None)
    at = snapshots.c.timestamp
    query = select(func.count()).where(at > newest - STORED_WITHIN, at <= now)
    return NewSnapshots(connection.scalar(query.select_from(snapshots)) or 0, newest)


def snapshot_marks(connection: Connection, now: datetime) -> list[SnapshotMark]:
    """The marks of the recent snapshots, oldest first."""
    newest = _newest_snapshot(connection, now)
    if newest is None:
        return []
    of = snapshots.c
    query = (
        select(of.underlying, of.expiry, of.source, of.timestamp, of.content_hash, of.spot)
        .where(of.timestamp > newest - STORED_WITHIN, of.timestamp <= now)
        .order_by(of.timestamp)
    )
    return [SnapshotMark(*row) for row in connection.execute(query)]


def newest_quote_slots(connection: Connection, now: datetime) -> tuple[object, ...]:
    """Changes when a quote is added to the two newest slots, or replaced."""
    newest = _newest_slot(connection, now)
    if newest is None:
        return ()
    of = ltp_data.c
    query = select(func.count(), func.max(of.received_at)).where(
        of.timestamp >= newest - MINUTE, of.timestamp <= newest, not_(of.off_session)
    )
    return (newest, *connection.execute(query).one())


def quotes_of_newest_slots(connection: Connection, now: datetime) -> Sequence[StoredQuote]:
    """The quotes of the two newest slots, oldest first."""
    newest = _newest_slot(connection, now)
    if newest is None:
        return ()
    of = ltp_data.c
    query = (
        select(ltp_data)
        .where(of.timestamp >= newest - MINUTE, of.timestamp <= newest, not_(of.off_session))
        .order_by(of.timestamp)
    )
    return [stored_quote(row) for row in connection.execute(query)]


def _newest_snapshot(connection: Connection, now: datetime) -> datetime | None:
    at = snapshots.c.timestamp
    # Later ones were stored by a clock that was ahead.
    found: datetime | None = connection.scalar(select(func.max(at)).where(at <= now))
    return found


def _newest_slot(connection: Connection, now: datetime) -> datetime | None:
    of = ltp_data.c
    newest = (
        select(of.timestamp)
        .where(of.timestamp <= now, not_(of.off_session))
        .order_by(of.timestamp.desc())
        .limit(1)
    )
    found: datetime | None = connection.scalar(newest)
    return found
