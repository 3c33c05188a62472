"""What is due for a day: the table of states, and the laws that no table may break."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.archive.days import ArchivedDay, Dataset, DayState
from data_fetch.core.archive.lifecycle import Retention, Step, next_step

DAY = date(2026, 9, 16)
EIGHT = time(20, 0)


def retention(days: int) -> Retention:
    return Retention(hot_days=dict.fromkeys(Dataset, days), confirmed_at=EIGHT)


def evening(day: date, minutes: int = 30) -> datetime:
    """So many minutes after 20:00 IST."""
    at = datetime.combine(day, time(14, 30), UTC)
    return at + timedelta(minutes=minutes)


def known(
    state: DayState, changed_at: datetime = datetime(2026, 9, 16, 15, tzinfo=UTC)
) -> ArchivedDay:
    return ArchivedDay(
        dataset=Dataset.CHAINS,
        trading_date=DAY,
        state=state,
        generation=1,
        changed_at=changed_at,
        run_id="run",
    )


def later(days: int) -> date:
    return DAY + timedelta(days=days)


@pytest.mark.parametrize(
    ("state", "newest", "step"),
    [
        (None, DAY, Step.SEAL),
        (DayState.ARCHIVED, DAY, Step.VERIFY),
        (DayState.ARCHIVED, later(30), Step.VERIFY),
        (DayState.VERIFIED, DAY, None),
        (DayState.VERIFIED, later(6), None),
        (DayState.VERIFIED, later(7), Step.DROP),
        (DayState.DROPPED, DAY, Step.CLEAR),
        (DayState.CLEARED, later(30), None),
        (DayState.RESTORING, later(30), Step.RESTORE),
        (DayState.RESTORED, later(30), Step.DROP),
    ],
)
def test_what_is_due_in_each_state(state: DayState | None, newest: date, step: Step | None) -> None:
    of_ledger = None if state is None else known(state)
    now = evening(later(30))
    assert next_step(retention(7), Dataset.CHAINS, DAY, of_ledger, newest, now) is step


@pytest.mark.parametrize(
    ("minutes", "over"), [(-300, False), (0, False), (29, False), (30, True), (9999, True)]
)
def test_a_day_is_sealed_when_it_is_over(minutes: int, over: bool) -> None:
    step = next_step(retention(7), Dataset.QUOTES, DAY, None, DAY, evening(DAY, minutes))
    assert step is (Step.SEAL if over else None)


@pytest.mark.parametrize(
    ("days", "step"), [(-3, None), (0, None), (6, None), (7, Step.DROP), (400, Step.DROP)]
)
def test_a_day_that_was_brought_back_stays_for_its_window(days: int, step: Step | None) -> None:
    restored_at = evening(later(100))
    now = restored_at + timedelta(days=days)
    day = known(DayState.RESTORED, restored_at)
    assert next_step(retention(7), Dataset.CHAINS, DAY, day, later(100), now) is step


states = st.none() | st.sampled_from(DayState)
days = st.integers(-40, 400)


@given(states, st.sampled_from(Dataset), st.integers(0, 100), days, days, days)
def test_nothing_is_dropped_that_was_not_compared_or_is_hot(
    state: DayState | None, dataset: Dataset, window: int, newest: int, now: int, changed: int
) -> None:
    day = None if state is None else known(state, evening(later(changed)))
    step = next_step(retention(window), dataset, DAY, day, later(newest), evening(later(now)))
    if step is Step.DROP:
        assert state is not None
        assert state.compared
        assert newest >= window > 0
        assert now >= 0
    if step is Step.CLEAR:
        assert state is DayState.DROPPED
    if now < 0:
        assert step is None


@given(days, days)
def test_days_are_kept_for_ever_without_a_window(newest: int, now: int) -> None:
    for state in DayState:
        step = next_step(
            retention(0),
            Dataset.CANDLES,
            DAY,
            known(state),
            later(newest),
            evening(later(now)),
        )
        assert step is not Step.DROP
