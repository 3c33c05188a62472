"""Turns at the site: in order, without time passing in between, and given up when too late."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from effort import PATIENCE_SECONDS

from data_fetch.core.clock import SystemClock, VirtualClock
from data_fetch.services.clocked_pool import ClockedPool
from data_fetch.sources.nse.turns import Turns

START = datetime(2026, 9, 16, 4, tzinfo=UTC)
LASTS = timedelta(seconds=2)


class TooLateError(Exception):
    pass


def go_on() -> None:
    """There is time."""


def too_late() -> None:
    raise TooLateError


def test_no_time_passes_while_a_turn_is_passed_on() -> None:
    clock = VirtualClock(START)
    hold, turns, pool = clock.hold(), Turns(clock), ClockedPool(clock, 4, "visitors")
    begun: list[datetime] = []

    def visit() -> None:
        turns.take(go_on)
        begun.append(clock.now())
        clock.sleep(LASTS)
        turns.pass_on()

    for _ in range(4):
        pool.submit(visit)
    pool.close()
    hold.release()

    assert begun == [START + n * LASTS for n in range(4)]


def test_it_is_the_turn_of_the_one_that_has_waited_longest() -> None:
    turns, order = Turns(SystemClock()), list[int]()
    turns.take(go_on)

    def visit(number: int, waits: Future[None]) -> None:
        turns.take(lambda: None if waits.done() else waits.set_result(None))
        order.append(number)
        turns.pass_on()

    with ThreadPoolExecutor(5) as pool:
        visits = []
        for number in range(5):
            waits: Future[None] = Future()
            visits.append(pool.submit(visit, number, waits))
            waits.result(PATIENCE_SECONDS)
        turns.pass_on()
        for one in visits:
            one.result(PATIENCE_SECONDS)

    assert order == [0, 1, 2, 3, 4]


def test_one_that_gives_up_leaves_the_line_to_the_others() -> None:
    clock = VirtualClock(START)
    hold, turns = clock.hold(), Turns(clock)
    turns.take(go_on)

    with pytest.raises(TooLateError):
        turns.take(too_late)
    turns.pass_on()

    turns.take(too_late)
    turns.pass_on()
    hold.release()


def test_one_that_gives_up_as_its_turn_comes_passes_it_on() -> None:
    clock = VirtualClock(START)
    hold, turns = clock.hold(), Turns(clock)
    turns.take(go_on)
    give_up: Callable[[], None] = passing_on(turns)

    with pytest.raises(TooLateError):
        turns.take(give_up)

    turns.take(too_late)
    turns.pass_on()
    hold.release()
    # Every hold was given back: the clock runs.
    clock.sleep(LASTS)
    assert clock.now() == START + LASTS


def passing_on(turns: Turns) -> Callable[[], None]:
    """The turn ends in the moment in which the next one gives up."""

    def give_up() -> None:
        turns.pass_on()
        raise TooLateError

    return give_up
