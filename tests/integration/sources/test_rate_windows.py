"""The limits hold exactly and no request waits longer than they demand, in every place."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upstox_stub import spent
from windows_places import FilePlace, Place, PostgresPlace, RedisPlace

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import RateLimited
from data_fetch.core.ports import Hold, Lane
from data_fetch.sources.transport.pacing import Pacer
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS

START = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EPSILON = timedelta(milliseconds=1)
SMALL_LIMITS = {SECOND: 3, timedelta(seconds=10): 8}


@pytest.fixture(params=["file", "redis", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each place, with nothing in it."""
    place: Place
    if request.param == "file":
        place = FilePlace(tmp_path)
    elif request.param == "redis":
        place = RedisPlace(request.getfixturevalue("redis_url"))
    else:
        place = PostgresPlace(request.getfixturevalue("postgres_url"))
    yield place
    place.close()


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(START)
    hold = clock.hold()
    yield clock
    hold.release()


@pytest.fixture
def pacer(place: Place, clock: VirtualClock) -> Pacer:
    return place.pacer(clock)


def send(pacer: Pacer, clock: VirtualClock, count: int, api: str = "ltp") -> list[datetime]:
    """Send *count* requests one after the other; return their instants."""
    sent = []
    for _ in range(count):
        with pacer.request(api, Lane.BACKFILL):
            sent.append(clock.now())
    return sent


def together(clock: VirtualClock, works: Sequence[Callable[[], None]]) -> None:
    """Run *works* at once, each in a thread that owns a hold, and wait for all."""

    def run(work: Callable[[], None], hold: Hold) -> None:
        try:
            work()
        finally:
            hold.release()

    threads = [threading.Thread(target=run, args=(work, clock.hold())) for work in works]
    for thread in threads:
        thread.start()
    with clock.released():
        for thread in threads:
            thread.join()


def most_in_any(window: timedelta, counted: Sequence[datetime]) -> int:
    """The most instants that a window of this width, both ends included, ever held."""
    ordered = sorted(counted)
    return max(
        sum(1 for other in ordered[n:] if other - instant <= window)
        for n, instant in enumerate(ordered)
    )


# -- the limits, and no more than the limits ------------------------------------------------


@pytest.mark.parametrize(
    ("count", "takes"),
    [
        pytest.param(50, 0, id="50 at once"),
        pytest.param(51, 1, id="the 51st a second later"),
        pytest.param(120, 2, id="120 in two seconds"),
    ],
)
def test_burst_takes_what_the_windows_demand(
    pacer: Pacer, clock: VirtualClock, count: int, takes: int
) -> None:
    sent = send(pacer, clock, count)
    assert timedelta(seconds=takes) <= sent[-1] - START <= timedelta(seconds=takes) + EPSILON
    for window, limit in UPSTOX_LIMITS.items():
        assert all(late - early > window for early, late in zip(sent, sent[limit:], strict=False))


def test_burst_from_many_threads_takes_no_longer(pacer: Pacer, clock: VirtualClock) -> None:
    together(clock, [lambda: send(pacer, clock, 1) and None for _ in range(120)])
    assert 2 * SECOND <= clock.now() - START <= 2 * SECOND + EPSILON


def test_each_api_has_its_own_windows(pacer: Pacer, clock: VirtualClock) -> None:
    send(pacer, clock, 50, "ltp")
    send(pacer, clock, 50, "candles")
    assert clock.now() == START
    assert spent(pacer, "ltp", clock) == spent(pacer, "candles", clock)
    assert spent(pacer, "ohlc", clock) == dict.fromkeys(UPSTOX_LIMITS, 0)


def test_a_request_counts_until_a_window_after_its_response(
    pacer: Pacer, clock: VirtualClock
) -> None:
    with pacer.request("ltp", Lane.LIVE):
        clock.sleep(10 * SECOND)
    assert spent(pacer, "ltp", clock)[SECOND] == 1
    clock.sleep(SECOND)
    assert spent(pacer, "ltp", clock)[SECOND] == 1, "both ends of a window belong to it"
    clock.sleep(EPSILON)
    assert spent(pacer, "ltp", clock) == {SECOND: 0, 60 * SECOND: 1, 1800 * SECOND: 1}


