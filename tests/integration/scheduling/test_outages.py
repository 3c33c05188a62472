"""A database that goes away in the middle of a session, while the market goes on."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from effort import PATIENCE_SECONDS, times
from sample_rows import sample_rows
from servers import pooler_for, reopen, shut
from sqlalchemy import Table, select
from watcher import Watcher
from working_folder import SYMBOLS, working_folder

from data_fetch.cli.main import main
from data_fetch.core.clock import IST, MINUTE, ScaledClock
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.truth import minutes_of
from data_fetch.runtime import run_stores
from data_fetch.runtime.run_stores import store_for_run
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import degraded_reason
from data_fetch.scheduling.scheduler import DataScheduler
from data_fetch.storage.database.store import open_store
from data_fetch.storage.database.tables import CandleRow, DataSyncStatus, LtpData, SyncRunRow, table
from data_fetch.storage.database.upsert import upsert
from data_fetch.storage.merge import merge
from data_fetch.storage.stand_in import begin_standing_in

MORNING = datetime(2026, 9, 16, 10, 0, 30, tzinfo=IST)
# A change of stores takes two seconds or three: as many as a minute of this market.
SPEED = 20


@dataclass
class Collecting:
    """A collector at work in a thread, with the slots that it reports."""

    url: str
    exchange: PaperExchange
    scheduler: DataScheduler = field(default_factory=DataScheduler)
    watcher: Watcher = field(default_factory=Watcher)
    ended: "Future[None]" = field(default_factory=Future)

    def until(self, fact: Callable[[], Any]) -> None:
        """Wait until *fact* is true of the collector, or it has ended."""
        nap = Event()
        for _ in range(PATIENCE_SECONDS * 20):
            if fact():
                return
            assert not self.ended.done(), (self.ended.exception(), self.watcher.remarks)
            nap.wait(0.05)
        raise AssertionError(self.watcher.remarks)

    def until_collected(self, more: int) -> None:
        """Wait until so many more slots are collected."""
        enough = self.collected + more
        self.until(lambda: self.collected >= enough)

    def until_degraded(self) -> None:
        self.until(lambda: self.scheduler.get_status().degraded)

    def until_back(self) -> None:
        self.until(lambda: self.watcher.with_word("All rows are brought over"))
        self.until(lambda: self.scheduler.get_status().running)

    @property
    def collected(self) -> int:
        return sum(run.outcome is Outcome.COMPLETED for run in self.watcher.runs)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits of real time are as short as the minutes of this market."""
    for name, seconds in (
        ("lead.RENEW_SECONDS", 0.3),
        ("lead.SILENT_AFTER_SECONDS", 1.0),
        ("context.GIVEN_UP_AFTER_SECONDS", 3.0),
        ("run_stores.WATCH_SECONDS", 0.2),
    ):
        monkeypatch.setattr(f"data_fetch.runtime.{name}", seconds)


@contextmanager
def collecting(folder: Path, url: str, patch: pytest.MonkeyPatch) -> Iterator[Collecting]:
    """A collector in a market that goes on whatever it does."""
    with (
        working_folder(folder, url, ScaledClock(MORNING, speed=SPEED), patch) as exchange,
        ThreadPoolExecutor(1) as pool,
    ):
        work = Collecting(url, exchange)
        work.ended = pool.submit(work.scheduler.start, reporter=work.watcher)
        try:
            yield work
        finally:
            work.scheduler.stop()
        work.ended.result(PATIENCE_SECONDS)


@pytest.fixture
def work(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Collecting]:
    with collecting(tmp_path, postgres_url, monkeypatch) as work:
        work.until_collected(2)
        yield work


def rows_of(url: str, of: Table) -> list[dict[str, Any]]:
    with closing(open_store(url, World.PAPER)) as store, store.reading() as connection:
        return [dict(row) for row in connection.execute(select(of)).mappings()]


def quote_runs(url: str) -> list[SyncRun]:
    runs = [row for row in rows_of(url, table(SyncRunRow)) if row["job"] == "quotes"]
    return sorted(runs, key=lambda row: row["due_slot"])


