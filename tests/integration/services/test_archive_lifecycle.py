"""The life of a day: sealed, verified, dropped, read back, restored, with the same rows."""

import subprocess
import sys
import time as time_module
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, time, timedelta
from pathlib import Path
from random import Random
from threading import Event

import pytest
from archive_life import Archive
from archive_shelf import (
    ALL_TABLES,
    CALENDAR,
    STOCKS,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    digests,
    store_chains,
    store_day,
    store_quotes,
)
from checkout import CHECKOUT
from effort import times
from sqlalchemy import delete, select

from data_fetch.archive.catalog import Catalog
from data_fetch.core.archive.days import TABLES, Dataset, DayState
from data_fetch.core.archive.lifecycle import Retention, Step
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import DayArchived, SetupError
from data_fetch.core.world import World
from data_fetch.services import archive_lifecycle
from data_fetch.services.archive_lifecycle import ArchiveBusy, ArchiveLifecycle
from data_fetch.services.archive_steps import DayLost
from data_fetch.storage.archive_ledger import days_between, files_between, series_between
from data_fetch.storage.candles.audit import recount
from data_fetch.storage.candles.coverage_counts import CoverageQuery
from data_fetch.storage.chains.counts import legs_by_underlying
from data_fetch.storage.chains.snapshots import chain_holdings
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.day_rows import stored_table
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import recent_runs

DAYS = (TUESDAY, WEDNESDAY, THURSDAY)


@pytest.fixture
def archive(store: Store, tmp_path: Path) -> Archive:
    for day in DAYS:
        store_day(store, day)
    return Archive(store, tmp_path / "archive")


@pytest.mark.layouts
def test_the_whole_life(archive: Archive) -> None:
    store = archive.store
    before = digests(store, DAYS)
    assert archive.round() == {Step.SEAL: 9, Step.VERIFY: 9, Step.DROP: 6, Step.CLEAR: 6}
    for dataset in Dataset:
        cleared = DayState.CLEARED
        assert archive.states(dataset) == [cleared, cleared, DayState.VERIFIED]
    assert digests(store, [THURSDAY]) == {
        key: value for key, value in before.items() if key[1] == THURSDAY
    }
    for _, table in ALL_TABLES:
        assert archive.count(table) == before[table, THURSDAY][0]
    assert archive.round() == {}
    assert archive.lifecycle.verify() == []

    for dataset in Dataset:
        assert archive.lifecycle.restore(dataset, TUESDAY, THURSDAY) == [TUESDAY, WEDNESDAY]
    assert digests(store, DAYS) == before
    assert archive.round() == {}
    archive.clock.sleep(timedelta(days=1))
    assert archive.round() == {Step.DROP: 6, Step.CLEAR: 6}
    assert [run.job for run in recent_runs(store, 20)].count("archive-restore") == 3


@pytest.fixture
def embedded(sqlite_url: str, tmp_path: Path) -> Iterator[Archive]:
    """For what is the same with every database."""
    with closing(open_store(sqlite_url, World.PAPER)) as store:
        for day in DAYS:
            store_day(store, day)
        yield Archive(store, tmp_path / "archive")


def test_what_is_in_files_counts_as_stored(embedded: Archive) -> None:
    def counts() -> tuple[int, int, int, dict[str, int]]:
        chains, quotes = chain_holdings(embedded.store), QuoteStore(embedded.store).holdings()
        with embedded.store.reading() as connection:
            legs = legs_by_underlying(connection)
        return chains.snapshots, chains.legs, quotes.rows, legs

    before = counts()
    embedded.round()
    assert embedded.count("option_chain_data") < before[1]
    assert counts() == before


def test_an_audit_misses_no_candles_of_days_in_files(embedded: Archive) -> None:
    now = embedded.clock.now()
    scope = CoverageQuery(
        instruments=STOCKS,
        interval=CandleInterval.MINUTE,
        first=TUESDAY,
        last=THURSDAY,
        expectation=Expectation(CALENDAR, now),
    )

    def audited() -> tuple[int, int, int]:
        with embedded.store.reading() as connection:
            found = recount(connection, scope)
        return found.days, found.candles, len(found.findings)

    assert audited() == (6, 24, 0)
    embedded.round()
    assert audited() == (2, 8, 0)