def test_requests_in_flight_count(pacer: Pacer, clock: VirtualClock) -> None:
    def slow() -> None:
        with pacer.request("ltp", Lane.LIVE):
            clock.sleep(5 * SECOND)

    def one_more() -> None:
        clock.sleep(2 * SECOND)
        with pytest.raises(RateLimited), pacer.request("ltp", Lane.LIVE, latest=clock.now()):
            pass

    together(clock, [*[slow] * 50, one_more])


def test_failed_requests_count_too(pacer: Pacer, clock: VirtualClock) -> None:
    with pytest.raises(OSError, match="reset"), pacer.request("ltp", Lane.LIVE):
        raise OSError("reset")
    assert spent(pacer, "ltp", clock)[SECOND] == 1


def test_spending_starts_when_each_request_counts(pacer: Pacer, clock: VirtualClock) -> None:
    assert pacer.spending("ltp") == []
    send(pacer, clock, 1)
    with pacer.request("ltp", Lane.LIVE):
        clock.sleep(10 * SECOND)
        in_flight = pacer.spending("ltp")
        clock.sleep(10 * SECOND)
    send(pacer, clock, 1, "candles")

    assert in_flight == [START, START + 10 * SECOND], "as if it were answered now"
    assert pacer.spending("ltp") == [START, START + 20 * SECOND]
    assert pacer.spending("candles") == [START + 20 * SECOND]


def test_spending_ends_with_the_longest_window(pacer: Pacer, clock: VirtualClock) -> None:
    send(pacer, clock, 1)
    clock.sleep(timedelta(minutes=30))
    assert pacer.spending("ltp") == [START], "both ends of a window belong to it"
    clock.sleep(EPSILON)
    assert pacer.spending("ltp") == []


def test_each_window_has_the_number_of_requests_that_count_in_it(
    pacer: Pacer, clock: VirtualClock
) -> None:
    half_an_hour = timedelta(minutes=30)
    assert pacer.used() == {}
    send(pacer, clock, 3)
    clock.sleep(10 * SECOND)
    send(pacer, clock, 1, "candles")
    with pacer.request("ltp", Lane.LIVE):
        used = pacer.used()

    assert {window for _, window in used} == set(pacer.limits)
    assert (used["ltp", SECOND], used["ltp", half_an_hour]) == (1, 4)
    assert (used["candles", SECOND], used["candles", half_an_hour]) == (1, 1)


SENDER = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 2500), st.integers(0, 2500)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=12)
@given(st.lists(SENDER, min_size=1, max_size=4))
def test_no_window_ever_holds_more_than_its_limit(
    place: Place, senders: list[list[tuple[int, int, int]]]
) -> None:
    """Wherever between sent and answered the provider counts a request."""
    clock = VirtualClock(START)
    pacer = place.pacer(clock, SMALL_LIMITS, account=uuid4().hex)
    counted: list[datetime] = []

    def sender(plan: list[tuple[int, int, int]]) -> Callable[[], None]:
        def work() -> None:
            for idle, way_there, way_back in plan:
                clock.sleep(timedelta(milliseconds=idle))
                with pacer.request("ltp", Lane.BACKFILL):
                    clock.sleep(timedelta(milliseconds=way_there))
                    counted.append(clock.now())
                    clock.sleep(timedelta(milliseconds=way_back))

        return work

    hold = clock.hold()
    together(clock, [sender(plan) for plan in senders])
    hold.release()
    pacer.close()
    assert len(counted) == sum(map(len, senders))
    for window, limit in SMALL_LIMITS.items():
        assert most_in_any(window, counted) <= limit


