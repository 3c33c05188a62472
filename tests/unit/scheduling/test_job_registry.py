"""The schedule outlives its jobs, keeps to its instants and never overlaps a job."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from effort import PATIENCE_SECONDS

from data_fetch.core.clock import MINUTE, ScaledClock, SystemClock, VirtualClock, minute_of
from data_fetch.scheduling.registry import JobRegistry

START = datetime(2026, 9, 16, 3, 45, 30, tzinfo=UTC)


def every_minute(after: datetime) -> datetime:
    return minute_of(after) + MINUTE


def drive(clock: VirtualClock, registry: JobRegistry, until: datetime) -> None:
    """The scheduler's loop, as far as a clock goes."""
    hold = clock.hold()
    while (due := registry.next_run) is not None and due < until:
        clock.wait(due, Event())
        registry.run_pending()
    clock.wait(until, Event())
    registry.close(PATIENCE_SECONDS)
    hold.release()


def registry_on(clock: VirtualClock) -> tuple[JobRegistry, list[tuple[str, str]]]:
    failures: list[tuple[str, str]] = []

    def failed(job: str, problem: Exception) -> None:
        failures.append((job, str(problem)))

    return JobRegistry(clock, failed, never_set_back, clock.now()), failures


def never_set_back(before: datetime, now: datetime) -> None:
    raise AssertionError("the clock was not set back")


def test_a_job_runs_at_its_instants_and_does_not_drift() -> None:
    clock = VirtualClock(START)
    registry, _ = registry_on(clock)
    ran: list[datetime] = []

    def work() -> None:
        ran.append(clock.now())
        clock.sleep(timedelta(seconds=7))

    registry.add("quotes", work, every_minute)
    drive(clock, registry, START + 5 * MINUTE)

    assert ran == [minute_of(START) + n * MINUTE for n in range(1, 6)]


def test_a_failed_job_is_reported_and_the_others_still_run() -> None:
    clock = VirtualClock(START)
    registry, failures = registry_on(clock)
    ran: list[datetime] = []

    def fail() -> None:
        raise ConnectionError("no route to the provider")

    registry.add("quotes", fail, every_minute)
    registry.add("freshness", lambda: ran.append(clock.now()), every_minute)
    drive(clock, registry, START + 2 * MINUTE)

    assert failures == [("quotes", "no route to the provider")] * 2
    assert len(ran) == 2


def slow(clock: VirtualClock, begun: list[datetime], takes: timedelta) -> Callable[[], None]:
    def work() -> None:
        begun.append(clock.now())
        clock.sleep(takes)

    return work


def test_a_slow_job_never_overlaps_itself_and_repeats_at_once() -> None:
    clock = VirtualClock(START)
    registry, _ = registry_on(clock)
    begun: list[datetime] = []

    registry.add("backfill", slow(clock, begun, timedelta(seconds=150)), every_minute)
    drive(clock, registry, START + 5 * MINUTE)

    first = minute_of(START) + MINUTE
    assert begun[:2] == [first, first + timedelta(seconds=150)]


def test_a_slow_job_repeats_once_for_all_the_instants_it_passed() -> None:
    clock = VirtualClock(START)
    registry, _ = registry_on(clock)
    begun: list[datetime] = []
    first = minute_of(START) + MINUTE
    last = first + 10 * MINUTE

    def until_the_last(after: datetime) -> datetime | None:
        return due if (due := every_minute(after)) <= last else None

    registry.add("backfill", slow(clock, begun, timedelta(minutes=10, seconds=5)), until_the_last)
    drive(clock, registry, START + 60 * MINUTE)

    assert begun == [first, first + timedelta(minutes=10, seconds=5)]


def test_a_slow_job_delays_no_other() -> None:
    clock = VirtualClock(START)
    registry, _ = registry_on(clock)
    begun: list[datetime] = []
    quotes: list[datetime] = []

    registry.add("backfill", slow(clock, begun, timedelta(minutes=3)), every_minute)
    registry.add("quotes", lambda: quotes.append(clock.now()), every_minute)
    drive(clock, registry, START + 4 * MINUTE)

    assert quotes == [minute_of(START) + n * MINUTE for n in range(1, 5)]