def test_readers_are_shown_verified_days(embedded: Archive) -> None:
    embedded.round()
    shown = {(file.table, file.trading_date, file.path) for file in embedded.catalog.read().files}
    with embedded.store.reading() as connection:
        files = {
            (file.table_name, file.trading_date, file.path)
            for _, table in ALL_TABLES
            for file in files_between(connection, table, TUESDAY, THURSDAY)
        }
    assert shown == files
    assert len(files) == 21
    assert all((embedded.folder.root / path).stat().st_mode & 0o77 == 0 for *_, path in files)


def test_chains_are_counted_by_series(archive: Archive) -> None:
    archive.round()
    with archive.store.reading() as connection:
        found = series_between(connection, ["NIFTY", "M&M"], TUESDAY, TUESDAY)
    assert [
        (one.underlying, one.source, one.snapshots, one.legs, one.receipts) for one in found
    ] == [
        (underlying, source, 3, 18, 4)
        for underlying in ("M&M", "NIFTY")
        for source in ("nse", "upstox")
    ]
    assert all(one.first is not None and one.last_received >= one.last for one in found)


LATE: dict[Dataset, Callable[[Store], None]] = {
    Dataset.CHAINS: lambda store: store_chains(store, TUESDAY, 2, first=7),
    Dataset.QUOTES: lambda store: store_quotes(store, TUESDAY, 2, first=7),
}


@pytest.mark.parametrize("dataset", LATE)
def test_late_rows_of_a_hot_day_are_sealed_anew(archive: Archive, dataset: Dataset) -> None:
    forever = Archive(archive.store, archive.folder.root, hot_days=0)
    forever.round()
    LATE[dataset](archive.store)
    assert forever.states(dataset)[0] is DayState.ARCHIVED
    assert forever.round() == {Step.SEAL: 1, Step.VERIFY: 1}
    with archive.store.reading() as connection:
        [day, *_] = days_between(connection, dataset, TUESDAY, TUESDAY)
    assert (day.state, day.generation) == (DayState.VERIFIED, 2)


@pytest.mark.parametrize("dataset", LATE)
def test_late_rows_of_a_dropped_day_wait_until_it_is_restored(
    archive: Archive, dataset: Dataset
) -> None:
    archive.round()
    with pytest.raises(DayArchived):
        LATE[dataset](archive.store)
    archive.lifecycle.bring_back(dataset, [TUESDAY])
    LATE[dataset](archive.store)
    with_late = digests(archive.store, [TUESDAY], [dataset])
    assert archive.round() == {Step.SEAL: 1, Step.VERIFY: 1, Step.DROP: 1, Step.CLEAR: 1}
    archive.lifecycle.restore(dataset, TUESDAY, TUESDAY)
    assert digests(archive.store, [TUESDAY], [dataset]) == with_late


@pytest.mark.parametrize("table", ["chain_snapshots", "chain_receipts", "ltp_data", "candles"])
def test_a_day_that_changed_behind_the_ledger_is_not_dropped(archive: Archive, table: str) -> None:
    """By another program: the comparison in the transaction that drops is the last word."""
    forever = Archive(archive.store, archive.folder.root, hot_days=0)
    forever.round()
    of = stored_table(table)
    with archive.store.writing() as connection:
        first = connection.execute(select(of).limit(1)).one()
        key = [of.c[column.name] == getattr(first, column.name) for column in of.primary_key]
        connection.execute(delete(of).where(*key))
    left = digests(archive.store, DAYS)
    archive.round()
    for dataset in Dataset:
        archive.lifecycle.restore(dataset, TUESDAY, THURSDAY)
    assert digests(archive.store, DAYS) == left


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def altered(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)


BAD = {"gone": Path.unlink, "torn": torn, "altered": altered}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_file_of_a_hot_day_is_written_anew(embedded: Archive, how: str) -> None:
    before = digests(embedded.store, DAYS)
    forever = Archive(embedded.store, embedded.folder.root, hot_days=0)
    forever.round()
    BAD[how](embedded.file("option_chain_data", TUESDAY))
    [found] = embedded.lifecycle.verify()
    assert found.file.table_name == "option_chain_data"
    assert "archive run --once" in found.fix
    assert forever.round() == {Step.SEAL: 1, Step.VERIFY: 1}
    assert forever.lifecycle.verify() == []
    BAD[how](embedded.file("option_chain_data", TUESDAY))
    assert embedded.round()[Step.DROP] >= 6
    assert embedded.lifecycle.verify() == []
    for dataset in Dataset:
        embedded.lifecycle.restore(dataset, TUESDAY, WEDNESDAY)
    assert digests(embedded.store, DAYS) == before


