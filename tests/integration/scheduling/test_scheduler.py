"""The loop that sets jobs to work: their instants, its state, and losing the store.

A virtual clock drives it through the Muhurat evening of 2023-11-12, which was a Sunday, so that
every cadence comes up in one hour of trading.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from effort import PATIENCE_SECONDS
from sqlalchemy import select
from watcher import Watcher
from working_folder import SYMBOLS, working_folder

from data_fetch.cli.run import introduction
from data_fetch.core.clock import IST, MINUTE, ScaledClock, minute_of
from data_fetch.core.errors import LostLeadership, WrongWorld
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.paper_exchange.clock import PaperMarketClock
from data_fetch.runtime.collector import Collector, collector_at
from data_fetch.runtime.rehearsal import rehearsal_for
from data_fetch.scheduling.registry import JobState
from data_fetch.scheduling.scheduler import DataScheduler, Status
from data_fetch.storage.database.leadership import FENCE, number_in
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import StoreMeta, table
from data_fetch.storage.database.upsert import upsert
from data_fetch.storage.runs import recent_runs, record_runs

SUNDAY = date(2023, 11, 12)


@contextmanager
def rehearsal(folder: Path) -> Iterator[tuple[Collector, datetime]]:
    listed = folder / "symbols.txt"
    listed.write_text("\n".join(SYMBOLS))
    settings = Settings.load({"FNO_SYMBOLS_FILE": str(listed)}, folder)
    with rehearsal_for(settings, SUNDAY, SUNDAY, Watcher()) as (collector, until):
        yield collector, until


@pytest.fixture
def sunday(tmp_path: Path) -> Iterator[tuple[Collector, datetime]]:
    with rehearsal(tmp_path) as day:
        yield day


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{SUNDAY} {text}").replace(tzinfo=IST)


def with_work(collector: Collector, **works: Callable[[], object]) -> Collector:
    """*collector* with other work for some of its jobs."""
    changed = {name: replace(collector.jobs[name], work=work) for name, work in works.items()}
    return replace(collector, jobs={**collector.jobs, **changed})


@dataclass
class Diary:
    """A piece of work that notes when it was done."""

    collector: Collector
    done: list[datetime] = field(default_factory=list)

    def __call__(self) -> None:
        self.done.append(self.collector.provider.clock.now())


# --- cadence ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def diaries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[datetime]]:
    """When each job ran on that Sunday."""
    with rehearsal(tmp_path_factory.mktemp("sunday")) as (collector, until):
        scheduler = DataScheduler()
        jobs = ("candles", "coverage", "daily", "finalise", "weekly")
        diaries = {job: Diary(collector) for job in jobs}
        scheduler.run(with_work(collector, **diaries), until)
        assert scheduler.failures == []
        checks = recent_runs(collector.store, limit=100, job="freshness")
    assert {run.outcome for run in checks} == {"completed"}
    freshness = [run.started_at for run in reversed(checks)]
    return {"freshness": freshness, **{job: diary.done for job, diary in diaries.items()}}


def test_candles_are_collected_ten_seconds_after_every_minute_of_trading(
    diaries: dict[str, list[datetime]],
) -> None:
    assert diaries["candles"] == [at("18:16:10") + n * MINUTE for n in range(60)]


def test_freshness_is_judged_every_two_minutes_of_trading(
    diaries: dict[str, list[datetime]],
) -> None:
    assert diaries["freshness"] == [at("18:16:20") + n * 2 * MINUTE for n in range(30)]


def test_coverage_is_checked_every_five_minutes_of_trading(
    diaries: dict[str, list[datetime]],
) -> None:
    assert diaries["coverage"] == [at("18:15:40") + n * 5 * MINUTE for n in range(12)]


def test_the_daily_job_runs_at_four(diaries: dict[str, list[datetime]]) -> None:
    assert diaries["daily"] == [at("16:00")]


def test_days_are_finalised_in_the_evening(diaries: dict[str, list[datetime]]) -> None:
    assert diaries["finalise"] == [at("20:00")]


def test_the_weekly_job_runs_on_sunday_at_ten(diaries: dict[str, list[datetime]]) -> None:
    assert diaries["weekly"] == [at("10:00")]


def test_a_job_that_fails_is_counted_and_costs_no_slot(
    sunday: tuple[Collector, datetime],
) -> None:
    collector, until = sunday
    scheduler = DataScheduler()

    def fail() -> None:
        raise ConnectionError("no route to the archive")

    scheduler.run(with_work(collector, weekly=fail), until)

    assert scheduler.failures == ["weekly: no route to the archive"]
    assert collector.quotes.last_recorded_slot == at("19:14")


# --- state ------------------------------------------------------------------------------------


def test_the_status_has_jobs_only_while_it_runs(sunday: tuple[Collector, datetime]) -> None:
    collector, until = sunday
    scheduler = DataScheduler()
    seen: list[Status] = []
    idle = Status(running=False)

    assert scheduler.get_status() == idle
    look = with_work(collector, daily=lambda: seen.append(scheduler.get_status()))
    scheduler.run(look, until)
    assert scheduler.get_status() == idle

    [status] = seen
    assert (status.running, status.world, status.degraded) == (True, "paper", None)
    assert status.store == collector.store.name
    jobs = {job.name: job for job in status.jobs}
    assert jobs.keys() == {
        "quotes",
        "candles",
        "chains",
        "freshness",
        "coverage",
        "daily",
        "finalise",
        "weekly",
        "calendar",
        "readiness",
    }
    assert jobs["quotes"].next_run == at("18:16")
    assert jobs["freshness"] == JobState(
        name="freshness", last_run=None, next_run=at("18:16:20"), running=False
    )
    assert (jobs["daily"].last_run, jobs["daily"].running) == (at("16:00"), True)


def test_the_introduction_has_world_store_universe_and_clock(
    sunday: tuple[Collector, datetime],
) -> None:
    collector, _ = sunday

    assert introduction(collector.started()) == [
        f"World     paper (invented prices from {collector.provider.base_url})",
        f"Store     {collector.store.name}",
        "Universe  4 of 4 symbols resolved through the instrument master",
        "Clock     Sun 12 Nov 2023 08:00:00 IST; first quotes due Sun 12 Nov 2023 18:16:00 IST",
    ]


# --- stopping, and losing the store -----------------------------------------------------------


def test_a_stop_ends_the_loop_after_the_running_work(sunday: tuple[Collector, datetime]) -> None:
    collector, until = sunday
    scheduler = DataScheduler()
    diary = Diary(collector)

    def stop_and_finish() -> None:
        scheduler.stop()
        diary()

    scheduler.run(with_work(collector, weekly=stop_and_finish, daily=diary), until)

    assert diary.done == [at("10:00")]


def test_a_job_that_finds_the_store_taken_over_ends_the_loop(
    sunday: tuple[Collector, datetime],
) -> None:
    collector, until = sunday
    scheduler = DataScheduler()
    daily = Diary(collector)

    def replaced() -> None:
        raise LostLeadership("another scheduler collects into this store now")

    scheduler.run(with_work(collector, weekly=replaced, daily=daily), until)

    assert scheduler.failures == ["weekly: another scheduler collects into this store now"]
    assert daily.done == []


def test_a_job_that_meets_prices_of_the_other_world_ends_the_run(
    sunday: tuple[Collector, datetime],
) -> None:
    collector, until = sunday
    daily = Diary(collector)

    def met() -> None:
        raise WrongWorld("http://127.0.0.1:9388 is a paper exchange")

    with pytest.raises(WrongWorld, match="is a paper exchange"):
        DataScheduler().run(with_work(collector, weekly=met, daily=daily), until)

    assert daily.done == []


def test_a_lost_lock_ends_the_loop_before_any_job_starts(
    sunday: tuple[Collector, datetime],
) -> None:
    collector, until = sunday
    scheduler = DataScheduler()
    weekly = Diary(collector)

    lost = replace(collector, context=replace(collector.context, leads=lambda: False))
    scheduler.run(with_work(lost, weekly=weekly), until)

    assert weekly.done == []


def give_lead_to_another(store: Store) -> None:
    """As another scheduler would by leading: a higher fencing number is given out."""
    meta = table(StoreMeta)
    with store.writing() as connection:
        number = number_in(connection.scalar(select(meta.c.value).where(meta.c.name == FENCE)))
        upsert(connection, meta, ("name", "value"), [(FENCE, str(number + 1))])


MORNING = datetime(2026, 9, 16, 10, 0, 30, tzinfo=IST)


@contextmanager
def store_in_use(
    tmp_path: Path, database_url: str, clock: ScaledClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """The store of a user's folder; the market is that of *clock*."""
    with working_folder(tmp_path, database_url, clock, monkeypatch):
        store = open_store(database_url, World.PAPER)
        yield store
        store.close()


