"""At most one value of a key in an interval."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from data_fetch.publishing.throttle import Throttle

INTERVAL = 10


def test_the_next_value_is_due_when_its_interval_is_over() -> None:
    throttle: Throttle[str] = Throttle(INTERVAL)
    assert throttle.next_due() is None
    assert throttle.passes(("a",), "a1", 0)
    assert throttle.passes(("b",), "b1", 4)
    assert throttle.next_due() is None

    assert not throttle.passes(("b",), "b2", 5)
    assert throttle.next_due() == 14
    assert not throttle.passes(("a",), "a2", 6)
    assert not throttle.passes(("a",), "a3", 7)
    assert throttle.next_due() == 10

    assert throttle.due(9) == []
    assert throttle.due(10) == ["a3"]
    assert throttle.next_due() == 14


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), max_size=60))
def test_no_key_is_sent_too_often_never_backwards_and_its_newest_value_arrives(
    steps: list[tuple[str, int]],
) -> None:
    throttle: Throttle[tuple[str, int]] = Throttle(INTERVAL)
    sent: dict[str, list[tuple[int, int]]] = {"a": [], "b": []}
    newest: dict[str, int] = {}
    now = 0
    for number, (key, pause) in enumerate(steps):
        now += pause
        newest[key] = number
        if throttle.passes((key,), (key, number), now):
            sent[key].append((now, number))
        for due_key, due_number in throttle.due(now):
            sent[due_key].append((now, due_number))
    for due_key, due_number in throttle.due(now + INTERVAL):
        sent[due_key].append((now + INTERVAL, due_number))

    for each in sent.values():
        times, numbers = [at for at, _ in each], [number for _, number in each]
        assert all(b - a >= INTERVAL for a, b in pairwise(times))
        assert numbers == sorted(set(numbers))
    assert {key: each[-1][1] for key, each in sent.items() if each} == newest
