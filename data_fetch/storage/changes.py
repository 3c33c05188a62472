"""Cheap looks for something new in a store: a look-up in an index each."""

from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, not_, select

from data_fetch.core.clock import MINUTE
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.storage.chains.rows import snapshots
from data_fetch.storage.quotes import ltp_data, stored_quote

# A snapshot is stored after its chain was received: priced, and retried while a store is away.
STORED_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class NewSnapshots:
    """The number of recent snapshots, of the runs that wrote them, and the instant of the newest:
    they change with a new one, and with one that is priced."""

    count: int
    runs: int
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class SnapshotMark:
    """What names the content of a series: when it was received first, its hash, the run that wrote
    its numbers, and its spot."""

    underlying: str
    expiry: date
    source: str
    timestamp: datetime
    content_hash: str
    run_id: str
    spot: float | None


def new_snapshots(connection: Connection, now: datetime) -> NewSnapshots:
    """The recent snapshots of all chains, as of *now*."""
    newest = _newest_snapshot(connection, now)
    if newest is None:
        return NewSnapshots(0, 0, None)
    at = snapshots.c.timestamp
    query = select(func.count(), func.count(snapshots.c.run_id.distinct())).where(
        at > newest - STORED_WITHIN, at <= now
    )
    return NewSnapshots(*connection.execute(query).one(), newest)


def snapshot_marks(connection: Connection, now: datetime) -> list[SnapshotMark]:
    """The marks of the recent snapshots, oldest first."""
    newest = _newest_snapshot(connection, now)
    if newest is None:
        return []
    of = snapshots.c
    query = (
        select(*(of[each.name] for each in fields(SnapshotMark)))
        .where(of.timestamp > newest - STORED_WITHIN, of.timestamp <= now)
        .order_by(of.timestamp)
    )
    return [SnapshotMark(*row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class NewestSlots:
    """The newest slot, and the number and last receipt of the quotes in it and in the one before:
    they change when a quote is added or replaced."""

    newest: datetime
    count: int
    received_at: datetime


def newest_slots(connection: Connection, now: datetime) -> NewestSlots | None:
    """The newest slots as of *now*; None without any quote."""
    newest = _newest_slot(connection, now)
    if newest is None:
        return None
    of = ltp_data.c
    query = select(func.count(), func.max(of.received_at)).where(
        *_in_session(newest - MINUTE, newest, now)
    )
    return NewestSlots(newest, *connection.execute(query).one())


def quotes_between(
    connection: Connection, first: datetime, last: datetime, now: datetime
) -> list[StoredQuote]:
    """The quotes of the slots from *first* to *last* that were received by *now*, oldest first."""
    query = select(ltp_data).where(*_in_session(first, last, now)).order_by(ltp_data.c.timestamp)
    return [stored_quote(row) for row in connection.execute(query)]


def _in_session(first: datetime, last: datetime, now: datetime) -> tuple[ColumnElement[bool], ...]:
    of = ltp_data.c
    return of.timestamp.between(first, last), not_(of.off_session), of.received_at <= now


def _newest_snapshot(connection: Connection, now: datetime) -> datetime | None:
    at = snapshots.c.timestamp
    # Later ones were stored by a clock that was ahead.
    found: datetime | None = connection.scalar(select(func.max(at)).where(at <= now))
    return found


def _newest_slot(connection: Connection, now: datetime) -> datetime | None:
    of = ltp_data.c
    newest = (
        select(of.timestamp)
        .where(of.timestamp <= now, of.received_at <= now, not_(of.off_session))
        .order_by(of.timestamp.desc())
        .limit(1)
    )
    found: datetime | None = connection.scalar(newest)
    return found