def assert_every_slot_is_accounted_for(url: str) -> None:
    runs = quote_runs(url)
    slots = [run["due_slot"] for run in runs]
    assert slots == [slots[0] + n * MINUTE for n in range(len(slots))], "none, or two rows"
    stored = Counter(row["timestamp"] for row in rows_of(url, table(LtpData)))
    completed = [run["due_slot"] for run in runs if run["outcome"] == "completed"]
    assert stored == dict.fromkeys(completed, len(SYMBOLS))
    for run in runs:
        assert run["outcome"] == "completed" or any(
            cause in run["error"] for cause in ("nothing could be stored", "without its store")
        )


def assert_candles_are_those_of_the_exchange(work: Collecting) -> None:
    market = work.exchange.market
    for row in rows_of(work.url, table(CandleRow)):
        day = row["timestamp"].astimezone(IST)
        tradable = market.find(row["instrument_key"], day.date())
        assert tradable is not None
        volumes = {
            minute["start"]: minute["volume"] for minute in minutes_of(market, tradable, day.date())
        }
        # An index has none.
        assert not row["volume"] or row["volume"] == volumes[f"{day:%H:%M}"]


@pytest.mark.long
def test_collecting_goes_on_while_the_database_is_away(work: Collecting, postgres_url: str) -> None:
    settings = process_settings()
    for _ in range(times(1, chaos=5)):
        shut(postgres_url)
        work.until_degraded()
        work.until_collected(2)
        meanwhile = rows_of(settings.stand_in_url, table(LtpData))
        assert "rows wait there" in str(degraded_reason(settings))

        work.watcher.remarks.clear()
        reopen(postgres_url)
        work.until_back()
        work.until_collected(1)

        brought = rows_of(postgres_url, table(LtpData))
        assert all(row in brought for row in meanwhile)
        assert rows_of(settings.stand_in_url, table(LtpData)) == []
        assert degraded_reason(settings) is None
    work.scheduler.stop()
    work.ended.result(PATIENCE_SECONDS)
    # A machine that is very slow may have lost it once more.
    store_for_run(settings, print).store.close()

    assert_every_slot_is_accounted_for(postgres_url)
    assert_candles_are_those_of_the_exchange(work)


FILLED = [table(model) for model in (LtpData, SyncRunRow, DataSyncStatus, CandleRow)]


@pytest.mark.parametrize("portions", [0, 2, 3])
def test_a_merge_that_is_killed_is_done_again(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, portions: int
) -> None:
    settings = Settings.load({"DATA_SOURCE": "paper", "DATABASE_URL": postgres_url}, tmp_path)
    with closing(open_store(settings.stand_in_url, World.PAPER)) as stand_in:
        begin_standing_in(stand_in, "the server was stopped")
        with stand_in.writing() as connection:
            for of in FILLED:
                upsert(
                    connection,
                    of,
                    [column.name for column in of.columns],
                    sample_rows(of, range(9)),
                )
    waiting = {of.name: rows_of(settings.stand_in_url, of) for of in FILLED}
    left = iter(range(portions))

    def killed(*_: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_stores, "merge", partial(merge, watcher=killed))
        with pytest.raises(KeyboardInterrupt):
            store_for_run(settings, print)
    assert degraded_reason(settings) is not None

    store_for_run(settings, print).store.close()

    assert degraded_reason(settings) is None
    for of in FILLED:
        brought = rows_of(postgres_url, of)
        assert len(brought) == len(waiting[of.name])
        assert all(row in brought for row in waiting[of.name])
        assert rows_of(settings.stand_in_url, of) == []


@pytest.mark.long
def test_a_collection_and_a_backfill_behind_a_pooler(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives each transaction another session."""
    pooler = pooler_for(postgres_url, sessions=4)
    if pooler is None:
        pytest.skip("this machine has no pgbouncer (Debian: apt install pgbouncer)")
    with pooler as pooled, collecting(tmp_path, pooled, monkeypatch) as work:
        work.until_collected(2)
        with pytest.raises(SystemExit) as end:
            main(["backfill", "--symbols", "TCS", "--days", "2"])
        work.scheduler.stop()
        work.ended.result(PATIENCE_SECONDS)

    assert end.value.code in {0, 3}
    assert work.watcher.with_word("another scheduler") == []
    assert len(rows_of(postgres_url, table(CandleRow))) > 375
    assert_every_slot_is_accounted_for(postgres_url)
