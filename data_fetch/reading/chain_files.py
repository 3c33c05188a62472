"""The chains of days in files over time: read as columns, not recalled row by row."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from data_fetch.archive.day_queries import DayQueries
from data_fetch.core.chains.chain_lineage import ChainLineage
from data_fetch.core.market.session import EPOCH
from data_fetch.reading.instants import MICROSECOND, microseconds
from data_fetch.reading.seam import Question
from data_fetch.storage.chains.figure_tables import SCHEMA
from data_fetch.storage.chains.history import (
    HEAD_COLUMNS,
    Confirmed,
    Count,
    Microseconds,
    SeriesRange,
)
from data_fetch.storage.chains.rows import SeriesKey

INSTANT = SCHEMA.field("timestamp").type
RANGES = pa.schema(
    {
        "underlying": pa.string(),
        "expiry": pa.date32(),
        "source": pa.string(),
        "first": INSTANT,
        "last": INSTANT,
        "shown": pa.date32(),
    }
)
RECEIPTS = """
    SELECT underlying, expiry, source, list(epoch_us(received_at) ORDER BY received_at) AS received
    FROM read_parquet($files)
    WHERE underlying IN ({names}) AND received_at BETWEEN $first AND $last
    GROUP BY ALL
"""
IN_FORCE = """
    SELECT underlying, expiry, source, max(timestamp), max_by(last_confirmed, timestamp)
    FROM read_parquet($files)
    WHERE underlying IN ({names}) AND timestamp <= $at
    GROUP BY ALL
"""
FIGURES = """
    SELECT {columns}
    FROM read_parquet($heads) AS heads
    JOIN ranges ON heads.underlying = ranges.underlying AND heads.expiry = ranges.expiry
        AND heads.source = ranges.source AND heads.timestamp BETWEEN ranges.first AND ranges.last
    JOIN read_parquet($files) AS figures
        ON heads.underlying = figures.underlying AND heads.expiry = figures.expiry
        AND heads.timestamp = figures.timestamp AND heads.source = figures.source
    WHERE heads.underlying IN ({names}) AND figures.underlying IN ({names})
    ORDER BY heads.timestamp, ranges.shown
"""
NOTHING: Microseconds = np.array([], np.int64)


class FileChains:
    """The chains of an underlying in files, received from *first* to *last*.

    Satisfies `ChainRows`. Raises SetupError where a file is missing or damaged.
    """

    def __init__(
        self,
        asked: Question,
        queries: DayQueries,
        of: ChainLineage,
        first: datetime,
        last: datetime,
    ) -> None:
        self._asked, self._queries, self._of = asked, queries, of
        self._first, self._last = first, last
        self._names = {f"name{place}": each.label for place, each in enumerate(of.names)}

    def expiries(self, underlying: str) -> set[date]:
        return {expiry for name, expiry, _ in self._receipts if name == underlying}

    def counted(self, ranges: Sequence[SeriesRange]) -> list[Count]:
        return [
            (len(found), EPOCH + int(found[-1]) * MICROSECOND if len(found) else None)
            for found in self.received(ranges)
        ]

    def received(self, ranges: Sequence[SeriesRange]) -> list[Microseconds]:
        found = []
        for each in ranges:
            of_series = self._receipts.get(each.series, NOTHING)
            first, end = of_series.searchsorted(
                [microseconds(each.first), microseconds(each.last) + 1]
            )
            found.append(of_series[first:end])
        return found

    def in_force(self, series: Collection[SeriesKey], at: datetime) -> dict[SeriesKey, Confirmed]:
        newer = self._asked.newer_days(self._of, at)
        days = {each.trading_date for each in newer if each.series in series}
        if not days:
            return {}
        found = self._rows(IN_FORCE, files=self._files("chain_snapshots", days), at=at)
        return {(*row[:3],): (row[3], row[4]) for row in _tuples(found)}

    def figures(self, ranges: Sequence[SeriesRange], names: Sequence[str]) -> pa.Table:
        """The columns *names* of the snapshots of *ranges*, by time and then by expiry."""
        schema = pa.schema([SCHEMA.field(name) for name in names])
        first = min((each.first for each in ranges), default=self._first)
        days = self._asked.days_of_chains(self._of, first, self._last)
        if not (ranges and days):
            return schema.empty_table()
        of_heads = {name: f"heads.{name}" for name in HEAD_COLUMNS} | {"expiry": "ranges.shown"}
        columns = (f"{of_heads.get(name, f'figures.{name}')} AS {name}" for name in names)
        found = self._rows(
            FIGURES.replace("{columns}", ", ".join(columns)),
            {"ranges": _table_of(ranges)},
            heads=self._files("chain_snapshots", days),
            files=self._files("chain_summary", days),
        )
        return found.cast(schema)

    @cached_property
    def _receipts(self) -> dict[SeriesKey, Microseconds]:
        """The receipts of each series, oldest first."""
        days = self._asked.days_of_chains(self._of, self._first, self._last)
        if not days:
            return {}
        files = self._files("chain_receipts", days)
        found = self._rows(RECEIPTS, files=files, first=self._first, last=self._last)
        lists = found["received"].combine_chunks()
        return {
            (*row,): lists[place].values.to_numpy()
            for place, row in enumerate(_tuples(found.drop_columns(["received"])))
        }

    def _files(self, table_name: str, days: Collection[date]) -> list[str]:
        return [str(path) for path in self._asked.paths(table_name, days)]

    def _rows(
        self, query: str, tables: dict[str, pa.Table] | None = None, **given: Any
    ) -> pa.Table:
        named = query.replace("{names}", ", ".join(f"${name}" for name in self._names))
        return self._queries.table(named, {**given, **self._names}, tables)


def _table_of(ranges: Sequence[SeriesRange]) -> pa.Table:
    rows = [(*each.series, each.first, each.last, each.part.expiry) for each in ranges]
    columns = zip(*rows, strict=True)
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(columns, RANGES, strict=True)],
        schema=RANGES,
    )


def _tuples(rows: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
