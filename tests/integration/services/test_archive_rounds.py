"""Minutes become files, files become parts and days, and readers see what the store has."""

from datetime import timedelta
from pathlib import Path

import pytest
from archive_rounds import EVERY_MINUTE, Rounds
from archive_shelf import (
    TUESDAY,
    WEDNESDAY,
    looked,
    opening,
    store_chains,
    store_day,
    store_quotes,
)
from chain_shelf import keep
from sqlalchemy import delete, select, update

from data_fetch.archive.parquet_files import write_table_file
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import ArchivedDay, Dataset, DayState
from data_fetch.core.archive.manifest import FileKind, ManifestFile
from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.world import World
from data_fetch.services.archive_loader import LoaderRound
from data_fetch.services.archive_minutes import MinuteRound
from data_fetch.storage.archive_ledger import record_day
from data_fetch.storage.candles.candles import candles
from data_fetch.storage.database.store import Store
from data_fetch.storage.minute_rows import minute_states
from data_fetch.storage.quotes import ltp_data

NOON = opening(WEDNESDAY, 165)
NEXT_MORNING = opening(WEDNESDAY, 24 * 60)


@pytest.fixture
def rounds(store: Store, tmp_path: Path) -> Rounds:
    """A day with seven minutes; the archive is empty."""
    store_day(store, WEDNESDAY, looks=7)
    rounds = Rounds(store, tmp_path / "data", NOON)
    rounds.loader.prepare()
    return rounds


def test_each_minute_with_rows_has_a_file_per_table(rounds: Rounds) -> None:
    done = rounds.write()
    # Every third look at a chain was the one before it: no snapshot.
    looks = {"ltp_data": range(7), **dict.fromkeys(EVERY_MINUTE[1:], (0, 1, 3, 4, 6))}
    assert rounds.minute_files() == sorted(
        f"20260916/{915 + minute:04}.{table}.parquet"
        for table, minutes in looks.items()
        for minute in minutes
    )
    assert done.written == len(rounds.minute_files())
    assert rounds.write() == MinuteRound()


def test_readers_see_the_day_grow_and_end_as_one_file(rounds: Rounds) -> None:
    rounds.now = opening(WEDNESDAY, 5) + timedelta(seconds=15)
    rounds.write()
    rounds.load()
    assert rounds.query("SELECT count(DISTINCT timestamp) FROM ltp_data") == [(5,)]

    rounds.now = NOON
    rounds.write()
    rounds.load()
    assert rounds.differences([WEDNESDAY]) == []
    assert set(rounds.kinds("option_chain_data")) == {"part"}

    rounds.now = NEXT_MORNING
    rounds.write()
    assert rounds.load().days == len(EVERY_MINUTE)
    assert rounds.differences([WEDNESDAY]) == []
    assert rounds.kinds("option_chain_data") == ["day"]
    assert rounds.load() == LoaderRound()


def test_final_candles_are_seen_once_and_in_their_newest_version(
    rounds: Rounds, store: Store
) -> None:
    rounds.now = NEXT_MORNING
    rounds.settle()
    with store.reading() as connection:
        stored = set(connection.execute(select(candles.c.instrument_key, candles.c.close)))
    seen = rounds.query("SELECT instrument_key, close FROM candles")
    assert len(seen) == len(stored) > 0
    assert set(seen) == {tuple(each) for each in stored}


def test_a_snapshot_that_is_confirmed_later_is_seen_once_in_its_newest_state(
    rounds: Rounds, store: Store
) -> None:
    rounds.settle()
    confirming = looked(WEDNESDAY, "NIFTY", 8, ChainSource.UPSTOX)
    store_chains(store, WEDNESDAY, looks=1, first=7)
    keep(store, confirming)
    assert rounds.differences([WEDNESDAY]) != []

    written = rounds.write()
    rounds.load()
    assert rounds.differences([WEDNESDAY]) == []
    assert written.written < 10
    counted = "SELECT count(*), count(DISTINCT (underlying, expiry, source, timestamp))"
    ((rows, keys),) = rounds.query(f"{counted} FROM chain_snapshots")
    assert rows == keys


def test_late_rows_are_added_to_a_minute_and_to_a_day_that_was_one_file(
    rounds: Rounds, store: Store
) -> None:
    rounds.now = NEXT_MORNING
    rounds.settle()
    store_quotes(store, WEDNESDAY, 2, first=50)
    assert rounds.write().written == 0, "the days before today are compared in every fifth round"
    rounds.settle()
    assert rounds.differences([WEDNESDAY]) == []
    assert rounds.kinds("ltp_data") == ["day"]