@settings(max_examples=12)
@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=40))
def test_no_request_waits_without_need(place: Place, pauses: list[int]) -> None:
    """A request answered at once is sent at the first instant that no window forbids."""
    clock = VirtualClock(START)
    hold = clock.hold()
    pacer = place.pacer(clock, SMALL_LIMITS, account=uuid4().hex)
    sent: list[datetime] = []
    for pause in pauses:
        clock.sleep(timedelta(milliseconds=pause))
        requested = clock.now()
        first = max(
            [
                requested,
                *(sent[-n] + window for window, n in SMALL_LIMITS.items() if len(sent) >= n),
            ]
        )
        sent += send(pacer, clock, 1)
        assert first <= sent[-1] <= first + EPSILON
    hold.release()
    pacer.close()


def test_the_same_work_takes_the_same_time(place: Place) -> None:
    def rehearse(name: str) -> list[datetime]:
        clock = VirtualClock(START)
        hold = clock.hold()
        pacer = place.pacer(clock, SMALL_LIMITS, account=name)
        sent: list[datetime] = []
        together(clock, [lambda: sent.extend(send(pacer, clock, 9)) for _ in range(4)])
        hold.release()
        pacer.close()
        return sorted(sent)

    assert rehearse("first") == rehearse("second")


# -- lanes -------------------------------------------------------------------------------------


def test_live_requests_overtake_all_that_wait(pacer: Pacer, clock: VirtualClock) -> None:
    served: list[tuple[Lane, datetime]] = []

    def requesting(lane: Lane, after: timedelta) -> Callable[[], None]:
        def work() -> None:
            clock.sleep(after)
            with pacer.request("ltp", lane):
                served.append((lane, clock.now()))

        return work

    send(pacer, clock, 50)
    bulk = [requesting(Lane.BACKFILL, EPSILON * n) for n in range(1, 61)]
    chain = [requesting(Lane.CHAIN, EPSILON * 100)] * 5
    live = [requesting(Lane.LIVE, EPSILON * 200)] * 5
    together(clock, [*bulk, *chain, *live])
    first_second = [lane for lane, at in served if at < START + 2 * SECOND]
    assert sorted(first_second) == [Lane.LIVE] * 5 + [Lane.CHAIN] * 5 + [Lane.BACKFILL] * 40


def test_within_a_lane_first_come_is_first_served(pacer: Pacer, clock: VirtualClock) -> None:
    served: list[int] = []

    def requesting(number: int) -> Callable[[], None]:
        def work() -> None:
            clock.sleep(EPSILON * number)
            with pacer.request("ltp", Lane.BACKFILL):
                served.append(number)
                clock.sleep(EPSILON)

        return work

    send(pacer, clock, 50)
    together(clock, [requesting(number) for number in range(1, 56)])
    assert set(served[:50]) == set(range(1, 51))


class Interrupted(VirtualClock):
    """A clock on which Ctrl-C comes during every wait."""

    def wait(self, until: datetime, stop: threading.Event) -> bool:
        raise KeyboardInterrupt


def test_an_interrupted_wait_leaves_the_queue(place: Place) -> None:
    clock = Interrupted(START)
    pacer = place.pacer(clock, SMALL_LIMITS)
    send(pacer, clock, 3)
    with pytest.raises(KeyboardInterrupt), pacer.request("ltp", Lane.LIVE):
        pass
    assert place.waiting() == 0
    pacer.close()


# -- deadlines ---------------------------------------------------------------------------------


def test_too_late_is_reported_at_once(pacer: Pacer, clock: VirtualClock) -> None:
    send(pacer, clock, 500)
    now = clock.now()
    with (
        pytest.raises(RateLimited, match="budget of ltp") as limited,
        pacer.request("ltp", Lane.LIVE, latest=now + 30 * SECOND),
    ):
        pass
    assert clock.now() == now
    wait = limited.value.retry_after
    assert wait is not None
    assert 50 * SECOND < wait <= 60 * SECOND
    with pacer.request("ltp", Lane.LIVE, latest=now + wait):
        assert clock.now() == now + wait


# -- pauses that the provider requires ---------------------------------------------------------


def test_a_pause_holds_back_its_api_and_no_other(pacer: Pacer, clock: VirtualClock) -> None:
    pacer.pause("ltp", 20 * SECOND)
    assert send(pacer, clock, 1, "candles") == [START]
    assert send(pacer, clock, 1, "ltp") == [START + 20 * SECOND]


