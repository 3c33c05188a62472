"""The waits before the feed is connected again."""

from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.feed.waits import Waits


class Longest(Random):
    """Shortens no wait."""

    def uniform(self, a: float, b: float) -> float:
        return b


def seconds(waits: Waits, count: int) -> list[float]:
    return [waits.next().total_seconds() for _ in range(count)]


def test_waits_double_up_to_a_minute() -> None:
    assert seconds(Waits(Longest()), 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_data_begins_them_anew() -> None:
    waits = Waits(Longest())
    seconds(waits, 5)
    waits.reset()

    assert seconds(waits, 2) == [1, 2]


def test_a_required_pause_is_kept_and_a_longer_wait_is_not_shortened() -> None:
    waits = Waits(Longest())

    assert waits.next(timedelta(seconds=30)) == timedelta(seconds=30)
    assert waits.next(timedelta(seconds=1)) == timedelta(seconds=2)


@given(st.integers(), st.integers(1, 20))
def test_they_are_spread_by_at_most_a_half(seed: int, count: int) -> None:
    unspread = seconds(Waits(Longest()), count)

    spread = seconds(Waits(Random(seed)), count)

    assert all(full / 2 <= wait <= full for wait, full in zip(spread, unspread, strict=True))
