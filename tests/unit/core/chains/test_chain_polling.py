"""How often each chain can be polled, and whose turn it is."""

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
    return PollRequest(symbol=symbol, seconds=seconds, requests=requests, first=True)


def stock(symbol: str, seconds: float = 180, requests: int = 1) -> PollRequest:
    return PollRequest(symbol=symbol, seconds=seconds, requests=requests, first=False)


def planned(plan: PollingPlan, symbol: str) -> float:
    cadence = plan.of(symbol)
    assert cadence is not None
    return cadence.planned


def test_the_longest_window_decides_what_can_be_kept_up() -> None:
    """2,000 in 30 minutes, though 50 a second would be allowed for a moment."""
    assert steady_rate(UPSTOX) == pytest.approx(2000 / 1800)
    assert steady_rate(NSE) == pytest.approx(0.4)


def test_six_indices_every_half_minute_fit() -> None:
    plan = plan_polling([index(name) for name in "ABCDEF"], UPSTOX)

    assert plan.feasible
    assert plan.wished == pytest.approx(12)
    assert plan.budget == pytest.approx(60)


def test_210_underlyings_cannot_be_polled_every_minute() -> None:
    plan = plan_polling([stock(f"S{n}", 60) for n in range(210)], UPSTOX)

    assert not plan.feasible
    assert planned(plan, "S0") == pytest.approx(210 / (2000 / 1800 * USED_SHARE))


def test_indices_keep_their_cadence_and_the_others_share_what_is_left() -> None:
    wishes = [*(index(name) for name in "ABCDE"), *(stock(f"S{n}", 60) for n in range(205))]

    plan = plan_polling(wishes, UPSTOX)

    assert planned(plan, "A") == 30
    assert planned(plan, "S0") == planned(plan, "S204") == pytest.approx(205 / (1 - 5 / 30))


def test_too_much_up_front_leaves_the_others_a_tenth() -> None:
    wishes = [*(index(f"I{n}", 5) for n in range(100)), stock("S", 60)]

    plan = plan_polling(wishes, UPSTOX)

    assert planned(plan, "I0") == pytest.approx(100 / 0.9)
    assert planned(plan, "S") == 60


def test_on_the_website_everything_takes_its_time() -> None:
    """Six symbols at 2.5 s and nine tenths: no oftener than every 16.7 s."""
    plan = plan_polling([index(name, 5) for name in "ABCDEF"], NSE)

    assert planned(plan, "A") == pytest.approx(6 * 2.5 / 0.9)


def test_more_expiries_are_more_requests() -> None:
    assert plan_polling([index("A", 30, requests=7)], UPSTOX).wished == pytest.approx(14)


wishes = st.lists(
    st.builds(
        lambda first, seconds, requests: (first, seconds, requests),
        st.booleans(),
        st.integers(5, 3600),
        st.integers(1, 18),
    ),
    max_size=250,
).map(
    lambda rows: [
        PollRequest(symbol=f"S{n}", seconds=seconds, requests=requests, first=first)
        for n, (first, seconds, requests) in enumerate(rows)
    ]
)


@given(wishes=wishes, limits=st.sampled_from([UPSTOX, NSE]))
def test_no_plan_asks_for_more_than_the_limits_allow(
    wishes: list[PollRequest], limits: dict[timedelta, int]
) -> None:
    plan = plan_polling(wishes, limits)

    load = sum(w.requests / planned(plan, w.symbol) for w in wishes)
    assert load <= USED_SHARE * steady_rate(limits) * (1 + 1e-9)
    assert all(cadence.planned >= cadence.wished for cadence in plan.cadences)


def turns(*wishes: PollRequest) -> PollQueue:
    found = PollQueue()
    found.follow(plan_polling(wishes, UPSTOX))
    return found


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_all_are_due_at_once_and_then_on_their_beat() -> None:
    line = turns(index("A", 30), index("B", 60))
    taken = []
    for second in range(0, 121, 5):
        while (symbol := line.take(at(second))) is not None:
            taken.append((second, symbol))
            line.done(symbol)

    assert taken == [
        (0, "A"), (0, "B"), (30, "A"), (60, "A"), (60, "B"), (90, "A"), (120, "A"), (120, "B"),
    ]  # fmt: skip


def test_who_is_at_work_is_not_due() -> None:
    line = turns(index("A", 30))

    assert line.take(at(0)) == "A"
    assert line.take(at(40)) is None
    line.done("A")
    assert line.take(at(40)) == "A"


def test_who_fell_behind_does_not_catch_up() -> None:
    line = turns(index("A", 30))
    line.take(at(0))
    line.done("A")

    assert line.take(at(200)) == "A"
    line.done("A")
    assert line.take(at(205)) is None
    assert line.take(at(230)) == "A"


def test_the_one_that_waits_longest_goes_first() -> None:
    line = turns(index("A", 30), index("B", 31))
    for symbol in "AB":
        assert line.take(at(0)) == symbol
        line.done(symbol)

    assert [line.take(at(100)), line.take(at(100)), line.take(at(100))] == ["A", "B", None]


def test_a_new_plan_takes_effect_at_once() -> None:
    line = turns(index("A", 30))
    line.take(at(0))
    line.done("A")

    line.follow(plan_polling([index("B", 30)], UPSTOX))

    assert line.take(at(1)) == "B"
    assert line.take(at(60)) is None


def test_a_shorter_cadence_counts_for_the_turn_that_is_awaited() -> None:
    line = turns(index("A", 3600))
    line.take(at(0))
    line.done("A")

    line.follow(plan_polling([index("A", 30)], UPSTOX))

    assert line.take(at(25)) is None
    assert line.take(at(30)) == "A"


def test_a_longer_cadence_does_too() -> None:
    line = turns(index("A", 30))
    line.take(at(0))
    line.done("A")

    line.follow(plan_polling([index("A", 3600)], UPSTOX))

    assert line.take(at(30)) is None
    assert line.take(at(3600)) == "A"
