"""The figures of a chain over time as Arrow tables. Which snapshots these are, `history` decides.

Apart from it, because Arrow takes long to load.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, select

from data_fetch.storage.chains.heads import SERIES, of_series
from data_fetch.storage.chains.history import HEAD_COLUMNS, SeriesRange
from data_fetch.storage.chains.rows import METRICS, snapshots, summaries
from data_fetch.storage.database.arrow_rows import INSTANT, arrow_rows
from data_fetch.storage.database.dialects import microseconds

HEAD_TYPES = {
    "timestamp": INSTANT,
    "expiry": pa.date32(),
    "source": pa.string(),
    "last_confirmed": INSTANT,
    "confirmations": pa.int64(),
    "exchange_time": INSTANT,
    "spot": pa.float64(),
    "lot_size": pa.int64(),
    "unit": pa.string(),
    "rejected": pa.int64(),
}
FIGURE_TYPES = {
    "forward": pa.float64(),
    "forward_method": pa.string(),
    "forward_strikes": pa.int64(),
    **dict.fromkeys(("forward_spread", "years", "rate"), pa.float64()),
    "convention": pa.string(),
    **dict.fromkeys(("priced_at", "expires_at"), INSTANT),
    "provisional": pa.bool_(),
    **dict.fromkeys(METRICS, pa.float64()),
    **dict.fromkeys(("legs", "priced"), pa.int64()),
    "age_seconds": pa.float64(),
}
ORDER = [("timestamp", "ascending"), ("expiry", "ascending")]
SCHEMA = pa.schema({**{name: HEAD_TYPES[name] for name in HEAD_COLUMNS}, **FIGURE_TYPES})
# The other columns are the same in a range.
OF_ROWS = pa.schema([field for field in SCHEMA if field.name not in {"expiry", "source"}])


def figure_table(connection: Connection, ranges: Iterable[SeriesRange]) -> pa.Table:
    """The figures of the snapshots of *ranges*, which are in the database: a table of SCHEMA.

    Volume and open interest are in the `unit` of the row. By time, and then by expiry.
    """
    return in_order([SCHEMA.empty_table(), *(_figures(connection, each) for each in ranges)])


def _figures(connection: Connection, of: SeriesRange) -> pa.Table:
    query = figures_query(connection.dialect.name)
    rows = arrow_rows(connection, query, figures_given(of), OF_ROWS)
    same = {"expiry": of.part.expiry, "source": of.source.value}
    for name, value in same.items():
        column = pa.repeat(pa.scalar(value, SCHEMA.field(name).type), len(rows))
        rows = rows.append_column(name, column)
    return rows.select(SCHEMA.names)


def in_order(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of *tables*, each of which is in order, by time and then by expiry."""
    filled = [each for each in tables if each.num_rows] or tables[:1]
    found = pa.concat_tables(filled).combine_chunks()
    return found if len(filled) == 1 else found.sort_by(ORDER)


def figures_given(of: SeriesRange) -> dict[str, Any]:
    """The parameters of `figures_query`."""
    series = dict(zip(SERIES, of.series, strict=True))
    return {**series, "first": of.first, "last": of.last}


@cache
def figures_query(dialect: str) -> Select[Any]:
    """OF_ROWS of the snapshots of a range, oldest first; instants in microseconds.

    Made once, which takes as long as two hundred rows. Its parameters are `figures_given`.
    """

    def selected(name: str) -> ColumnElement[Any]:
        column = (snapshots if name in HEAD_TYPES else summaries).c[name]
        return microseconds(dialect, column) if SCHEMA.field(name).type == INSTANT else column

    return (
        select(*map(selected, OF_ROWS.names))
        .join(
            summaries,
            and_(
                *of_series(summaries),
                summaries.c.timestamp == snapshots.c.timestamp,
            ),
        )
        .where(
            *of_series(snapshots),
            snapshots.c.timestamp.between(bindparam("first"), bindparam("last")),
            # On both tables: PostgreSQL carries no range from one side of a join to the other.
            summaries.c.timestamp.between(bindparam("first"), bindparam("last")),
        )
        .order_by(snapshots.c.timestamp)
    )
