"""The clocks, and the time of a virtual clock while work is in progress."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from freezegun import freeze_time

from data_fetch.core.clock import MINUTE, ScaledClock, SystemClock, VirtualClock, minute_of

OPEN = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)


@freeze_time("2026-09-16 03:45:00")
def test_the_system_clock_is_aware_and_in_utc() -> None:
    assert SystemClock().now() == OPEN


def test_the_minute_of_an_instant_is_its_first_moment() -> None:
    assert minute_of(OPEN + timedelta(seconds=59, microseconds=999_999)) == OPEN


def test_waiting_on_the_system_clock_ends_at_once_when_stopped() -> None:
    stop = Event()
    stop.set()

    assert SystemClock().wait(SystemClock().now() + timedelta(hours=1), stop) is True


def test_waiting_for_a_past_instant_returns_at_once() -> None:
    assert SystemClock().wait(OPEN - timedelta(days=9999), Event()) is False


def test_a_scaled_clock_runs_from_where_it_was_set() -> None:
    clock = ScaledClock(OPEN, speed=100_000)

    assert clock.wait(OPEN + timedelta(hours=1), Event()) is False
    assert clock.now() >= OPEN + timedelta(hours=1)

    clock.set(OPEN - MINUTE)

    assert clock.now() < OPEN + timedelta(hours=1)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(timedelta(hours=2), id="on, past the end of the wait"),
        pytest.param(timedelta(hours=-2), id="back, hours before it"),
    ],
)
def test_a_clock_that_is_set_ends_a_wait_within_a_second(step: timedelta) -> None:
    clock = ScaledClock(OPEN)
    naps: list[float] = []

    class SetDuringTheNap(Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            naps.append(timeout)
            clock.set(OPEN + step)
            return False

    assert clock.wait(OPEN + timedelta(hours=1), SetDuringTheNap()) is False
    [nap] = naps
    assert nap <= 1


@pytest.mark.parametrize(
    ("speed", "back", "is_set_back"),
    [
        (1.0, timedelta(seconds=2), False),
        (1.0, timedelta(seconds=60), False),
        (1.0, timedelta(seconds=61), True),
        (30.0, timedelta(seconds=61), False),
        (30.0, timedelta(minutes=30), True),
        (1.0, timedelta(hours=-2), False),
    ],
)
def test_a_correction_by_seconds_is_no_step_back(
    speed: float, back: timedelta, is_set_back: bool
) -> None:
    assert ScaledClock(OPEN, speed).was_set_back(OPEN, OPEN - back) is is_set_back


def test_a_wait_that_begins_after_the_clock_was_set_back_ends_at_once() -> None:
    clock = ScaledClock(OPEN)

    assert not clock.wait(OPEN + timedelta(hours=1), Event(), OPEN + timedelta(minutes=31))


class TestVirtualClock:
    def test_time_advances_to_the_deadline(self) -> None:
        clock = VirtualClock(OPEN)
        clock.hold()

        clock.sleep(timedelta(hours=3))

        assert clock.now() == OPEN + timedelta(hours=3)

    def test_time_stands_still_while_any_work_is_held(self) -> None:
        clock = VirtualClock(OPEN)
        clock.hold()
        work = clock.hold()
        seen: list[datetime] = []
        asleep = threading.Thread(target=lambda: (clock.sleep(MINUTE), seen.append(clock.now())))
        asleep.start()

        assert clock.now() == OPEN
        work.release()
        asleep.join(timeout=60)

        assert seen == [OPEN + MINUTE]

    def test_releasing_twice_counts_once(self) -> None:
        clock = VirtualClock(OPEN)
        clock.hold()
        work = clock.hold()
        work.release()
        work.release()

        clock.sleep(MINUTE)

        assert clock.now() == OPEN + MINUTE

    def test_sleepers_wake_in_the_order_of_their_deadlines(self) -> None:
        clock = VirtualClock(OPEN)
        woke: list[tuple[int, datetime]] = []
        holds = [clock.hold() for _ in range(5)]

        def sleeper(number: int) -> None:
            clock.sleep(number * MINUTE)
            woke.append((number, clock.now()))
            holds[number - 1].release()

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(sleeper, [3, 1, 5, 2, 4]))

        assert woke == [(n, OPEN + n * MINUTE) for n in range(1, 6)]

    def test_time_passes_while_a_thread_blocks_on_others(self) -> None:
        clock = VirtualClock(OPEN)
        clock.hold()
        inner = clock.hold()

        def work() -> None:
            clock.sleep(MINUTE)
            inner.release()

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            with clock.released():
                future.result(timeout=60)

        assert clock.now() == OPEN + MINUTE

    def test_a_stop_ends_a_wait_while_work_is_held(self) -> None:
        clock = VirtualClock(OPEN)
        clock.hold()
        clock.hold()  # work that never ends
        stop = Event()
        threading.Timer(0.05, stop.set).start()

        assert clock.wait(OPEN + MINUTE, stop) is True
        assert clock.now() == OPEN


@pytest.mark.parametrize("clock", [SystemClock(), ScaledClock(OPEN)], ids=["system", "scaled"])
def test_a_hold_of_a_running_clock_does_nothing(clock: SystemClock | ScaledClock) -> None:
    hold = clock.hold()
    with clock.released():
        hold.release()
