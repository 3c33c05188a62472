"""Which keys are subscribed in which mode, and what is sent when that changes."""

from collections import Counter
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.feed.modes import FeedLimits, Mode
from data_fetch.core.feed.plan import (
    EMPTY_PLAN,
    Group,
    Method,
    Plan,
    Request,
    changes,
    near_the_money,
    plan_of,
)
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.sources.upstox.limits import FEED_LIMITS

LIMITS = FeedLimits(
    alone={Mode.LTPC: 5, Mode.FULL: 3}, mixed={Mode.LTPC: 3, Mode.FULL: 1, Mode.OPTION_GREEKS: 2}
)
LTPC, GREEKS, FULL = Mode.LTPC, Mode.OPTION_GREEKS, Mode.FULL

KEYS = st.sampled_from([f"NSE_EQ|{letter}" for letter in "ABCDEFGHIJKL"])
MODES = st.sampled_from([LTPC, GREEKS, FULL])
PLANS = st.dictionaries(KEYS, MODES).map(Plan)
GROUPS = st.lists(
    st.builds(Group, st.sampled_from(["universe", "chains", "pinned"]), MODES, st.lists(KEYS)),
    max_size=4,
)


def keys(letters: str) -> list[str]:
    return list(letters)


def test_one_mode_has_its_own_limit() -> None:
    plan = plan_of([Group("universe", LTPC, keys("abcdef"))], LIMITS)

    assert plan.modes == dict.fromkeys("abcde", LTPC)
    assert plan.left_out == {"universe": ["f"]}


def test_several_modes_have_the_mixed_limits_and_earlier_groups_come_first() -> None:
    plan = plan_of(
        [
            Group("universe", LTPC, keys("ab")),
            Group("chains", GREEKS, keys("cde")),
            Group("pinned", LTPC, keys("fg")),
        ],
        LIMITS,
    )

    assert plan.modes == {"a": LTPC, "b": LTPC, "c": GREEKS, "d": GREEKS, "f": LTPC}
    assert plan.left_out == {"chains": ["e"], "pinned": ["g"]}


def test_a_key_of_two_groups_has_the_richer_mode_in_the_place_of_the_first() -> None:
    groups = [Group("universe", LTPC, keys("ab")), Group("pinned", FULL, keys("bc"))]

    assert plan_of(groups, LIMITS).modes == {"a": LTPC, "b": FULL}


def test_a_mode_that_the_account_has_not_is_left_out() -> None:
    plan = plan_of([Group("pinned", Mode.FULL_D30, keys("a"))], FEED_LIMITS)

    assert plan.modes == {}
    assert plan.left_out == {"pinned": ["a"]}


@given(GROUPS)
def test_no_plan_exceeds_the_limits(groups: list[Group]) -> None:
    plan = plan_of(groups, LIMITS)

    used = Counter(plan.modes.values())
    limits = LIMITS.alone if len(used) < 2 else LIMITS.mixed
    assert all(count <= max(limits.get(m, 0), LIMITS.mixed.get(m, 0)) for m, count in used.items())
    if len(used) > 1:
        assert all(count <= LIMITS.mixed[mode] for mode, count in used.items())
    wanted = {key for group in groups for key in group.keys}
    assert wanted == plan.modes.keys() | {k for left in plan.left_out.values() for k in left}


def applied(modes: dict[str, Mode], request: Request) -> dict[str, Mode]:
    """What a feed has subscribed after *request*."""
    after = dict(modes)
    for key in request.keys:
        if request.method is Method.UNSUBSCRIBE:
            del after[key]
        else:
            assert (key in after) is (request.method is Method.CHANGE_MODE)
            assert request.mode is not None
            after[key] = request.mode
    return after


@given(PLANS, PLANS, st.integers(1, 5))
def test_the_changes_turn_one_plan_into_the_other(before: Plan, after: Plan, most: int) -> None:
    modes = dict(before.modes)
    largest = max(len(before.modes), len(after.modes))
    for request in changes(before, after, most):
        assert 1 <= len(request.keys) <= most
        modes = applied(modes, request)
        assert len(modes) <= largest

    assert modes == after.modes


@given(PLANS)
def test_the_same_plan_needs_no_request(plan: Plan) -> None:
    assert changes(plan, Plan(dict(plan.modes))) == []
    assert [request.method for request in changes(EMPTY_PLAN, plan)] == [Method.SUBSCRIBE] * len(
        set(plan.modes.values())
    )


def option(strike: int, kind: str, expiry: date) -> Instrument:
    key = f"NSE_FO|{strike}{kind}{expiry:%d}"
    return Instrument(
        instrument_key=f"{key}|{expiry:%d-%m-%Y}",
        symbol=f"NIFTY {strike} {kind}",
        segment="NSE_FO",
        instrument_type=kind,
        expiry=expiry,
        strike=Decimal(strike),
        live_key=key,
    )


def test_options_near_the_money_come_first_and_later_expiries_are_left_out() -> None:
    near, next_one, far = date(2026, 9, 22), date(2026, 9, 29), date(2026, 10, 27)
    options = [
        option(strike, kind, expiry)
        for strike in (24_900, 25_000, 25_100)
        for kind in ("PE", "CE")
        for expiry in (far, next_one, near)
    ]

    assert near_the_money(options, Decimal(25_010), 2, 5) == [
        "NSE_FO|25000CE22",
        "NSE_FO|25000PE22",
        "NSE_FO|25000CE29",
        "NSE_FO|25000PE29",
        "NSE_FO|25100CE22",
    ]
