"""Finds the heads of snapshots: the newest of a chain, or those in force at an instant.

A chain is looked up under every symbol and expiry that it was stored under (`ChainLineage`).

Every query here is a few index look-ups, however many snapshots are stored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    exists,
    func,
    select,
    true,
)

from data_fetch.core.chains.chain_lineage import MICROSECOND, ChainLineage, ChainPart
from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.clock import END_OF_TIME, IST
from data_fetch.storage.chains.rows import (
    SeriesKey,
    SnapshotHead,
    head_of,
    receipts,
    snapshots,
    summaries,
)
from data_fetch.storage.database.dialects import POSTGRESQL, document_of, rows_in_document
from data_fetch.storage.database.distinct import distinct_query
from data_fetch.storage.database.types import Instant

SERIES = ("underlying", "expiry", "source")
# A series, and the instant before which its newest snapshot is looked up.
REQUESTED = {name: snapshots.c[name].type for name in SERIES} | {"at": Instant()}
# Made once, which takes longer than to find what they find.
UNDERLYINGS = distinct_query(snapshots.c.underlying)
EXPIRIES = distinct_query(snapshots.c.expiry, snapshots.c.underlying == bindparam("underlying"))


@dataclass(frozen=True, slots=True)
class ChainHead:
    """A head as it is *stored*, and as it is *shown*: under the present symbol of its underlying
    and the expiry in force."""

    stored: SnapshotHead
    shown: SnapshotHead


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a snapshot among those of an underlying, newest first."""

    timestamp: datetime
    expiry: date


def newest_head(
    connection: Connection,
    of: ChainLineage,
    expiry: date | None = None,
    at: datetime | None = None,
    source: ChainSource | None = None,
) -> ChainHead | None:
    """The snapshot of a chain that was in force at *at*; None when there is none.

    Without *expiry*: of the nearest expiry that was not over at *at*, else the newest of any.
    Without *at*: the newest. Without *source*: of the source that reported last, even if the
    report only confirmed what was stored.
    """
    known = newest_heads(connection, of, at, source, expiry)
    if expiry is not None or not known:
        return known[0] if known else None
    running = not_over(connection, known, at)
    return running[0] if running else max(known, key=_newness)


def newest_heads(
    connection: Connection,
    of: ChainLineage,
    at: datetime | None = None,
    source: ChainSource | None = None,
    expiry: date | None = None,
) -> list[ChainHead]:
    """`newest_head` of each expiry of the underlying, or of *expiry* only; nearest expiry first."""
    instant = at or END_OF_TIME
    parts = [each for each in chain_parts(connection, of, expiry) if each.first <= instant]
    requested = [
        (part.series(one), min(part.last, instant))
        for part in parts
        for one in ([source] if source else ChainSource)
    ]
    by_series = _by_series(parts)
    newest: dict[date, ChainHead] = {}
    for head in _heads_before(connection, requested):
        part = _holder(head, by_series)
        if part is None:
            continue
        stored = _as_known(connection, head, instant)
        shown = replace(stored, underlying=of.symbol, expiry=part.expiry)
        rival, found = newest.get(part.expiry), ChainHead(stored, shown)
        if rival is None or _newness(rival) < _newness(found):
            newest[part.expiry] = found
    return [newest[each] for each in sorted(newest)]


def recent_heads(
    connection: Connection,
    of: ChainLineage,
    limit: int,
    *,
    expiry: date | None = None,
    at: datetime | None = None,
    after: Place | None = None,
) -> list[ChainHead]:
    """The last *limit* snapshots that were received first by *at*, newest first, and of one
    instant the nearest expiry first; of *expiry* or of every one, after the place *after*.

    The snapshots of an expiry are those of the source that reported it last.
    """
    instant = at or END_OF_TIME
    found: list[ChainHead] = []
    for newest in newest_heads(connection, of, at, None, expiry):
        source, day = ChainSource(newest.shown.source), newest.shown.expiry
        for part in chain_parts(connection, of, day):
            last = min(part.last, instant, _last_before(after, day))
            for head in _last_heads(connection, part, source, last, limit):
                stored = _as_known(connection, head, instant)
                shown = replace(stored, underlying=of.symbol, expiry=day)
                found.append(ChainHead(stored, shown))
    found.sort(key=lambda head: head.shown.expiry)
    found.sort(key=lambda head: head.shown.timestamp, reverse=True)
    return found[:limit]


