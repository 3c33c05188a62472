"""The ledger of the archive: which days have files, and which of them are read from those."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Table, delete, func, select, update

from data_fetch.core.archive.days import (
    ArchivedDay,
    ArchivedFile,
    ArchivedSeries,
    Dataset,
    DayState,
    day_of,
)
from data_fetch.core.errors import DayArchived
from data_fetch.storage.database.tables import (
    ArchivedDayRow,
    ArchivedFileRow,
    ArchivedSeriesRow,
    table,
)
from data_fetch.storage.database.upsert import upsert

archived_days = table(ArchivedDayRow)
archived_files = table(ArchivedFileRow)
archived_series = table(ArchivedSeriesRow)
IN_FILES = tuple(state.value for state in DayState if state.in_files)
# Made once: every question of a reader begins with it.
DAYS_IN_FILES = (
    select(archived_days.c.dataset, archived_days.c.trading_date, archived_days.c.state)
    .where(archived_days.c.state.in_(IN_FILES))
    .order_by(archived_days.c.trading_date)
)

Record = TypeVar("Record", ArchivedDay, ArchivedFile, ArchivedSeries)


def days_between(
    connection: Connection, dataset: Dataset, first: date, last: date
) -> list[ArchivedDay]:
    """The archived days from *first* to *last*, oldest first."""
    days = archived_days.c
    query = (
        select(archived_days)
        .where(days.dataset == dataset.value, days.trading_date.between(first, last))
        .order_by(days.trading_date)
    )
    return [_day(row) for row in connection.execute(query)]


def days_in_files(connection: Connection, dataset: Dataset, first: date, last: date) -> list[date]:
    """The days from *first* to *last* that are read from their files, oldest first."""
    days = archived_days.c
    query = (
        select(days.trading_date)
        .where(
            days.dataset == dataset.value,
            days.trading_date.between(first, last),
            days.state.in_(IN_FILES),
        )
        .order_by(days.trading_date)
    )
    return list(connection.scalars(query))


def all_days_in_files(connection: Connection) -> dict[Dataset, dict[date, DayState]]:
    """Every day that is read from its files with its state, by dataset, oldest first."""
    found: dict[Dataset, dict[date, DayState]] = {dataset: {} for dataset in Dataset}
    for dataset, trading_date, state in connection.execute(DAYS_IN_FILES):
        found[Dataset(dataset)][trading_date] = DayState(state)
    return found


def accept_rows(connection: Connection, dataset: Dataset, instants: Iterable[datetime]) -> None:
    """Call it in a transaction before it writes rows of *dataset* at *instants*.

    Raises DayArchived if one of them belongs to a day that is read from its files: what is written
    into the store would never be seen. Other days with files are compared with them anew.
    """
    wanted = {day_of(at) for at in instants}
    if not wanted:
        return
    known = days_between(connection, dataset, min(wanted), max(wanted))
    archived = [day for day in known if day.trading_date in wanted]
    if in_files := [day.trading_date for day in archived if day.state.in_files]:
        raise DayArchived(dataset.value, in_files)
    if changed := [day.trading_date for day in archived if day.state.compared]:
        days = archived_days.c
        connection.execute(
            update(archived_days)
            .where(days.dataset == dataset.value, days.trading_date.in_(changed))
            .values(state=DayState.ARCHIVED.value)
        )


def day_in_ledger(
    connection: Connection, dataset: Dataset, trading_date: date, *, hold: bool = False
) -> ArchivedDay | None:
    """The row of one day; None without files. With *hold* it stays as it is until the
    transaction ends."""
    days = archived_days.c
    query = select(archived_days).where(
        days.dataset == dataset.value, days.trading_date == trading_date
    )
    row = connection.execute(query.with_for_update(read=True) if hold else query).one_or_none()
    return None if row is None else _day(row)


def files_between(
    connection: Connection, table_name: str, first: date, last: date
) -> list[ArchivedFile]:
    """The files of one table from *first* to *last*, oldest first."""
    files = archived_files.c
    query = (
        select(archived_files)
        .where(files.table_name == table_name, files.trading_date.between(first, last))
        .order_by(files.trading_date)
    )
    return [_record(ArchivedFile, row) for row in connection.execute(query)]


def paths_between(
    connection: Connection, table_name: str, first: date, last: date
) -> dict[date, str]:
    """Their places in the archive's folder, by day."""
    files = archived_files.c
    query = (
        select(files.trading_date, files.path)
        .where(files.table_name == table_name, files.trading_date.between(first, last))
        .order_by(files.trading_date)
    )
    return {row.trading_date: row.path for row in connection.execute(query)}


def series_between(
    connection: Connection, underlyings: Collection[str], first: date, last: date
) -> list[ArchivedSeries]:
    """The archived chains of *underlyings* from *first* to *last*, oldest first."""
    series = archived_series.c
    query = (
        select(archived_series)
        .where(series.underlying.in_(sorted(underlyings)), series.trading_date.between(first, last))
        .order_by(series.trading_date, series.underlying, series.expiry, series.source)
    )
    return [_record(ArchivedSeries, row) for row in connection.execute(query)]


def chains_in_files(connection: Connection) -> dict[str, tuple[int, int]]:
    """How many snapshots and legs of each underlying are in files only."""
    days, series = archived_days.c, archived_series.c
    query = (
        select(series.underlying, func.sum(series.snapshots), func.sum(series.legs))
        .join(archived_days, days.trading_date == series.trading_date)
        .where(days.dataset == Dataset.CHAINS.value, days.state.in_(IN_FILES))
        .group_by(series.underlying)
    )
    return {
        name: (int(snapshots), int(legs)) for name, snapshots, legs in connection.execute(query)
    }


def rows_in_files(connection: Connection, dataset: Dataset, table_name: str) -> int:
    """How many rows of a table of *dataset* are in files only."""
    days, files = archived_days.c, archived_files.c
    query = (
        select(func.coalesce(func.sum(files.rows), 0))
        .join(archived_days, days.trading_date == files.trading_date)
        .where(
            days.dataset == dataset.value,
            days.state.in_(IN_FILES),
            files.table_name == table_name,
        )
    )
    return int(connection.execute(query).scalar_one())


def record_day(
    connection: Connection,
    day: ArchivedDay,
    files: Sequence[ArchivedFile] = (),
    series: Sequence[ArchivedSeries] = (),
) -> None:
    """Store *day*; with *files* also those, and *series* in the place of the day's former ones."""
    _put(connection, archived_days, [day])
    if not files:
        return
    _put(connection, archived_files, files)
    if day.dataset is Dataset.CHAINS:
        connection.execute(
            delete(archived_series).where(archived_series.c.trading_date == day.trading_date)
        )
        _put(connection, archived_series, series)


def _put(connection: Connection, target: Table, records: Sequence[Record]) -> None:
    columns = [column.name for column in target.columns]
    upsert(
        connection,
        target,
        columns,
        [tuple(_plain(getattr(record, name)) for name in columns) for record in records],
    )


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Dataset | DayState) else value


def _day(row: Row[Any]) -> ArchivedDay:
    known = row._asdict()
    return ArchivedDay(
        **{**known, "dataset": Dataset(known["dataset"]), "state": DayState(known["state"])}
    )


def _record(kind: type[Record], row: Row[Any]) -> Record:
    return kind(**{field.name: getattr(row, field.name) for field in fields(kind)})