def test_minutes_that_were_withdrawn_are_not_seen_any_longer(rounds: Rounds, store: Store) -> None:
    """As after a clock that was ahead and is set back."""
    rounds.settle()
    with store.writing() as connection:
        connection.execute(delete(ltp_data).where(ltp_data.c.timestamp >= opening(WEDNESDAY, 5)))
    rounds.now = opening(WEDNESDAY, 6)
    assert rounds.write().removed == 2
    rounds.load()
    assert rounds.query("SELECT max(timestamp) FROM ltp_data") == [(opening(WEDNESDAY, 4),)]


def test_a_day_that_was_dropped_from_the_store_keeps_its_files(
    rounds: Rounds, store: Store
) -> None:
    rounds.settle()
    before = rounds.minute_files()
    dropped = ArchivedDay(
        dataset=Dataset.QUOTES,
        trading_date=WEDNESDAY,
        state=DayState.DROPPED,
        generation=1,
        changed_at=NOON,
        run_id="run",
    )
    with store.writing() as connection:
        connection.execute(delete(ltp_data))
        record_day(connection, dropped)
    rounds.settle()
    assert rounds.minute_files() == before
    assert rounds.query("SELECT count(*) FROM ltp_data") == [(14,)]


def sealed(rounds: Rounds) -> ManifestFile:
    """A sealed day of quotes: other rows than the minute files have."""
    schema = ARCHIVE_SCHEMAS["ltp_data"]
    written = write_table_file(
        rounds.folder.day_file("ltp_data", WEDNESDAY, 1),
        schema,
        [schema.arrow.empty_table()],
        world=World.PAPER,
        trading_date=WEDNESDAY,
    )
    return ManifestFile(
        table="ltp_data",
        trading_date=WEDNESDAY,
        kind=FileKind.SEALED,
        path=rounds.folder.relative(written.path),
        rows=0,
        size_bytes=written.size_bytes,
        sha256=written.sha256,
        schema_version=1,
    )


def test_a_sealed_day_takes_the_place_of_its_minutes(rounds: Rounds) -> None:
    rounds.settle()
    rounds.catalog.publish({("ltp_data", WEDNESDAY): [sealed(rounds)]})
    assert rounds.load().removed == 1
    assert not any("ltp_data" in name for name in rounds.minute_files())
    rounds.settle()
    assert rounds.kinds("ltp_data") == ["sealed"]
    assert rounds.query("SELECT count(*) FROM ltp_data") == [(0,)]
    assert rounds.differences([WEDNESDAY], EVERY_MINUTE[1:]) == []


def test_rows_that_are_priced_anew_are_written_anew(rounds: Rounds, store: Store) -> None:
    rounds.settle()
    heads, legs = ("chain_snapshots", "option_chain_data")
    with store.writing() as connection:
        for name in (heads, legs):
            table = candles.metadata.tables[name]
            connection.execute(update(table).values(run_id="anew"))
    rounds.settle()
    assert rounds.differences([WEDNESDAY]) == []
    assert rounds.query("SELECT DISTINCT run_id FROM option_chain_data") == [("anew",)]


def test_days_of_the_week_before_are_left_to_their_sealing(store: Store, tmp_path: Path) -> None:
    for day in (TUESDAY, WEDNESDAY):
        store_day(store, day, looks=2)
    rounds = Rounds(store, tmp_path / "data", NEXT_MORNING + timedelta(days=4))
    rounds.settle()
    assert {name.split("/")[0] for name in rounds.minute_files()} == {"20260916"}
    assert rounds.differences([WEDNESDAY]) == []


def test_the_view_of_legs_has_the_facts_of_their_snapshot(rounds: Rounds) -> None:
    rounds.settle()
    with_facts = "SELECT count(*), count(spot), min(timestamp_ist)::VARCHAR FROM option_chain"
    ((rows, spots, first),) = rounds.query(with_facts)
    assert rows == spots == rounds.query("SELECT count(*) FROM option_chain_data")[0][0]
    assert first.startswith("2026-09-16 09:15:00")


def test_an_archive_without_rows_has_every_view(store: Store, tmp_path: Path) -> None:
    rounds = Rounds(store, tmp_path / "data", NOON)
    rounds.settle()
    for table in ARCHIVE_SCHEMAS:
        assert rounds.query(f"FROM {table}") == []
    assert rounds.query("SELECT * FROM archive_files") == []


def test_states_are_those_of_minutes_in_india(rounds: Rounds, store: Store) -> None:
    with store.reading() as connection:
        states = minute_states(connection, WEDNESDAY)
    quotes = sorted(of.minute for of in states if of.table == "ltp_data")
    assert quotes == [opening(WEDNESDAY, number) for number in range(7)]
    assert {of.minute.second for of in states} == {0}