def _last_before(after: Place | None, expiry: date) -> datetime:
    """The last instant at which a snapshot of *expiry* comes after that place."""
    if after is None:
        return END_OF_TIME
    return after.timestamp if expiry > after.expiry else after.timestamp - MICROSECOND


def _last_heads(
    connection: Connection, part: ChainPart, source: ChainSource, last: datetime, limit: int
) -> list[SnapshotHead]:
    """The last *limit* snapshots of one series up to *last*, newest first."""
    query = (
        select(snapshots)
        .where(
            *in_series(snapshots, part.series(source)),
            snapshots.c.timestamp.between(part.first, last),
        )
        .order_by(snapshots.c.timestamp.desc())
        .limit(limit)
    )
    return list(map(head_of, connection.execute(query)))


def chain_parts(
    connection: Connection, of: ChainLineage, expiry: date | None = None
) -> list[ChainPart]:
    """Where the chain of *expiry* is stored, or without it all chains of the underlying."""
    if expiry is not None:
        return of.parts(of.in_force(expiry))
    return of.parts_of_all(day for name in of.names for day in expiries(connection, name.label))


def _by_series(parts: Iterable[ChainPart]) -> Mapping[tuple[str, date], list[ChainPart]]:
    found: dict[tuple[str, date], list[ChainPart]] = {}
    for part in parts:
        found.setdefault((part.underlying, part.stored_expiry), []).append(part)
    return found


def _holder(
    head: SnapshotHead, parts: Mapping[tuple[str, date], Sequence[ChainPart]]
) -> ChainPart | None:
    """The part that *head* is in; none if it is another instrument's or another chain's."""
    possible = parts[head.underlying, head.expiry]
    return next((each for each in possible if each.first <= head.timestamp <= each.last), None)


def _newness(head: ChainHead) -> tuple[datetime, datetime]:
    return head.shown.last_confirmed, head.shown.timestamp


def _as_known(connection: Connection, head: SnapshotHead, at: datetime) -> SnapshotHead:
    """*head* without the confirmations that were received after *at*."""
    if head.last_confirmed <= at:
        return head
    until_then = select(func.count(), func.max(receipts.c.received_at)).where(
        *in_series(receipts, head.series), receipts.c.received_at.between(head.timestamp, at)
    )
    confirmations, last = connection.execute(until_then).one()
    return replace(head, confirmations=confirmations, last_confirmed=last)


def not_over(
    connection: Connection, heads: Sequence[ChainHead], at: datetime | None
) -> list[ChainHead]:
    """The *heads* whose expiry was not over at *at*; without *at*, at the last receipt of any."""
    if not heads:
        return []
    instant = at or max(head.shown.last_confirmed for head in heads)
    # No expiry ends before its own day, so only that day needs the exact instant.
    today = instant.astimezone(IST).date()
    return [
        head
        for head in heads
        if head.shown.expiry > today
        or (head.shown.expiry == today and _expires_at(connection, head) > instant)
    ]


def _expires_at(connection: Connection, head: ChainHead) -> datetime:
    query = select(summaries.c.expires_at).where(
        *in_series(summaries, head.stored.series), summaries.c.timestamp == head.stored.timestamp
    )
    found: datetime = connection.execute(query).scalar_one()
    # Of a chain that was moved since, the snapshot has the former day.
    return found + (head.shown.expiry - head.stored.expiry)


