"""The ledger of the archive: a day is in the store or in files, never both."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime

import pytest

from data_fetch.core.archive.days import (
    ArchivedDay,
    ArchivedFile,
    ArchivedSeries,
    Dataset,
    DayState,
    bounds_of,
    day_of,
)
from data_fetch.core.errors import DayArchived
from data_fetch.core.world import World
from data_fetch.storage.archive_ledger import (
    accept_rows,
    day_in_ledger,
    days_between,
    days_in_files,
    files_between,
    record_day,
    series_between,
)
from data_fetch.storage.database.store import Store, open_store

DAY, NEXT = date(2026, 9, 16), date(2026, 9, 17)
NOON = datetime(2026, 9, 16, 6, 30, tzinfo=UTC)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with closing(open_store(database_url, World.PAPER)) as store:
        yield store


def day_in(state: DayState, trading_date: date = DAY) -> ArchivedDay:
    return ArchivedDay(
        dataset=Dataset.CHAINS,
        trading_date=trading_date,
        state=state,
        generation=1,
        changed_at=NOON,
        run_id="run",
    )


def file_of(table_name: str) -> ArchivedFile:
    return ArchivedFile(
        table_name=table_name,
        trading_date=DAY,
        path=f"options_processed/{table_name}/20260916.parquet",
        rows=3,
        size_bytes=900,
        sha256="ab",
        digest="cd",
        schema_version=1,
        written_at=NOON,
    )


def series_of(source: str) -> ArchivedSeries:
    return ArchivedSeries(
        trading_date=DAY,
        underlying="NIFTY",
        expiry=NEXT,
        source=source,
        snapshots=2,
        legs=412,
        receipts=3,
        first=NOON,
        last=NOON,
        first_received=NOON,
        last_received=NOON,
    )


def test_what_is_recorded_is_found(store: Store) -> None:
    day, file, series = day_in(DayState.VERIFIED), file_of("chain_summary"), series_of("nse")
    with store.writing() as connection:
        record_day(connection, day, [file], [series])
    with store.reading() as connection:
        assert days_between(connection, Dataset.CHAINS, DAY, NEXT) == [day]
        assert files_between(connection, "chain_summary", DAY, NEXT) == [file]
        assert series_between(connection, ["NIFTY"], DAY, NEXT) == [series]
        assert days_between(connection, Dataset.QUOTES, DAY, NEXT) == []
        assert series_between(connection, ["TCS"], DAY, NEXT) == []


def test_a_day_that_is_written_anew_has_no_former_series(store: Store) -> None:
    for source in ("nse", "upstox"):
        with store.writing() as connection:
            record_day(
                connection,
                day_in(DayState.ARCHIVED),
                [file_of("chain_summary")],
                [series_of(source)],
            )
    with store.reading() as connection:
        assert series_between(connection, ["NIFTY"], DAY, DAY) == [series_of("upstox")]


IN_FILES = {DayState.DROPPED, DayState.CLEARED, DayState.RESTORING}


@pytest.mark.parametrize("state", DayState)
def test_rows_of_a_day_in_files_are_refused(store: Store, state: DayState) -> None:
    with store.writing() as connection:
        record_day(connection, day_in(state))
    with store.writing() as connection:
        assert days_in_files(connection, Dataset.CHAINS, DAY, NEXT) == [DAY] * (state in IN_FILES)
        accept_rows(connection, Dataset.CHAINS, [bounds_of(NEXT)[0]])
        accept_rows(connection, Dataset.QUOTES, [NOON])
        accept_rows(connection, Dataset.CHAINS, [])
        assert day_in_ledger(connection, Dataset.CHAINS, DAY) == day_in(state)
        if state not in IN_FILES:
            accept_rows(connection, Dataset.CHAINS, [NOON])
            return
        with pytest.raises(DayArchived, match="archive restore --dataset chains --from 2026-09-16"):
            accept_rows(connection, Dataset.CHAINS, [NOON])


@pytest.mark.parametrize("state", [DayState.ARCHIVED, DayState.VERIFIED, DayState.RESTORED])
def test_a_day_that_is_written_to_is_compared_anew(store: Store, state: DayState) -> None:
    with store.writing() as connection:
        record_day(connection, day_in(state))
        accept_rows(connection, Dataset.CHAINS, [NOON])
        found = day_in_ledger(connection, Dataset.CHAINS, DAY, hold=True)
        assert found == day_in(DayState.ARCHIVED)
        assert day_in_ledger(connection, Dataset.CHAINS, NEXT) is None


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2026, 9, 15, 18, 29, 59, tzinfo=UTC), date(2026, 9, 15)),
        (datetime(2026, 9, 15, 18, 30, tzinfo=UTC), DAY),
        (datetime(2026, 9, 16, 18, 29, 59, tzinfo=UTC), DAY),
        (datetime(2026, 9, 16, 18, 30, tzinfo=UTC), NEXT),
    ],
)
def test_a_day_begins_at_midnight_in_india(instant: datetime, day: date) -> None:
    assert day_of(instant) == day
    begin, end = bounds_of(day)
    assert begin <= instant < end