def test_a_job_that_is_never_due_again_leaves_the_others_alone() -> None:
    clock = VirtualClock(START)
    registry, _ = registry_on(clock)
    ran: list[str] = []

    registry.add("weekly", lambda: ran.append("weekly"), lambda _: None)
    registry.add("quotes", lambda: ran.append("quotes"), every_minute)
    drive(clock, registry, START + 2 * MINUTE)

    assert ran == ["quotes", "quotes"]
    assert {state.name: state.next_run for state in registry.states()}["weekly"] is None


def test_states_name_every_job() -> None:
    clock = VirtualClock(START)
    registry, _ = registry_on(clock)
    registry.add("quotes", lambda: None, every_minute)

    [state] = registry.states()

    assert (state.name, state.last_run, state.running) == ("quotes", None, False)
    assert state.next_run == minute_of(START) + MINUTE


def test_closing_waits_no_longer_than_it_may() -> None:
    clock = SystemClock()
    registry = JobRegistry(clock, lambda job, problem: None, never_set_back, clock.now())
    hangs, begun = Event(), Event()

    def hang() -> None:
        begun.set()
        hangs.wait(PATIENCE_SECONDS)

    registry.add("chains", hang, lambda _: None)
    registry.add("quotes", lambda: None, lambda _: None)
    registry.call_all(["chains", "quotes"])
    assert begun.wait(PATIENCE_SECONDS)

    assert registry.close(0.1) == ["chains"]
    hangs.set()
    assert registry.close(PATIENCE_SECONDS) == []


# --- a clock that is set back -----------------------------------------------------------------


class SetClock(ScaledClock):
    """A clock that stands still until it is set; *corrections* are made while jobs start."""

    def __init__(self, at: datetime, corrections: timedelta = timedelta(0)) -> None:
        super().__init__(at, speed=1e-9)
        self._corrections = corrections

    def hold(self) -> Any:
        self.set(self.now() - self._corrections)
        return super().hold()


def test_a_clock_corrected_by_seconds_makes_no_instant_due_twice() -> None:
    due = minute_of(START) + MINUTE
    clock = SetClock(due - timedelta(seconds=1), corrections=timedelta(seconds=2))
    registry = JobRegistry(clock, lambda job, problem: None, never_set_back, clock.now())
    begun: list[datetime] = []
    registry.add("quotes", lambda: begun.append(clock.now()), every_minute)

    for reading in (due, due + timedelta(seconds=1)):
        clock.set(reading)
        registry.run_pending()
    registry.close(PATIENCE_SECONDS)

    assert len(begun) == 1


@pytest.mark.parametrize(
    "back", [timedelta(seconds=61), timedelta(minutes=31), timedelta(hours=2), timedelta(days=400)]
)
def test_after_a_step_back_the_jobs_are_planned_by_the_new_time(back: timedelta) -> None:
    clock, steps = SetClock(START), list[tuple[datetime, datetime]]()
    registry = JobRegistry(
        clock, lambda job, problem: None, lambda *step: steps.append(step), clock.now()
    )
    registry.add("quotes", lambda: None, every_minute)
    registry.add("weekly", lambda: None, lambda after: START + timedelta(days=7))

    clock.set(START - back)
    registry.run_pending()

    [(before, now)] = steps
    assert (minute_of(before), before - now) == (minute_of(START), back)
    assert registry.next_run == every_minute(START - back)
    registry.run_pending()
    assert len(steps) == 1, "reported again"


def test_a_step_back_while_one_registry_follows_another_is_noticed() -> None:
    clock, steps = SetClock(START), list[tuple[datetime, datetime]]()
    first = JobRegistry(clock, lambda job, problem: None, never_set_back, clock.now())
    first.close(PATIENCE_SECONDS)

    clock.set(START - timedelta(minutes=31))
    second = JobRegistry(
        clock, lambda job, problem: None, lambda *step: steps.append(step), first.latest
    )
    second.run_pending()

    assert [before - now for before, now in steps] == [timedelta(minutes=31)]
