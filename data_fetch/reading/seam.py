"""One question to a store and to its archive: queries find the rows of both.

A day is in the store or in files. A question first recalls what it needs of days in files; its
queries then find those rows in the tables themselves.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from data_fetch.core.archive.days import (
    TABLES,
    ArchivedSeries,
    Dataset,
    DayState,
    bounds_of,
    day_of,
)
from data_fetch.core.chains.chain_lineage import ChainLineage
from data_fetch.core.chains.chains import ChainSource, OptionType
from data_fetch.core.clock import END_OF_TIME
from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.reading.records import store_of
from data_fetch.storage.archive_ledger import all_days_in_files, paths_between, series_between
from data_fetch.storage.chains.archived import (
    SeriesDay,
    days_with_chains,
    has_chain_in_files,
    newest_series_days,
)
from data_fetch.storage.chains.heads import (
    has_heads,
    heads_at,
    newest_head,
    newest_heads,
    not_over,
)
from data_fetch.storage.chains.rows import SeriesKey, SnapshotHead, SnapshotKey
from data_fetch.storage.database.dialects import only_reads
from data_fetch.storage.database.store import PinnedStore, Store

IN_TRANSITION = {DayState.DROPPED, DayState.RESTORING}
HEAD_TABLES = ("chain_receipts", "chain_snapshots", "chain_summary")
LEGS = "option_chain_data"
# A chain whose expiry was moved is stored under the former day.
EXPIRIES_MOVE_BY = timedelta(days=10)


@contextmanager
def question(settings: Settings) -> Iterator["Question"]:
    """The configured store as one state that does not change while it is asked.

    Raises as `store_of` does.
    """
    with store_of(settings) as store, pinned(settings, store) as found:
        yield found


@contextmanager
def pinned(settings: Settings, store: Store) -> Iterator["Question"]:
    """The same of an open store."""
    with store.consistent_reading() as connection:
        yield Question(settings, PinnedStore.of(store, connection))


class Question:
    """A question to *store*, all of whose queries go through one *connection*.

    Raises SetupError where a file of the archive is missing or damaged, and where something is to
    be recalled into a database that is read-only.
    """

    def __init__(self, settings: Settings, store: PinnedStore) -> None:
        self.store = store
        self.connection: Connection = store.connection
        self._settings = settings
        # What was recalled: of which tables and days which underlyings or instruments with all
        # their rows, and which snapshots with their legs.
        self._recalled: dict[tuple[str, date], set[str]] = {}
        self._whole: set[SnapshotKey] = set()

    def recall_heads(self, of: ChainLineage, expiry: date | None, at: datetime | None) -> None:
        """What queries for the snapshots in force at *at* need, of *expiry* or of those that were
        running then: heads, figures and receipts."""
        if not self.days_of_chains:
            return
        if at is None and not self._void and has_heads(self.connection, of, expiry):
            return
        until = at or END_OF_TIME
        lacking = self.newer_days(of, until)
        if expiry is not None:
            labels = {part.stored_expiry for part in of.parts(of.in_force(expiry))}
            lacking = [each for each in lacking if each.expiry in labels]
        else:
            lacking = running_or_newest(lacking, until)
        self._recall(HEAD_TABLES, {each.trading_date for each in lacking}, _names(of))

    def recall_chain(
        self,
        of: ChainLineage,
        expiry: date | None,
        at: datetime | None,
        source: ChainSource | None = None,
    ) -> None:
        """What a query for the whole snapshot in force at *at* needs."""
        self.recall_heads(of, expiry, at)
        head = newest_head(self.connection, of, expiry, at, source)
        if head is not None:
            self.recall_contents([head.stored])

    def recall_running(
        self, of: ChainLineage, at: datetime | None, source: ChainSource | None = None
    ) -> None:
        """What a query for the whole newest snapshot of each running expiry needs."""
        self.recall_heads(of, None, at)
        heads = newest_heads(self.connection, of, at, source)
        self.recall_contents(each.stored for each in not_over(self.connection, heads, at))

    def recall_contents(self, heads: Iterable[SnapshotHead]) -> None:
        """The legs and the figures of these snapshots."""
        wanted = {head.key for head in heads} - self._whole
        if not wanted:
            return
        days = {day_of(timestamp) for _, _, timestamp, _ in wanted}
        for day in self._in_files(Dataset.CHAINS, min(days), max(days)):
            keys = sorted(key for key in wanted if day_of(key[2]) == day)
            if keys:
                self._whole.update(keys)
                self._add(LEGS, day, _of_snapshots(keys))
                of_whole_day = self._recalled.get(("chain_summary", day), set())
                rest = [key for key in keys if key[0] not in of_whole_day]
                if rest:
                    self._add("chain_summary", day, _of_snapshots(rest))

    def recall_range(
        self, of: ChainLineage, expiry: date | None, first: datetime, last: datetime
    ) -> None:
        """What queries for the snapshots from *first* to *last* need, with the one in force at
        *first*: heads, figures and receipts."""
        self.recall_heads(of, expiry, first)
        days = self._with_chains(of, day_of(first), _last_day(last))
        self._recall(HEAD_TABLES, days, _names(of))

    @property
    def days_of_chains(self) -> Collection[date]:
        """The days of chains that are read from their files."""
        return self._days_in_files[Dataset.CHAINS].keys()

    def leave_void_out(self, table_names: Iterable[str]) -> None:
        """Let queries find no row of days that are in files, which nothing is recalled of."""
        if self._void:
            for table_name in table_names:
                self._rows.leave_void_out(table_name)

    def has_chain(self, of: ChainLineage, expiry: date, at: datetime | None) -> bool:
        """Whether a snapshot of *expiry* had been received at *at*."""
        return bool(newest_heads(self.connection, of, at, expiry=expiry)) or (
            bool(self.days_of_chains)
            and has_chain_in_files(self.connection, of, expiry, at or END_OF_TIME)
        )

    def series_in_files(
        self, of: ChainLineage, first: datetime, last: datetime
    ) -> list[ArchivedSeries]:
        """The chains of the underlying on the days in files from *first* to *last*, oldest
        first."""
        days = self._in_files(Dataset.CHAINS, day_of(first), _last_day(last))
        if not days:
            return []
        counted = series_between(self.connection, _names(of), days[0], days[-1])
        return [each for each in counted if each.trading_date in self.days_of_chains]

    def newer_days(self, of: ChainLineage, until: datetime) -> list[SeriesDay]:
        """The days in files with the newest snapshot of a series as of *until*, where the store
        has no later one."""
        return self._lacking(newest_series_days(self.connection, _names(of), until), until)

    def paths(self, table_name: str, days: Collection[date]) -> list[Path]:
        """The files of a table of these days, at least one, oldest first."""
        paths = paths_between(self.connection, table_name, min(days), max(days))
        return [self._root / path for day, path in paths.items() if day in days]

    def earlier_days(self, of: ChainLineage, until: datetime) -> list[date]:
        """The days in files with chains of the underlying, up to *until*, oldest first."""
        return self._with_chains(of, date.min, _last_day(until))

    def recall_day(self, of: ChainLineage, day: date) -> None:
        """Heads, figures and receipts of a day in files."""
        self._recall(HEAD_TABLES, [day], _names(of))

    def expiries(self, of: ChainLineage, at: datetime | None) -> list[date]:
        """Every expiry in force of which a snapshot had been received at *at*, nearest first."""
        stored = {head.shown.expiry for head in newest_heads(self.connection, of, at)}
        if not self.days_of_chains:
            return sorted(stored)
        known = newest_series_days(self.connection, _names(of), at or END_OF_TIME)
        in_files = {expiry for each in known for expiry in of.stored_as(each.expiry)}
        return sorted(stored | in_files)

    def recall_contract(
        self,
        of: ChainLineage,
        expiry: date,
        strike: Decimal,
        option_type: OptionType,
        first: datetime,
        last: datetime,
    ) -> None:
        """The same with the legs of one contract."""
        self.recall_range(of, expiry, first, last)
        days = sorted(day for table, day in self._recalled if table == "chain_snapshots")
        if not days:
            return
        import pyarrow.compute as pc

        labels = {part.stored_expiry for part in of.parts(of.in_force(expiry))}
        where = (
            pc.field("underlying").isin(sorted(_names(of)))
            & pc.field("expiry").isin(sorted(labels))
            & (pc.field("strike") == strike)
            & (pc.field("option_type") == option_type.value)
        )
        for day in days:
            self._add(LEGS, day, where)

    def recall_all_candles(self, day: date) -> None:
        """The candles of a day, of every instrument, and their corrections."""
        if day in self._days_in_files[Dataset.CANDLES]:
            import pyarrow.compute as pc

            for table_name in TABLES[Dataset.CANDLES]:
                self._add(table_name, day, pc.scalar(True))

    def recall_quotes(self, symbols: Collection[str], first: datetime, last: datetime) -> None:
        """The quotes of *symbols* in the slots from *first* to *last*."""
        self._recall_instruments(Dataset.QUOTES, {"ltp_data": "symbol"}, symbols, first, last)

    def earlier_quote_days(self, first: datetime | None, end: datetime | None) -> list[date]:
        """The days in files with slots from *first* until *end*, oldest first."""
        since = date.min if first is None else day_of(first)
        return self._in_files(Dataset.QUOTES, since, date.max if end is None else day_of(end))

    def recall_candles(self, keys: Collection[str], first: datetime, last: datetime) -> None:
        """The candles of instruments that start from *first* to *last*, and their corrections."""
        tables = {"candles": "instrument_key", "candle_revisions": "instrument_key"}
        self._recall_instruments(Dataset.CANDLES, tables, keys, first, last)

    def _recall_instruments(
        self,
        dataset: Dataset,
        tables: Mapping[str, str],
        values: Collection[str],
        first: datetime,
        last: datetime,
    ) -> None:
        """Rows of *tables* with these *values* in the column that is named for each."""
        for day in self._in_files(dataset, day_of(first), day_of(last)):
            for table_name, column in tables.items():
                self._add_of_day(table_name, day, column, values)

    def _lacking(self, known: Sequence[SeriesDay], until: datetime) -> list[SeriesDay]:
        """Those of *known* of which the store has no later snapshot."""
        if not known:
            return []
        stored = heads_at(self.connection, {each.series: until for each in known})
        return [
            each
            for each in known
            if each.series not in stored
            or stored[each.series].timestamp < bounds_of(each.trading_date)[1]
        ]

    def _recall(
        self, tables: Sequence[str], days: Iterable[date], underlyings: Collection[str]
    ) -> None:
        for day in sorted(days):
            for table_name in tables:
                self._add_of_day(table_name, day, "underlying", underlyings)

    def _add_of_day(self, table_name: str, day: date, column: str, values: Collection[str]) -> None:
        """Recall the rows of one day with these *values*, those that are not there yet."""
        known = self._recalled.setdefault((table_name, day), set())
        if new := set(values) - known:
            import pyarrow.compute as pc

            known |= new
            self._add(table_name, day, pc.field(column).isin(sorted(new)))

    def _add(self, table_name: str, day: date, where: Any) -> None:
        """Recall the rows of one day *where*, which must not be there yet."""
        from data_fetch.archive.day_rows import rows_of_files

        self._rows.add(table_name, rows_of_files(table_name, self.paths(table_name, [day]), where))

    def _in_files(self, dataset: Dataset, first: date, last: date) -> list[date]:
        """The days from *first* to *last* that are read from their files, oldest first."""
        return [day for day in self._days_in_files[dataset] if first <= day <= last]

    def _with_chains(self, of: ChainLineage, first: date, last: date) -> list[date]:
        """Those of them with chains of the underlying."""
        if not self._in_files(Dataset.CHAINS, first, last):
            return []
        return days_with_chains(self.connection, _names(of), first, last)

    @cached_property
    def _days_in_files(self) -> Mapping[Dataset, Mapping[date, DayState]]:
        return all_days_in_files(self.connection)

    @cached_property
    def _void(self) -> list[date]:
        """The days that are being dropped or restored: what the store has of them is void."""
        return [
            day
            for days in self._days_in_files.values()
            for day, state in days.items()
            if state in IN_TRANSITION
        ]

    @cached_property
    def _root(self) -> Path:
        from data_fetch.runtime.archive import archive_folder_for

        return archive_folder_for(self._settings).root

    @cached_property
    def _rows(self) -> Any:
        from data_fetch.storage.recalled_rows import RecalledRows

        if only_reads(self.connection):
            raise SetupError(
                f"{self.store.name} is read-only: rows of days in files cannot join its own there",
                hint="Name the primary server in DATABASE_URL. Here you find days that are in the "
                "database, and figures of chains over time.",
            )
        return RecalledRows(self.connection, self._void)


def _last_day(until: datetime) -> date:
    # The end of time has no date in India.
    return date.max if until == END_OF_TIME else day_of(until)


def _names(of: ChainLineage) -> frozenset[str]:
    return frozenset(name.label for name in of.names)


def _of_snapshots(keys: Iterable[SnapshotKey]) -> Any:
    """The condition for rows of these snapshots."""
    import pyarrow.compute as pc

    timestamps: dict[SeriesKey, list[datetime]] = {}
    for underlying, expiry, timestamp, source in keys:
        timestamps.setdefault((underlying, expiry, source), []).append(timestamp)
    conditions = (
        (pc.field("underlying") == underlying)
        & (pc.field("expiry") == expiry)
        & (pc.field("source") == source)
        & pc.field("timestamp").isin(instants)
        for (underlying, expiry, source), instants in timestamps.items()
    )
    return reduce(or_, conditions)


def running_or_newest(lacking: Sequence[SeriesDay], until: datetime) -> list[SeriesDay]:
    """Those that may run at *until*, and those of the newest day of all."""
    if not lacking:
        return []
    newest = max(each.trading_date for each in lacking)
    over = day_of(until) - EXPIRIES_MOVE_BY if until < END_OF_TIME else newest
    return [each for each in lacking if each.expiry >= over or each.trading_date == newest]
