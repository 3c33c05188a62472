"""A write is tried again while its minute lasts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import DataFetchError, LostLeadership, StoreRefused, StoreUnreachable
from data_fetch.services.kept_writes import keep_writing

START = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def fails(times: int, problem: DataFetchError) -> Callable[[], int]:
    """A write that fails so many times; then its result is how often it was called."""
    calls = 0

    def write() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise problem
        return calls

    return write


@pytest.mark.parametrize("times", [0, 1, 5])
def test_what_waiting_cures_is_written_in_the_end(times: int) -> None:
    clock = VirtualClock(START)

    assert keep_writing(fails(times, StoreUnreachable("away")), clock, START + MINUTE) == times + 1
    assert clock.now() < START + timedelta(seconds=5)


def test_the_last_error_is_raised_when_the_minute_is_over() -> None:
    clock = VirtualClock(START)

    with pytest.raises(StoreUnreachable, match="away"):
        keep_writing(fails(1000, StoreUnreachable("away")), clock, START + MINUTE)

    assert START + timedelta(seconds=50) < clock.now() < START + MINUTE


@pytest.mark.parametrize(
    "problem", [LostLeadership("another one leads"), StoreRefused("read-only")], ids=repr
)
def test_what_waiting_does_not_cure_is_raised_at_once(problem: DataFetchError) -> None:
    clock = VirtualClock(START)

    with pytest.raises(type(problem)):
        keep_writing(fails(1, problem), clock, START + MINUTE)

    assert clock.now() == START
