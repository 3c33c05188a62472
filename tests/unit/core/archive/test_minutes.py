"""Which minutes are written: what the store has against what the files have."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.archive.minutes import (
    MINUTE_TABLES,
    TIME_TO_STORE,
    MinutePlan,
    TableMinute,
    minute_plan,
    watched_days,
)
from data_fetch.core.clock import MINUTE

OPENS = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
NOW = OPENS + 3 * MINUTE + TIME_TO_STORE


def of(number: int, table: str = "ltp_data") -> TableMinute:
    return TableMinute(OPENS + number * MINUTE, table)


CASES = {
    "nothing stored, nothing written": ({}, {}, (), ()),
    "a minute that is over": ({of(0): "a"}, {}, (of(0),), ()),
    "a minute that is written": ({of(0): "a"}, {of(0): "a"}, (), ()),
    "late rows": ({of(0): "b"}, {of(0): "a"}, (of(0),), ()),
    "a file without a state": ({of(0): "a"}, {of(0): ""}, (of(0),), ()),
    "the minute that has just ended": ({of(2): "a"}, {}, (of(2),), ()),
    "the minute that runs": ({of(3): "a"}, {}, (), ()),
    "oldest first": ({of(1): "a", of(0): "a"}, {}, (of(0), of(1)), ()),
    "a snapshot after its legs": (
        {of(0, "chain_snapshots"): "a", of(0, "option_chain_data"): "a"},
        {},
        (of(0, "option_chain_data"), of(0, "chain_snapshots")),
        (),
    ),
    "rows that were withdrawn": ({}, {of(0): "a"}, (), (of(0),)),
    "rows ahead of a clock that was set back": ({}, {of(9): "a"}, (), (of(9),)),
}


@pytest.mark.parametrize(("stored", "written", "write", "remove"), CASES.values(), ids=CASES)
def test_the_plan(
    stored: dict[TableMinute, str],
    written: dict[TableMinute, str],
    write: tuple[TableMinute, ...],
    remove: tuple[TableMinute, ...],
) -> None:
    assert minute_plan(stored, written, NOW) == MinutePlan(write, remove)


STATES = st.dictionaries(
    st.builds(of, st.integers(0, 6), st.sampled_from(MINUTE_TABLES)), st.sampled_from("abc")
)


@given(stored=STATES, written=STATES, seconds=st.integers(0, 600))
def test_a_plan_that_was_followed_leaves_nothing_to_do(
    stored: dict[TableMinute, str], written: dict[TableMinute, str], seconds: int
) -> None:
    now = OPENS + timedelta(seconds=seconds)
    plan = minute_plan(stored, written, now)
    after = {**written, **{each: stored[each] for each in plan.write}}
    for each in plan.remove:
        del after[each]

    assert minute_plan(stored, after, now) == MinutePlan((), ())
    assert after.keys() <= stored.keys()
    over = {each for each in stored if each.minute + MINUTE + TIME_TO_STORE <= now}
    assert {each: after[each] for each in over} == {each: stored[each] for each in over}


def test_the_days_that_are_compared_reach_over_the_longest_weekend() -> None:
    at = datetime(2026, 9, 15, 18, 30, tzinfo=UTC)  # midnight in India
    assert watched_days(at)[0] == date(2026, 9, 11)
    assert watched_days(at)[-1] == date(2026, 9, 16)
    assert watched_days(at - MINUTE)[-1] == date(2026, 9, 15)
