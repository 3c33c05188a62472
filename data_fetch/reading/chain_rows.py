"""The chains of a question over time, wherever their days are: in the store or in files."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import numpy as np

from data_fetch.core.chains.chain_lineage import ChainLineage
from data_fetch.reading.seam import HEAD_TABLES, Question
from data_fetch.storage.chains.figure_tables import figure_table, in_order
from data_fetch.storage.chains.history import (
    ChainRows,
    Confirmed,
    Count,
    Microseconds,
    SeriesRange,
    StoredChains,
)
from data_fetch.storage.chains.rows import SeriesKey


class FigureRows(ChainRows, Protocol):
    """Where the figures of snapshots are found as well."""

    def figures(self, ranges: Sequence[SeriesRange]) -> Any:
        """A table of the snapshots of *ranges*, by time and then by expiry."""


@dataclass(frozen=True, slots=True)
class StoredFigures(StoredChains):
    """The chains in the store with the columns *names* of their figures (satisfies
    `FigureRows`)."""

    names: Sequence[str]

    def figures(self, ranges: Sequence[SeriesRange]) -> Any:
        return figure_table(self.connection, ranges).select(self.names)


@contextmanager
def figure_rows(
    asked: Question, of: ChainLineage, first: datetime, last: datetime, names: Sequence[str]
) -> Iterator[FigureRows]:
    """The chains of an underlying from *first* to *last*, with those in force at *first*: of
    snapshots and figures the columns *names*.

    What it finds raises SetupError where a file is missing or damaged.
    """
    asked.leave_void_out(HEAD_TABLES)
    stored = StoredFigures(asked.connection, names)
    if not asked.days_of_chains:
        yield stored
        return
    # DuckDB takes long to load.
    from data_fetch.archive.day_queries import DayQueries
    from data_fetch.reading.chain_files import FileChains

    with closing(DayQueries()) as queries:
        yield _Both(stored, FileChains(asked, queries, of, (first, last), names))


@dataclass(frozen=True, slots=True)
class _Both:
    """The chains of the store and of files: no day is in both (satisfies `FigureRows`)."""

    stored: FigureRows
    files: FigureRows

    def expiries(self, underlying: str) -> set[date]:
        return {*self.stored.expiries(underlying), *self.files.expiries(underlying)}

    def counted(self, ranges: Sequence[SeriesRange]) -> list[Count]:
        return [
            (one + other, max(filter(None, (newest, later)), default=None))
            for (one, newest), (other, later) in zip(
                self.stored.counted(ranges), self.files.counted(ranges), strict=True
            )
        ]

    def in_force(self, series: Collection[SeriesKey], at: datetime) -> dict[SeriesKey, Confirmed]:
        found = self.files.in_force(series, at)
        for key, confirmed in self.stored.in_force(series, at).items():
            found[key] = max(confirmed, found.get(key, confirmed))
        return found

    def received(self, ranges: Sequence[SeriesRange]) -> list[Microseconds]:
        found = [[each] for each in self.files.received(ranges)]
        of_store = _with_receipts(self.stored, ranges)
        of_ranges = self.stored.received([ranges[place] for place in of_store])
        for place, received in zip(of_store, of_ranges, strict=True):
            found[place].append(received)
        return [np.concatenate(each) for each in found]

    def figures(self, ranges: Sequence[SeriesRange]) -> Any:
        # A query for each range: not for those of which the store has nothing.
        of_store = [ranges[place] for place in _with_receipts(self.stored, ranges)]
        return in_order([self.stored.figures(of_store), self.files.figures(ranges)])


def _with_receipts(chains: ChainRows, ranges: Sequence[SeriesRange]) -> list[int]:
    """The places of those of *ranges* in which anything was received."""
    return [place for place, (count, _) in enumerate(chains.counted(ranges)) if count]
