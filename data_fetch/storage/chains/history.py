"""A chain over time: which of its snapshots that is, and one contract in them, oldest first.

The times of a history are those of its snapshots: content that was received several times in
succession has one row, received from `timestamp` until `last_confirmed`. The first row is the
snapshot in force at the beginning of the range if it was received again within the range. What
is stored under a former symbol or expiry is part of the history (`ChainLineage`).

If several sources have reported one expiry, its history is taken from one of them, because
their units, prices and times differ: the one with the most receipts in the range, and of several
with equally many the one that reported last. *source* names another one.

Prices are rupees, IV a fraction, instants UTC. Every row is found through the key of its table:
no query reads a whole table or all legs of a day.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Connection, Integer, Select, bindparam, func, select

from data_fetch.core.chains.chain_lineage import ChainLineage, ChainPart
from data_fetch.core.chains.chains import ChainSource, OptionType
from data_fetch.storage.chains.heads import (
    SERIES,
    expiries,
    heads_at,
    heads_between,
    in_series,
    of_series,
)
from data_fetch.storage.chains.rows import (
    SNAPSHOT_COLUMNS,
    SeriesKey,
    SnapshotHead,
    legs_table,
    receipts,
)
from data_fetch.storage.database.dialects import (
    document_of,
    list_of,
    microseconds,
    rows_in_document,
)
from data_fetch.storage.database.types import Instant

Columns = dict[str, tuple[Any, ...]]
# How many receipts, and the last of them.
Count = tuple[int, datetime | None]
# When a snapshot was received first, and last.
Confirmed = tuple[datetime, datetime]
# Instants in microseconds since 1970 UTC.
Microseconds = NDArray[np.int64]

HEAD_COLUMNS = (
    "timestamp",
    "expiry",
    "source",
    "last_confirmed",
    "confirmations",
    "exchange_time",
    "spot",
    "lot_size",
    "unit",
    "rejected",
)
# Volume and open interest are shares; the columns `..._contracts` hold them as received from a
# source that reports contracts.
LEG_COLUMNS = tuple(
    column.name
    for column in legs_table.columns
    if column.name not in {*SNAPSHOT_COLUMNS, "strike", "option_type"}
)

OF_HEAD = attrgetter(*HEAD_COLUMNS)

# SQLite accepts 32,766 parameters in a statement.
SNAPSHOTS_AT_ONCE = 5_000


# A series and a range, and the place of both in a list.
COUNTED = {
    "place": Integer(),
    **{name: receipts.c[name].type for name in SERIES},
    "first": Instant(),
    "last": Instant(),
}


@dataclass(frozen=True, slots=True)
class SeriesRange:
    """The snapshots of one source in *part* of a chain, from *first* to *last*."""

    part: ChainPart
    source: ChainSource
    first: datetime
    last: datetime

    @property
    def series(self) -> SeriesKey:
        return self.part.series(self.source)


class ChainRows(Protocol):
    """Where snapshots and receipts are found: in a database, in files, or in both."""

    def expiries(self, underlying: str) -> Collection[date]:
        """The expiries under which chains of *underlying* are stored."""

    def counted(self, ranges: Sequence[SeriesRange]) -> list[Count]:
        """For each of *ranges* how much was received in it, and when last."""

    def in_force(self, series: Collection[SeriesKey], at: datetime) -> dict[SeriesKey, Confirmed]:
        """The newest snapshot of each of *series* that was first received at or before *at*."""

    def received(self, ranges: Sequence[SeriesRange]) -> list[Microseconds]:
        """For each of *ranges* when the chain was received in it, in any order."""


def legs(
    connection: Connection,
    of: ChainLineage,
    expiry: date,
    strike: Decimal,
    option_type: OptionType,
    first: datetime,
    last: datetime,
    source: ChainSource | None = None,
) -> Columns:
    """One contract from *first* to *last*: the columns HEAD_COLUMNS and LEG_COLUMNS.

    Snapshots without the contract have no row.
    """
    rows: list[tuple[Any, ...]] = []
    chains = StoredChains(connection)
    for each in series_ranges(chains, of, expiry, first, last, source):
        heads = {head.timestamp: head for head in _heads(connection, each)}
        for timestamps in _portions(list(heads)):
            query = legs_query(each.series, strike, option_type, timestamps)
            rows += (
                (*OF_HEAD(heads[timestamp]), *leg) for timestamp, *leg in connection.execute(query)
            )
    rows.sort(key=itemgetter(HEAD_COLUMNS.index("timestamp")))
    return _as_columns((*HEAD_COLUMNS, *LEG_COLUMNS), rows)


def legs_query(
    series: SeriesKey, strike: Decimal, option_type: OptionType, timestamps: Sequence[datetime]
) -> Select[Any]:
    """One leg of each snapshot: the whole key is given, so that each is one look-up."""
    return (
        select(legs_table.c.timestamp, *(legs_table.c[name] for name in LEG_COLUMNS))
        .where(
            *in_series(legs_table, series),
            legs_table.c.timestamp.in_(timestamps),
            legs_table.c.strike == strike,
            legs_table.c.option_type == option_type.value,
        )
        .order_by(legs_table.c.timestamp)
    )


def _heads(connection: Connection, of: SeriesRange) -> list[SnapshotHead]:
    part = of.part
    stored = heads_between(
        connection, part.underlying, part.stored_expiry, of.first, of.last, of.source
    )
    return [replace(head, expiry=part.expiry) for head in stored]


@cache
def _received_query(dialect: str) -> Select[Any]:
    """The receipts of a series from the parameter `first` to `last`, in one text."""
    at = microseconds(dialect, receipts.c.received_at)
    within = receipts.c.received_at.between(bindparam("first"), bindparam("last"))
    return select(list_of(dialect, at)).where(*of_series(receipts), within)


def series_ranges(
    chains: ChainRows,
    of: ChainLineage,
    expiry: date | None,
    first: datetime,
    last: datetime,
    source: ChainSource | None,
) -> list[SeriesRange]:
    """Which snapshots make the history: of one source for each expiry, nearest first."""
    counted = [
        (each, count, newest)
        for each, (count, newest) in _counted(chains, of, expiry, first, last, source)
        if count and newest is not None
    ]
    totals: dict[tuple[date, ChainSource], tuple[int, datetime]] = {}
    for each, count, newest in counted:
        key = each.part.expiry, each.source
        before, latest = totals.get(key, (0, newest))
        totals[key] = before + count, max(latest, newest)
    chosen = {day: most for (day, most), _ in sorted(totals.items(), key=itemgetter(1))}
    ranges = [each for each, _, _ in counted if each.source is chosen[each.part.expiry]]
    # A part that begins later is of another chain until then.
    begun = [each.series for each in ranges if each.first == first]
    in_force = chains.in_force(begun, first)
    return [replace(each, first=_begin(in_force.get(each.series), each)) for each in ranges]


def _counted(
    chains: ChainRows,
    of: ChainLineage,
    expiry: date | None,
    first: datetime,
    last: datetime,
    source: ChainSource | None,
) -> Iterator[tuple[SeriesRange, Count]]:
    """What was received of each source in the parts of a chain."""
    if expiry is None:
        parts = of.parts_of_all(day for name in of.names for day in chains.expiries(name.label))
    else:
        parts = of.parts(of.in_force(expiry))
    wanted = ranges_within(parts, [source] if source else list(ChainSource), first, last)
    return zip(wanted, chains.counted(wanted), strict=True)


def ranges_within(
    parts: Iterable[ChainPart], sources: Sequence[ChainSource], first: datetime, last: datetime
) -> list[SeriesRange]:
    """Each of *sources* in each of *parts*, as far as these are between *first* and *last*."""
    return [
        SeriesRange(part, source, max(first, part.first), min(last, part.last))
        for part in parts
        for source in sources
        if max(first, part.first) <= min(last, part.last)
    ]


@dataclass(frozen=True, slots=True)
class StoredChains:
    """The chains in the database of *connection*."""

    connection: Connection

    def expiries(self, underlying: str) -> list[date]:
        return expiries(self.connection, underlying)

    def counted(self, ranges: Sequence[SeriesRange]) -> list[Count]:
        if not ranges:
            return []
        dialect = self.connection.dialect.name
        rows = ((place, *each.series, each.first, each.last) for place, each in enumerate(ranges))
        document = {"document": document_of(dialect, COUNTED, rows)}
        found = self.connection.execute(_receipts_query(dialect), document)
        return [(count, newest) for _, count, newest in found]

    def in_force(self, series: Collection[SeriesKey], at: datetime) -> dict[SeriesKey, Confirmed]:
        found = heads_at(self.connection, dict.fromkeys(series, at))
        return {key: (head.timestamp, head.last_confirmed) for key, head in found.items()}

    def received(self, ranges: Sequence[SeriesRange]) -> list[Microseconds]:
        query = _received_query(self.connection.dialect.name)
        found = []
        for each in ranges:
            series = dict(zip(SERIES, each.series, strict=True))
            given = {**series, "first": each.first, "last": each.last}
            listed = self.connection.scalar(query, given)
            found.append(np.array(orjson.loads(listed or "[]"), np.int64))
        return found


@cache
def _receipts_query(dialect: str) -> Select[Any]:
    """How many receipts fall into each range, and the last of them. With one parameter: a
    document of COUNTED."""
    requested = rows_in_document(dialect, COUNTED, "requested")
    within = (
        *(receipts.c[name] == requested.c[name] for name in SERIES),
        receipts.c.received_at.between(requested.c.first, requested.c.last),
    )
    # Subqueries, because a join might read every receipt of a store that is still small.
    count, newest = (
        select(of).where(*within).correlate(requested).scalar_subquery()
        for of in (func.count(), func.max(receipts.c.received_at))
    )
    return select(requested.c.place, count, newest).order_by(requested.c.place)


def _begin(in_force: Confirmed | None, of: SeriesRange) -> datetime:
    if in_force is None:
        return of.first
    timestamp, last_confirmed = in_force
    return of.first if last_confirmed < of.first else max(timestamp, of.part.first)


def _portions(timestamps: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    for begin in range(0, len(timestamps), SNAPSHOTS_AT_ONCE):
        yield timestamps[begin : begin + SNAPSHOTS_AT_ONCE]


def _as_columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Columns:
    values = zip(*rows, strict=True) if rows else ((),) * len(names)
    return dict(zip(names, values, strict=True))