def heads_between(
    connection: Connection,
    underlying: str,
    expiry: date,
    first: datetime,
    last: datetime,
    source: ChainSource | None = None,
) -> list[SnapshotHead]:
    """The snapshots stored under *underlying* and *expiry* that were first received from *first*
    to *last*, oldest first."""
    query = (
        select(snapshots)
        .where(
            snapshots.c.underlying == underlying,
            snapshots.c.expiry == expiry,
            snapshots.c.timestamp.between(first, last),
        )
        .order_by(snapshots.c.timestamp, snapshots.c.source)
    )
    if source is not None:
        query = query.where(snapshots.c.source == source.value)
    return list(map(head_of, connection.execute(query)))


def underlyings(connection: Connection) -> list[str]:
    """Every underlying of which there is a snapshot, by name."""
    return sorted(connection.scalars(UNDERLYINGS))


def expiries(connection: Connection, underlying: str) -> list[date]:
    """Every expiry under which a snapshot of *underlying* is stored, nearest first."""
    return sorted(connection.scalars(EXPIRIES, {"underlying": underlying}))


def has_heads(connection: Connection, of: ChainLineage, expiry: date | None) -> bool:
    """Whether any snapshot of a chain is in the store, or without *expiry* of the underlying."""
    conditions = (
        [snapshots.c.underlying == name.label for name in of.names]
        if expiry is None
        else [
            and_(
                snapshots.c.underlying == part.underlying,
                snapshots.c.expiry == part.stored_expiry,
                snapshots.c.timestamp.between(part.first, part.last),
            )
            for part in of.parts(of.in_force(expiry))
        ]
    )
    return any(connection.scalar(select(exists().where(each))) for each in conditions)


def heads_at(
    connection: Connection, instants: dict[SeriesKey, datetime]
) -> dict[SeriesKey, SnapshotHead]:
    """The newest snapshot of each series that was first received at or before its instant."""
    return {head.series: head for head in _heads_before(connection, list(instants.items()))}


def _heads_before(
    connection: Connection, requested: Sequence[tuple[SeriesKey, datetime]]
) -> list[SnapshotHead]:
    """The same for series that may be requested for several instants."""
    if not requested:
        return []
    dialect = connection.dialect.name
    rows = document_of(dialect, REQUESTED, ((*series, at) for series, at in requested))
    return list(map(head_of, connection.execute(_newest_before(dialect), {"document": rows})))


@cache
def _newest_before(dialect: str) -> Select[Any]:
    """With one parameter: a document of REQUESTED."""
    requested = rows_in_document(dialect, REQUESTED, "requested")
    if dialect == POSTGRESQL:
        # The planner expects many rows in the document. For a join by key it would read all
        # snapshots of a store that is still small; a lateral subquery is always looked up.
        before = select(snapshots).where(
            *_of_series(snapshots, requested), snapshots.c.timestamp <= requested.c.at
        )
        found = before.order_by(snapshots.c.timestamp.desc()).limit(1).lateral("found")
        return select(*found.c).select_from(requested.join(found, true()))
    newest = snapshots.alias("newest")
    timestamp = (
        select(newest.c.timestamp)
        .where(*_of_series(newest, requested), newest.c.timestamp <= requested.c.at)
        .order_by(newest.c.timestamp.desc())
        .limit(1)
        .scalar_subquery()
    )
    return select(snapshots).join(
        requested, and_(*_of_series(snapshots, requested), snapshots.c.timestamp == timestamp)
    )


def in_series(of: FromClause, series: SeriesKey) -> list[ColumnElement[bool]]:
    underlying, expiry, source = series
    return [of.c.underlying == underlying, of.c.expiry == expiry, of.c.source == source]


def of_series(of: FromClause) -> list[ColumnElement[bool]]:
    """The rows of the series whose three parts are parameters of these names."""
    return [of.c[name] == bindparam(name) for name in SERIES]


def _of_series(one: FromClause, other: FromClause) -> list[ColumnElement[bool]]:
    return [one.c[name] == other.c[name] for name in SERIES]
