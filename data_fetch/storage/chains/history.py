"""A chain, or one of its contracts, over time: as columns, oldest first.

The times of a history are those of its snapshots: content that was received several times in
succession has one row, received from `timestamp` until `last_confirmed`. The first row is the
snapshot in force at the beginning of the range if it was received again within the range.

If several sources have reported one expiry, its history is taken from one of them, because
their units, prices and times differ: the one with the most receipts in the range, and of several
with equally many the one that reported last. *source* names another one.

Prices are rupees, IV a fraction, instants UTC. Every row is found through the key of its table:
no query reads a whole table or all legs of a day.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, select

from data_fetch.core.chains.chains import ChainSource, OptionType
from data_fetch.storage.chains.heads import expiries, heads_at, heads_between, in_series
from data_fetch.storage.chains.rows import (
    METRICS,
    SNAPSHOT_COLUMNS,
    SeriesKey,
    SnapshotHead,
    legs_table,
    receipts,
    snapshots,
)
from data_fetch.storage.chains.rows import summaries as summaries_table

Columns = dict[str, tuple[Any, ...]]

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
FIGURES = (
    "forward",
    "forward_method",
    "forward_strikes",
    "forward_spread",
    "years",
    "rate",
    "convention",
    "priced_at",
    "expires_at",
    "provisional",
    *METRICS,
    "legs",
    "priced",
    "age_seconds",
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


@dataclass(frozen=True, slots=True)
class SeriesRange:
    """The snapshots of one series from *first* to *last*."""

    series: SeriesKey
    first: datetime
    last: datetime


def summaries(
    connection: Connection,
    underlying: str,
    expiry: date | None,
    first: datetime,
    last: datetime,
    source: ChainSource | None = None,
) -> Columns:
    """The figures of a chain from *first* to *last*: the columns HEAD_COLUMNS and FIGURES.

    Volume and open interest are in the `unit` of the row. Without *expiry*: every expiry of
    *underlying*, by time and then by expiry.
    """
    ranges = _ranges(connection, underlying, expiry, first, last, source)
    rows = [row for each in ranges for row in connection.execute(summaries_query(each))]
    rows.sort(key=attrgetter("timestamp", "expiry"))
    return _as_columns((*HEAD_COLUMNS, *FIGURES), rows)


def summaries_query(of: SeriesRange) -> Select[Any]:
    return (
        select(
            *(snapshots.c[name] for name in HEAD_COLUMNS),
            *(summaries_table.c[name] for name in FIGURES),
        )
        .join(
            summaries_table,
            and_(
                *in_series(summaries_table, of.series),
                summaries_table.c.timestamp == snapshots.c.timestamp,
            ),
        )
        .where(
            *in_series(snapshots, of.series),
            snapshots.c.timestamp.between(of.first, of.last),
            # On both tables: PostgreSQL carries no range from one side of a join to the other.
            summaries_table.c.timestamp.between(of.first, of.last),
        )
    )


def legs(
    connection: Connection,
    underlying: str,
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
    for each in _ranges(connection, underlying, expiry, first, last, source):
        heads = {head.timestamp: head for head in _heads(connection, each)}
        for timestamps in _portions(list(heads)):
            query = legs_query(each.series, strike, option_type, timestamps)
            rows += (
                (*OF_HEAD(heads[timestamp]), *leg) for timestamp, *leg in connection.execute(query)
            )
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
    underlying, expiry, source = of.series
    return heads_between(connection, underlying, expiry, of.first, of.last, ChainSource(source))


def _ranges(
    connection: Connection,
    underlying: str,
    expiry: date | None,
    first: datetime,
    last: datetime,
    source: ChainSource | None,
) -> list[SeriesRange]:
    """Which snapshots make the history: of one source for each expiry, nearest first."""
    held = [expiry] if expiry else expiries(connection, underlying)
    query = receipts_query(underlying, held, [source] if source else ChainSource, first, last)
    chosen: dict[date, Row[Any]] = {}
    for row in connection.execute(query):
        rival = chosen.get(row.expiry)
        if rival is None or (row.receipts, row.newest) > (rival.receipts, rival.newest):
            chosen[row.expiry] = row
    series = [(underlying, each, chosen[each].source) for each in sorted(chosen)]
    in_force = heads_at(connection, dict.fromkeys(series, first))
    return [SeriesRange(each, _begin(in_force.get(each), first), last) for each in series]


def receipts_query(
    underlying: str,
    held: Sequence[date],
    sources: Iterable[ChainSource],
    first: datetime,
    last: datetime,
) -> Select[Any]:
    """How many receipts of each series fall into the range, and the last of them."""
    return (
        select(
            receipts.c.expiry,
            receipts.c.source,
            func.count().label("receipts"),
            func.max(receipts.c.received_at).label("newest"),
        )
        .where(
            receipts.c.underlying == underlying,
            receipts.c.expiry.in_(held),
            receipts.c.source.in_([source.value for source in sources]),
            receipts.c.received_at.between(first, last),
        )
        .group_by(receipts.c.expiry, receipts.c.source)
    )


def _begin(in_force: SnapshotHead | None, first: datetime) -> datetime:
    if in_force is None or in_force.last_confirmed < first:
        return first
    return in_force.timestamp


def _portions(timestamps: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    for begin in range(0, len(timestamps), SNAPSHOTS_AT_ONCE):
        yield timestamps[begin : begin + SNAPSHOTS_AT_ONCE]


def _as_columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Columns:
    values = zip(*rows, strict=True) if rows else ((),) * len(names)
    return dict(zip(names, values, strict=True))