@pytest.fixture
def fast_market(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """A market whose minutes take two seconds."""
    clock = ScaledClock(MORNING, speed=30)
    with store_in_use(tmp_path, database_url, clock, monkeypatch) as store:
        yield store


def test_a_scheduler_whose_store_was_taken_over_waits_and_leads_again(fast_market: Store) -> None:
    scheduler = DataScheduler()
    watcher = Watcher()

    def lose_the_first_and_stop_after_the_next(run: SyncRun) -> None:
        collected = [one for one in watcher.runs if one.outcome == "completed"]
        if len(collected) == 1 and run.outcome == "completed":
            give_lead_to_another(fast_market)
        elif len(collected) == 2:
            scheduler.stop()

    watcher.on_slot = lose_the_first_and_stop_after_the_next
    scheduler.start(reporter=watcher)

    first, last = watcher.runs[0].due_slot, watcher.runs[-1].due_slot
    assert first is not None
    assert last is not None
    due = [run.due_slot for run in recent_runs(fast_market, limit=1000, job="quotes")]
    recorded = sorted(slot for slot in due if slot is not None and first <= slot <= last)
    assert recorded == [first + n * MINUTE for n in range(len(recorded))], (
        "a slot without an account, or with two"
    )
    assert any("is lost: another scheduler has it" in remark for remark in watcher.remarks)
    assert len(watcher.starts) == 2


def test_a_listener_that_hangs_delays_no_slot(fast_market: Store) -> None:
    scheduler, watcher, released = DataScheduler(), Watcher(), Event()
    watcher.on_slot = lambda run: released.wait(PATIENCE_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(scheduler.start, reporter=watcher)
        try:
            while len(completed(fast_market)) < 3:
                assert not running.done()
            assert len(watcher.runs) == 1
        finally:
            released.set()
            scheduler.stop()


def completed(store: Store) -> list[SyncRun]:
    runs = recent_runs(store, limit=1000, job="quotes")
    return [run for run in runs if run.outcome == "completed"]


# --- slots at the start -------------------------------------------------------------------


def first_collected() -> datetime | None:
    """The first slot that a scheduler collects that starts now."""
    scheduler, watcher = DataScheduler(), Watcher()

    def stop_when_collected(run: SyncRun) -> None:
        if run.outcome == "completed":
            scheduler.stop()

    watcher.on_slot = stop_when_collected
    scheduler.start(reporter=watcher)
    collected = [run.due_slot for run in watcher.runs if run.outcome == "completed"]
    return collected[0]


def record_slot(store: Store, slot: datetime) -> None:
    run = SyncRun.begin("quotes", slot + MINUTE, slot).finish(slot + MINUTE, Outcome.COMPLETED)
    record_runs(store, [run])


def test_a_standby_that_leads_seconds_after_a_minute_collects_its_slot(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 9, 16, 10, 0, 3, tzinfo=IST)
    clock = ScaledClock(now)
    with store_in_use(tmp_path, database_url, clock, monkeypatch) as store:
        record_slot(store, minute_of(now) - 2 * MINUTE)

        # Not the next one, a minute later.
        assert first_collected() == minute_of(now) - MINUTE


def test_a_store_with_slots_ahead_of_the_clock_gets_the_next_one(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ScaledClock(MORNING, speed=30)
    with store_in_use(tmp_path, database_url, clock, monkeypatch) as store:
        record_slot(store, minute_of(MORNING) - 2 * MINUTE)
        record_slot(store, minute_of(MORNING) + 60 * MINUTE)

        collected = first_collected()

        assert collected is not None
        assert collected < minute_of(MORNING) + 60 * MINUTE
        due = {run.due_slot for run in recent_runs(store, limit=1000, job="quotes")}
        assert minute_of(MORNING) - MINUTE in due, "a slot without an account"


# --- a slow start -----------------------------------------------------------------------------


def test_a_paper_market_is_paused_while_a_collector_starts(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = PaperMarketClock(
        MarketCalendar.reviewed(), today=MORNING.date(), speed=30, start=MORNING
    )
    join, seen, watcher = collector_at, list[datetime](), Watcher()

    def slowly(*parts: Any) -> Collector:
        seen.append(clock.now())
        collector = join(*parts)
        seen.append(clock.now())
        return collector

    monkeypatch.setattr("data_fetch.scheduling.scheduler.collector_at", slowly)
    with store_in_use(tmp_path, sqlite_url, clock, monkeypatch):
        DataScheduler().start(minutes=2, reporter=watcher)

    began, ready = seen
    assert ready == began
    assert not clock.paused
    assert len(watcher.runs) >= 2


def test_a_bounded_run_counts_its_minutes_from_when_it_is_ready(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ScaledClock(MORNING, speed=30)
    join, watcher = collector_at, Watcher()

    def slowly(*parts: Any) -> Collector:
        clock.set(clock.now() + 5 * MINUTE)
        return join(*parts)

    monkeypatch.setattr("data_fetch.scheduling.scheduler.collector_at", slowly)
    with store_in_use(tmp_path, sqlite_url, clock, monkeypatch):
        DataScheduler().start(minutes=2, reporter=watcher)

    assert len(watcher.runs) >= 2