@pytest.mark.parametrize("how", BAD)
def test_a_bad_file_of_a_dropped_day_is_named(embedded: Archive, how: str) -> None:
    embedded.round()
    file = embedded.file("chain_summary", TUESDAY)
    content = file.read_bytes()
    BAD[how](file)
    [problem] = embedded.lifecycle.verify()
    assert problem.file.table_name == "chain_summary"
    assert "backup" in problem.fix
    with pytest.raises(DayLost, match="Put that file back"):
        embedded.lifecycle.restore(Dataset.CHAINS, TUESDAY, WEDNESDAY)
    assert embedded.states()[:2] == [DayState.CLEARED, DayState.CLEARED]
    file.write_bytes(content)
    assert embedded.lifecycle.restore(Dataset.CHAINS, TUESDAY, WEDNESDAY) == [TUESDAY, WEDNESDAY]


def test_a_full_disk_stops_no_other_day(embedded: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(embedded.store, DAYS)
    write = archive_lifecycle.DayFiles.write

    def full(self, table, day, *others):  # type: ignore[no-untyped-def]
        if day == TUESDAY:
            raise OSError(28, "No space left on device")
        return write(self, table, day, *others)

    monkeypatch.setattr(archive_lifecycle.DayFiles, "write", full)
    assert len(embedded.problems()) == 3
    assert embedded.states() == [DayState.CLEARED, DayState.VERIFIED]
    monkeypatch.undo()
    embedded.round()
    embedded.lifecycle.restore(Dataset.CHAINS, TUESDAY, WEDNESDAY)
    assert digests(embedded.store, DAYS, [Dataset.CHAINS]) == {
        key: value for key, value in before.items() if key[0] in TABLES[Dataset.CHAINS]
    }


def test_a_folder_of_another_store_is_refused(embedded: Archive, tmp_path: Path) -> None:
    embedded.round()
    other = Catalog(embedded.folder, World.PAPER, "another store", SystemClock())
    foreign = ArchiveLifecycle(
        store=embedded.store,
        catalog=other,
        retention=Retention(hot_days=dict.fromkeys(Dataset, 1), confirmed_at=time(20, 0)),
        now=embedded.clock.now,
        report=embedded.said.append,
        stop=Event(),
    )
    with pytest.raises(SetupError, match="another store"):
        foreign.round()


@pytest.mark.long
def test_a_killed_program_loses_and_doubles_nothing(archive: Archive) -> None:
    """Days are dropped and restored over and over, and their files lost, until kill -9."""
    store, folder = archive.store, archive.folder.root
    before = digests(store, DAYS)
    url = store.engine.url.render_as_string(hide_password=False)
    chance = Random(7)
    for _ in range(times(3, 100)):
        child = subprocess.Popen(
            [
                sys.executable,
                str(CHECKOUT / "tests/support/archive_life_loop.py"),
                url,
                str(folder),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time_module.sleep(chance.random() * times(2, 4))
        child.kill()
        child.communicate()
    archive.catch_up()
    # A day on its way back arrives and rests; a lost file is noticed, and written anew in the next
    # round; then the days are compared, dropped and cleared.
    for _ in range(6):
        archive.clock.sleep(timedelta(days=2))
        archive.lifecycle.round()
    assert archive.lifecycle.verify() == []
    for dataset in Dataset:
        assert set(archive.states(dataset)[:2]) == {DayState.CLEARED}
        archive.lifecycle.restore(dataset, TUESDAY, THURSDAY)
    assert digests(store, DAYS) == before


def test_two_programs_take_turns(embedded: Archive) -> None:
    with embedded.lifecycle._turn_at_days(archive_lifecycle.AT_ONCE):
        beside = Archive(embedded.store, embedded.folder.root)
        with pytest.raises(ArchiveBusy):
            beside.lifecycle.round()


def test_a_clock_that_is_ahead_drops_no_newer_days(embedded: Archive) -> None:
    found = [
        Archive(embedded.store, embedded.folder.root, hot_days=7, day=day).round()
        for day in (date(2027, 1, 1), date(2026, 1, 1))
    ]
    assert found == [{Step.SEAL: 9, Step.VERIFY: 9}, {}]
