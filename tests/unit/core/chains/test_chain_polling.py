"""The cadence of chain polls under the rate limits, and the order of the polls."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.chains.polling import (
    USED_SHARE,
    PollingPlan,
    PollQueue,
    PollRequest,
    plan_polling,
    steady_rate,
)

UPSTOX = {
    timedelta(seconds=1): 50,
    timedelta(minutes=1): 500,
    timedelta(minutes=30): 2000,
}
NSE = {timedelta(seconds=2.5): 1}
START = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)


def index(symbol: str, seconds: float = 30, requests: int = 1) -> PollRequest:
    return PollRequest(symbol=symbol, requested_interval=seconds, requests=requests, priority=True)


def stock(symbol: str, seconds: float = 180, requests: int = 1) -> PollRequest:
    return PollRequest(symbol=symbol, requested_interval=seconds, requests=requests, priority=False)


def planned(plan: PollingPlan, symbol: str) -> float:
    cadence = plan.of(symbol)
    assert cadence is not None
    return cadence.planned_interval


def test_the_longest_window_sets_the_steady_rate() -> None:
    """2,000 in 30 minutes, although 50 in one second are allowed for a short time."""
    assert steady_rate(UPSTOX) == pytest.approx(2000 / 1800)
    assert steady_rate(NSE) == pytest.approx(0.4)


def test_six_indices_every_half_minute_fit() -> None:
    plan = plan_polling([index(name) for name in "ABCDEF"], UPSTOX)

    assert plan.feasible
    assert plan.requested == pytest.approx(12)
    assert plan.budget == pytest.approx(60)


def test_210_underlyings_cannot_be_polled_every_minute() -> None:
    plan = plan_polling([stock(f"S{n}", 60) for n in range(210)], UPSTOX)

    assert not plan.feasible
    assert planned(plan, "S0") == pytest.approx(210 / (2000 / 1800 * USED_SHARE))


def test_indices_have_their_requested_interval_and_the_others_share_the_rest() -> None:
    poll_requests = [*(index(name) for name in "ABCDE"), *(stock(f"S{n}", 60) for n in range(205))]

    plan = plan_polling(poll_requests, UPSTOX)

    assert planned(plan, "A") == 30
    assert planned(plan, "S0") == planned(plan, "S204") == pytest.approx(205 / (1 - 5 / 30))


def test_priority_symbols_leave_a_tenth_for_the_others() -> None:
    poll_requests = [*(index(f"I{n}", 5) for n in range(100)), stock("S", 60)]

    plan = plan_polling(poll_requests, UPSTOX)

    assert planned(plan, "I0") == pytest.approx(100 / 0.9)
    assert planned(plan, "S") == 60


def test_nse_limits_make_all_intervals_longer() -> None:
    """Six symbols at 2.5 s and nine tenths: at most every 16.7 s."""
    plan = plan_polling([index(name, 5) for name in "ABCDEF"], NSE)

    assert planned(plan, "A") == pytest.approx(6 * 2.5 / 0.9)


def test_more_expiries_are_more_requests() -> None:
    assert plan_polling([index("A", 30, requests=7)], UPSTOX).requested == pytest.approx(14)


poll_requests = st.lists(
    st.builds(
        lambda first, seconds, requests: (first, seconds, requests),
        st.booleans(),
        st.integers(5, 3600),
        st.integers(1, 18),
    ),
    max_size=250,
).map(
    lambda rows: [
        PollRequest(symbol=f"S{n}", requested_interval=seconds, requests=requests, priority=first)
        for n, (first, seconds, requests) in enumerate(rows)
    ]
)


@given(poll_requests=poll_requests, limits=st.sampled_from([UPSTOX, NSE]))
def test_no_plan_exceeds_the_limits(
    poll_requests: list[PollRequest], limits: dict[timedelta, int]
) -> None:
    plan = plan_polling(poll_requests, limits)

    load = sum(w.requests / planned(plan, w.symbol) for w in poll_requests)
    assert load <= USED_SHARE * steady_rate(limits) * (1 + 1e-9)
    assert all(cadence.planned_interval >= cadence.requested_interval for cadence in plan.cadences)


def queue_of(*poll_requests: PollRequest) -> PollQueue:
    queue = PollQueue()
    queue.follow(plan_polling(poll_requests, UPSTOX))
    return queue


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_all_are_due_at_once_and_then_at_their_interval() -> None:
    queue = queue_of(index("A", 30), index("B", 60))
    taken = []
    for second in range(0, 121, 5):
        while (symbol := queue.take(at(second))) is not None:
            taken.append((second, symbol))
            queue.done(symbol)

    assert taken == [
        (0, "A"), (0, "B"), (30, "A"), (60, "A"), (60, "B"), (90, "A"), (120, "A"), (120, "B"),
    ]  # fmt: skip


def test_a_symbol_in_progress_is_not_due() -> None:
    queue = queue_of(index("A", 30))

    assert queue.take(at(0)) == "A"
    assert queue.take(at(40)) is None
    queue.done("A")
    assert queue.take(at(40)) == "A"


def test_missed_polls_are_not_repeated() -> None:
    queue = queue_of(index("A", 30))
    queue.take(at(0))
    queue.done("A")

    assert queue.take(at(200)) == "A"
    queue.done("A")
    assert queue.take(at(205)) is None
    assert queue.take(at(230)) == "A"


def test_the_symbol_that_is_due_for_longest_is_first() -> None:
    queue = queue_of(index("A", 30), index("B", 31))
    for symbol in "AB":
        assert queue.take(at(0)) == symbol
        queue.done(symbol)

    assert [queue.take(at(100)), queue.take(at(100)), queue.take(at(100))] == ["A", "B", None]


def test_a_new_plan_takes_effect_at_once() -> None:
    queue = queue_of(index("A", 30))
    queue.take(at(0))
    queue.done("A")

    queue.follow(plan_polling([index("B", 30)], UPSTOX))

    assert queue.take(at(1)) == "B"
    assert queue.take(at(60)) is None


def test_a_shorter_interval_applies_to_the_next_poll() -> None:
    queue = queue_of(index("A", 3600))
    queue.take(at(0))
    queue.done("A")

    queue.follow(plan_polling([index("A", 30)], UPSTOX))

    assert queue.take(at(25)) is None
    assert queue.take(at(30)) == "A"


def test_a_longer_interval_applies_to_the_next_poll() -> None:
    queue = queue_of(index("A", 30))
    queue.take(at(0))
    queue.done("A")

    queue.follow(plan_polling([index("A", 3600)], UPSTOX))

    assert queue.take(at(30)) is None
    assert queue.take(at(3600)) == "A"