def test_a_request_that_cannot_wait_so_long_names_the_end_of_the_pause(
    pacer: Pacer, clock: VirtualClock
) -> None:
    pacer.pause("ltp", timedelta(minutes=10))
    with (
        pytest.raises(RateLimited, match="pause of ltp until 09:40:00 IST") as limited,
        pacer.request("ltp", Lane.LIVE, latest=START + 30 * SECOND),
    ):
        pass
    assert clock.now() == START
    assert limited.value.retry_after == timedelta(minutes=10)
    assert spent(pacer, "ltp", clock)[SECOND] == 0


@pytest.mark.parametrize(
    ("required", "kept"),
    [
        pytest.param([600, 5], 600, id="a shorter one later"),
        pytest.param([5, 600], 600, id="a longer one later"),
        pytest.param([9999], 1800, id="longer than any window"),
    ],
)
def test_the_longest_pause_counts_up_to_half_an_hour(
    pacer: Pacer, clock: VirtualClock, required: list[int], kept: int
) -> None:
    for seconds in required:
        pacer.pause("ltp", seconds * SECOND)
    assert pacer.pauses() == {"ltp": START + kept * SECOND}
    clock.sleep(kept * SECOND)
    assert pacer.pauses() == {}


def test_a_pause_is_known_to_other_processes_and_survives_a_restart(
    place: Place, clock: VirtualClock
) -> None:
    first = place.pacer(clock)
    first.pause("ltp", 20 * SECOND)
    first.close()
    second = place.pacer(clock)
    assert send(second, clock, 1) == [START + 20 * SECOND]
    second.close()


def test_a_clock_set_back_does_not_prolong_a_pause(place: Place) -> None:
    for start in (START, START - timedelta(days=1)):
        clock = VirtualClock(start)
        pacer = place.pacer(clock)
        if start == START:
            pacer.pause("ltp", timedelta(minutes=5))
        else:
            assert pacer.pauses() == {"ltp": start + timedelta(minutes=30)}
        pacer.close()


# -- what survives -------------------------------------------------------------------------------


def test_budget_survives_a_restart(place: Place, clock: VirtualClock) -> None:
    first = place.pacer(clock)
    send(first, clock, 500)
    first.close()
    second = place.pacer(clock)
    assert spent(second, "ltp", clock)[60 * SECOND] == 500
    sent = send(second, clock, 1)
    assert sent[0] > START + 60 * SECOND
    second.close()


def test_request_of_a_dead_process_is_counted_until_it_cannot_have_arrived(
    place: Place, clock: VirtualClock
) -> None:
    flight = 10 * SECOND
    died = place.pacer(clock, UPSTOX_LIMITS, flight)
    never_answered = died.request("ltp", Lane.LIVE)
    never_answered.__enter__()
    heir = place.pacer(clock, UPSTOX_LIMITS, flight)
    clock.sleep(flight + SECOND)
    assert spent(heir, "ltp", clock)[SECOND] == 1
    clock.sleep(EPSILON)
    assert spent(heir, "ltp", clock)[SECOND] == 0
    never_answered.__exit__(None, None, None)
    assert spent(heir, "ltp", clock)[SECOND] == 1, "it was only slow"
    died.close()
    heir.close()


@pytest.mark.parametrize("back", [EPSILON, SECOND, timedelta(hours=1), timedelta(days=4000)])
def test_clock_set_back_blocks_no_longer_than_one_window(place: Place, back: timedelta) -> None:
    for start in (START, START - back):
        clock = VirtualClock(start)
        hold = clock.hold()
        pacer = place.pacer(clock)
        if start == START:
            send(pacer, clock, 500)
            pacer.close()
    assert spent(pacer, "ltp", clock)[60 * SECOND] == 500, "they were sent a moment ago"
    sent = send(pacer, clock, 1)
    assert sent[0] <= clock.now() <= START - back + 60 * SECOND + EPSILON + 9 * SECOND
    hold.release()
    pacer.close()
