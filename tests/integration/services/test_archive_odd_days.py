"""Days that are easily missed: chains that were only confirmed, candles that no ledger knows."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from archive_life import Archive
from archive_shelf import (
    THURSDAY,
    TUESDAY,
    UNDERLYINGS,
    WEDNESDAY,
    digests,
    looked,
    opening,
    store_candles,
    store_chains,
    store_day,
)
from chain_shelf import a_run
from sqlalchemy import delete, event

from data_fetch.core.archive.days import Dataset, DayState
from data_fetch.core.archive.lifecycle import Step
from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.world import World
from data_fetch.storage.archive_ledger import days_between
from data_fetch.storage.candles.coverage import coverage_table
from data_fetch.storage.chains.snapshots import ChainStore
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.stored_days import stored_days

SATURDAY, MONDAY, NEXT_DAY = date(2026, 9, 19), date(2026, 9, 21), date(2026, 9, 22)


def confirm(store: Store, day: date, content_of: date) -> None:
    """Every chain, received on *day* as it was last received on another one."""
    ChainStore(store).record(
        [
            replace(looked(content_of, underlying, 3, source), received_at=opening(day, minute))
            for underlying in UNDERLYINGS
            for source in (ChainSource.UPSTOX, ChainSource.NSE)
            for minute in (1, 2)
        ],
        a_run(f"looks of {day}"),
        (),
    )


def forget(store: Store, day: date) -> None:
    """Leave candles without their rows in the coverage ledger."""
    with store.writing() as connection:
        connection.execute(delete(coverage_table).where(coverage_table.c.trading_date == day))


def days_of(store: Store, dataset: Dataset) -> list[date]:
    with store.reading() as connection:
        return stored_days(connection, dataset)


@pytest.mark.layouts
def test_a_day_of_confirmations_goes_through_its_life(store: Store, tmp_path: Path) -> None:
    store_day(store, THURSDAY)
    confirm(store, SATURDAY, THURSDAY)
    store_day(store, MONDAY)
    days = [THURSDAY, SATURDAY, MONDAY]
    assert days_of(store, Dataset.CHAINS) == days
    before = digests(store, days, [Dataset.CHAINS])
    assert before["chain_snapshots", SATURDAY][0] == 0
    assert before["chain_receipts", SATURDAY][0] == 12

    archive = Archive(store, tmp_path / "archive", hot_days=1, day=MONDAY)
    assert archive.round()[Step.DROP] == 4
    assert states(archive, Dataset.CHAINS) == {
        THURSDAY: DayState.CLEARED,
        SATURDAY: DayState.CLEARED,
        MONDAY: DayState.VERIFIED,
    }
    assert archive.count("chain_receipts") == before["chain_receipts", MONDAY][0]
    assert archive.round() == {}
    assert archive.lifecycle.verify() == []
    assert archive.lifecycle.restore(Dataset.CHAINS, THURSDAY, SATURDAY) == [THURSDAY, SATURDAY]
    assert digests(store, days, [Dataset.CHAINS]) == before


@pytest.mark.layouts
def test_candles_without_a_ledger_go_through_their_life(store: Store, tmp_path: Path) -> None:
    days = [TUESDAY, WEDNESDAY, THURSDAY]
    for day in days:
        store_candles(store, day, 4)
    forget(store, TUESDAY)
    forget(store, WEDNESDAY)
    assert days_of(store, Dataset.CANDLES) == days
    before = digests(store, days, [Dataset.CANDLES])

    archive = Archive(store, tmp_path / "archive")
    assert archive.round() == {Step.SEAL: 3, Step.VERIFY: 3, Step.DROP: 2, Step.CLEAR: 2}
    assert archive.count("candles") == before["candles", THURSDAY][0]
    assert archive.round() == {}
    assert archive.lifecycle.restore(Dataset.CANDLES, TUESDAY, THURSDAY) == days[:2]
    assert digests(store, days, [Dataset.CANDLES]) == before


@pytest.fixture
def embedded(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url, World.PAPER)) as store:
        yield store


def test_stores_without_a_ledger_or_a_snapshot(embedded: Store) -> None:
    assert [days_of(embedded, dataset) for dataset in Dataset] == [[], [], []]
    for day in (TUESDAY, THURSDAY):
        store_candles(embedded, day, 2)
        forget(embedded, day)
    assert days_of(embedded, Dataset.CANDLES) == [TUESDAY, THURSDAY]


def test_the_number_of_queries_follows_from_the_gaps_between_days(embedded: Store) -> None:
    """Not from the number of chains: each is a look-up inside of the database."""
    for day in (TUESDAY, WEDNESDAY, THURSDAY):
        store_chains(embedded, day, 1)
    statements: list[str] = []

    def note(*arguments: object) -> None:
        statements.extend(one for one in [str(arguments[2])] if one != "BEGIN")

    with embedded.reading() as connection:
        event.listen(embedded.engine, "before_cursor_execute", note)
        stored_days(connection, Dataset.CHAINS)
    # One for each day of snapshots and their end, one before and one after those days.
    assert len(statements) == 6
    assert not any("DISTINCT" in statement for statement in statements)


def states(archive: Archive, dataset: Dataset) -> dict[date, DayState]:
    with archive.store.reading() as connection:
        known = days_between(connection, dataset, TUESDAY, NEXT_DAY)
    return {one.trading_date: one.state for one in known}
