"""The chains of days in files over time: read as columns, not recalled row by row."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_fetch.archive.day_queries import DayQueries
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import ArchivedSeries
from data_fetch.core.chains.chain_lineage import ChainLineage
from data_fetch.core.errors import SetupError
from data_fetch.core.market.session import EPOCH, EPOCH_DAY, IST_AHEAD, MINUTES_OF_DAY
from data_fetch.reading.instants import MICROSECOND, microseconds
from data_fetch.reading.seam import Question, running_or_newest
from data_fetch.storage.chains.archived import SeriesDay
from data_fetch.storage.chains.figure_tables import ORDER, SCHEMA, in_order
from data_fetch.storage.chains.heads import SERIES
from data_fetch.storage.chains.history import (
    HEAD_COLUMNS,
    Confirmed,
    Count,
    Microseconds,
    SeriesRange,
)
from data_fetch.storage.chains.rows import SeriesKey
from data_fetch.storage.database.dialects import MICROSECONDS_PER_MINUTE

ALWAYS = {*SERIES, "timestamp", "last_confirmed", "confirmations"}
NOTHING: Microseconds = np.array([], np.int64)


class FileChains:
    """The chains of an underlying in files, received from *first* to *last*: the columns *names*
    of their snapshots and figures.

    Satisfies `FigureRows`. Raises SetupError where a file is missing or damaged.
    """

    def __init__(
        self,
        asked: Question,
        queries: DayQueries,
        of: ChainLineage,
        span: tuple[datetime, datetime],
        names: Sequence[str],
    ) -> None:
        self._asked, self._queries, self._of, self._span = asked, queries, of, span
        self._names = list(names)
        self._underlyings = [each.label for each in of.names]
        # Snapshots of days before the span.
        self._earlier: list[_Snapshots] = []

    def expiries(self, underlying: str) -> set[date]:
        series = {each.series for each in self._series}
        series |= {each.series for each in running_or_newest(self._newer, self._span[0])}
        return {expiry for name, expiry, _ in series if name == underlying}

    def counted(self, ranges: Sequence[SeriesRange]) -> list[Count]:
        return [
            (len(found), EPOCH + int(found[-1]) * MICROSECOND if len(found) else None)
            for found in self.received(ranges)
        ]

    def received(self, ranges: Sequence[SeriesRange]) -> list[Microseconds]:
        found = []
        for each in ranges:
            instants = self._receipts.get(each.series, NOTHING)
            ends = microseconds(each.first), microseconds(each.last) + 1
            begin, end = instants.searchsorted(ends)
            found.append(instants[begin:end])
        return found

    def in_force(self, series: Collection[SeriesKey], at: datetime) -> dict[SeriesKey, Confirmed]:
        """The newest snapshot of each of *series* at the beginning of the span, *at*."""
        days = {each.trading_date for each in self._newer if each.series in series} - self._days
        if days:
            self._earlier.append(self._snapshots(days))
        found: dict[SeriesKey, Confirmed] = {}
        for part in (*self._earlier, self._of_span):
            for key in series:
                found |= part.newest(key, at, found.get(key))
        return found

    def figures(self, ranges: Sequence[SeriesRange]) -> pa.Table:
        """The snapshots of *ranges*, by time and then by expiry."""
        parts = (*self._earlier, self._of_span)
        return in_order([part.within(ranges, self._names) for part in parts])

    @cached_property
    def _of_span(self) -> "_Snapshots":
        return self._snapshots(self._days)

    @cached_property
    def _newer(self) -> list[SeriesDay]:
        return self._asked.newer_days(self._of, self._span[0])

    @cached_property
    def _series(self) -> list[ArchivedSeries]:
        return self._asked.series_in_files(self._of, *self._span)

    @cached_property
    def _days(self) -> set[date]:
        return {each.trading_date for each in self._series}

    @cached_property
    def _receipts(self) -> dict[SeriesKey, Microseconds]:
        """The receipts of each series on the days of the span, oldest first.

        Those that its snapshots show are all of a day if they are as many as the ledger counts.
        Only of the other days the files of receipts are read.
        """
        counted = {(each.series, each.trading_date): each.receipts for each in self._series}
        found = _by_day(self._of_span.receipts(), self._days)
        unclear = {of[1] for of, count in counted.items() if len(found.get(of, ())) != count}
        if unclear:
            found |= _by_day(self._receipts_of(unclear), unclear)
        of_series: dict[SeriesKey, list[Microseconds]] = {}
        for (key, day), count in counted.items():
            received = found.get((key, day), NOTHING)
            _refuse_unless(len(received) == count)
            of_series.setdefault(key, []).append(received)
        return {key: np.concatenate(days) for key, days in of_series.items()}

    def _receipts_of(self, days: Collection[date]) -> Iterator[tuple[SeriesKey, Microseconds]]:
        rows = self._table("chain_receipts", days, [*SERIES, "received_at"])
        for key, begin, end in _runs(rows, "received_at"):
            yield key, _numbers(rows["received_at"])[begin:end]

    def _snapshots(self, days: Collection[date]) -> "_Snapshots":
        of_heads = ALWAYS | (set(HEAD_COLUMNS) & set(self._names))
        of_figures = [name for name in self._names if name not in HEAD_COLUMNS]
        rows = self._table("chain_snapshots", days, sorted(of_heads))
        if of_figures:
            figures = self._table("chain_summary", days, ["timestamp", *of_figures])
            _refuse_unless(figures["timestamp"].equals(rows["timestamp"]))
            for name in of_figures:
                rows = rows.append_column(name, figures[name])
        return _Snapshots(rows)

    def _table(self, table_name: str, days: Collection[date], columns: Sequence[str]) -> pa.Table:
        """Rows of the underlying, by day and then in the order of the files."""
        if not days:
            schema = ARCHIVE_SCHEMAS[table_name].arrow
            return pa.schema([schema.field(name) for name in columns]).empty_table()
        given = {f"name{place}": name for place, name in enumerate(self._underlyings)}
        listed = ", ".join(f"${name}" for name in given)
        # The names of columns are ours; a user's text is a parameter.
        rows = f"SELECT {', '.join(columns)} FROM read_parquet($files)"  # noqa: S608
        return self._queries.table(
            f"{rows} WHERE underlying IN ({listed})",
            {**given, "files": [str(path) for path in self._asked.paths(table_name, days)]},
        ).combine_chunks()


class _Snapshots:
    """Rows of snapshots, in the order of day files."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self._timestamps = _numbers(rows["timestamp"])
        self._places: dict[SeriesKey, list[tuple[int, int]]] = {}
        for key, begin, end in _runs(rows, "timestamp"):
            self._places.setdefault(key, []).append((begin, end))

    def receipts(self) -> Iterator[tuple[SeriesKey, Microseconds]]:
        """The first and the last receipt of each snapshot."""
        last, often = _numbers(self._rows["last_confirmed"]), _numbers(self._rows["confirmations"])
        for key, places in self._places.items():
            for begin, end in places:
                yield key, self._timestamps[begin:end]
                yield key, last[begin:end][often[begin:end] > 1]

    def newest(
        self, key: SeriesKey, at: datetime, known: Confirmed | None
    ) -> dict[SeriesKey, Confirmed]:
        """The newest snapshot of a series as of *at*, if it is newer than the *known* one."""
        found = []
        for begin, end in self._places.get(key, ()):
            within = self._timestamps[begin:end].searchsorted(microseconds(at), "right")
            if within:
                found.append(begin + int(within) - 1)
        confirmed = [
            (self._rows["timestamp"][place].as_py(), self._rows["last_confirmed"][place].as_py())
            for place in found
        ]
        if known is not None:
            confirmed.append(known)
        return {key: max(confirmed)} if confirmed else {}

    def within(self, ranges: Iterable[SeriesRange], names: Sequence[str]) -> pa.Table:
        """The columns *names* of the snapshots of *ranges*, by time and then by expiry."""
        schema = pa.schema([SCHEMA.field(name) for name in names])
        wanted = np.zeros(len(self._rows), bool)
        expiries = np.zeros(len(self._rows), np.int32)
        for each in ranges:
            ends = microseconds(each.first), microseconds(each.last) + 1
            for begin, end in self._places.get(each.series, ()):
                first, after = begin + self._timestamps[begin:end].searchsorted(ends)
                wanted[first:after] = True
                expiries[first:after] = (each.part.expiry - EPOCH.date()).days
        place = self._rows.schema.get_field_index("expiry")
        shown = pa.array(expiries).cast(pa.date32())
        found = self._rows.set_column(place, "expiry", shown).select(names).cast(schema)
        if not wanted.all():
            found = found.filter(pa.array(wanted))
        if (np.diff(self._timestamps[wanted]) > 0).all():
            return found
        return found.sort_by(ORDER)


