"""Which errors are tried again, when, and for how long."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest
from upstox_stub import START, waited

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import (
    AccessDenied,
    BadResponse,
    DataFetchError,
    RateLimited,
    RequestRefused,
    SetupError,
    Stopped,
    TokenRejected,
    UnknownInstrument,
    Unreachable,
)
from data_fetch.core.ports import Lane
from data_fetch.sources.transport.retrying import RequestContext, RetryPolicy


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(START)
    hold = clock.hold()
    yield clock
    hold.release()


def failing(*problems: DataFetchError) -> Callable[[], str]:
    """Work that fails with each of *problems* in turn, and then succeeds."""
    left = list(problems)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work


def policy(clock: VirtualClock, seed: int = 1) -> RetryPolicy:
    return RetryPolicy(clock, random=Random(seed))


def soon() -> RequestContext:
    """Work that must be done within thirty seconds."""
    return RequestContext(Lane.LIVE, START + timedelta(seconds=30))


@pytest.mark.parametrize("kind", [BadResponse, Unreachable, RateLimited])
def test_transient_failures_are_tried_again(
    clock: VirtualClock, kind: type[DataFetchError]
) -> None:
    assert policy(clock).run(failing(kind("x"), kind("y")), soon()) == "done"
    assert timedelta(seconds=0.75) <= waited(clock) <= timedelta(seconds=1.5)


@pytest.mark.parametrize(
    "kind",
    [TokenRejected, AccessDenied, SetupError, RequestRefused, UnknownInstrument],
)
def test_other_failures_are_not(clock: VirtualClock, kind: type[DataFetchError]) -> None:
    with pytest.raises(kind):
        policy(clock).run(failing(kind("x")), soon())
    assert waited(clock) == timedelta(0)


def test_a_named_wait_is_kept_to_the_instant(clock: VirtualClock) -> None:
    limited = RateLimited("x", retry_after=timedelta(seconds=7))
    assert policy(clock).run(failing(limited), soon()) == "done"
    assert waited(clock) == timedelta(seconds=7)


def test_the_last_error_comes_out_when_attempts_run_out(clock: VirtualClock) -> None:
    problems = [BadResponse(f"number {n}") for n in range(1, 9)]
    with pytest.raises(BadResponse, match="number 4"):
        policy(clock).run(failing(*problems), soon())


def test_nothing_is_waited_for_that_comes_too_late(clock: VirtualClock) -> None:
    limited = RateLimited("x", retry_after=timedelta(seconds=31))
    with pytest.raises(RateLimited):
        policy(clock).run(failing(limited), soon())
    assert waited(clock) == timedelta(0)


def test_waits_grow_and_are_spread(clock: VirtualClock) -> None:
    began: list[timedelta] = []

    def work() -> str:
        began.append(waited(clock))
        raise Unreachable("x")

    with pytest.raises(Unreachable):
        policy(clock).run(work, soon())
    waits = [(after - before).total_seconds() for before, after in pairwise(began)]
    for wait, longest in zip(waits, (0.5, 1, 2), strict=True):
        assert longest / 2 <= wait <= longest


def test_one_seed_gives_the_same_waits() -> None:
    def rehearse(seed: int) -> timedelta:
        clock = VirtualClock(START)
        hold = clock.hold()
        policy(clock, seed).run(failing(BadResponse("x"), BadResponse("y")), soon())
        hold.release()
        return waited(clock)

    assert rehearse(5) == rehearse(5)
    assert rehearse(5) != rehearse(6)


def test_live_work_ends_within_its_minute() -> None:
    assert RequestContext.begin(Lane.LIVE, START).deadline <= START + timedelta(seconds=30)
    assert RequestContext.begin(Lane.BACKFILL, START).deadline > START + timedelta(minutes=30)


def test_work_that_is_called_off_is_not_tried_again(clock: VirtualClock) -> None:
    context = soon()
    context.stop.set()
    with pytest.raises(Stopped):
        policy(clock).run(failing(BadResponse("x")), context)
    assert not waited(clock)
