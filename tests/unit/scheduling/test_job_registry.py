"""The schedule outlives its jobs, keeps to its instants and never overlaps a job."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event

from effort import PATIENCE_SECONDS

from data_fetch.core.clock import MINUTE, SystemClock, VirtualClock, minute_of
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
    return JobRegistry(clock, lambda job, problem: failures.append((job, str(problem)))), failures


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
    registry = JobRegistry(clock, lambda job, problem: None)
    hangs, begun = Event(), Event()

    def hang() -> None:
        begun.set()
        hangs.wait(PATIENCE_SECONDS)

    registry.add("chains", hang, lambda _: None)
    registry.add("quotes", lambda: None, lambda _: None)
    registry.call("chains")
    registry.call("quotes")
    assert begun.wait(PATIENCE_SECONDS)

    assert registry.close(0.1) == ["chains"]
    hangs.set()
    assert registry.close(PATIENCE_SECONDS) == []