def _runs(rows: pa.Table, instant: str) -> Iterator[tuple[SeriesKey, int, int]]:
    """The places of rows of one series with ascending instants, one after another."""
    if not rows.num_rows:
        return
    before, after = rows.slice(0, rows.num_rows - 1), rows.slice(1)
    breaks = pc.less_equal(after[instant], before[instant])
    for name in SERIES:
        breaks = pc.or_(breaks, pc.not_equal(after[name], before[name]))
    begins = np.flatnonzero(breaks.to_numpy()) + 1
    for begin, end in pairwise((0, *begins.tolist(), rows.num_rows)):
        yield tuple(rows[name][begin].as_py() for name in SERIES), begin, end


def _by_day(
    received: Iterable[tuple[SeriesKey, Microseconds]], days: Collection[date]
) -> dict[tuple[SeriesKey, date], Microseconds]:
    """Instants by series and Indian date, as far as that is one of *days*; oldest first."""
    numbers = {day.toordinal() - EPOCH_DAY: day for day in days}
    found: dict[tuple[SeriesKey, date], list[Microseconds]] = {}
    for key, instants in received:
        of_days = (instants // MICROSECONDS_PER_MINUTE + IST_AHEAD) // MINUTES_OF_DAY
        begins = np.flatnonzero(np.diff(of_days, prepend=-1)).tolist()
        for begin, end in pairwise((*begins, len(instants))):
            if day := numbers.get(int(of_days[begin])):
                found.setdefault((key, day), []).append(instants[begin:end])
    return {of: np.sort(np.concatenate(parts)) for of, parts in found.items()}


def _refuse_unless(belong_together: bool) -> None:
    if not belong_together:
        raise SetupError(
            "files of a day of chains do not belong together",
            hint="Find out which: data-fetch archive verify",
        )


def _numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return numbers
