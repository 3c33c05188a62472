"""Days before the first candle: a response that was cut short looks like a listing, for a time."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
from backfill_env import ist
from candle_shelf import stock
from history_env import MINUTES, HistoryEnv, history_env, traded, trading_days

from data_fetch.core.candles.coverage import State
from data_fetch.core.runs import Outcome
from data_fetch.storage.candles.coverage import load_days_as_of

TCS = stock("TCS")
FIRST, LAST = date(2026, 4, 1), date(2026, 4, 30)
DAYS = trading_days(FIRST, LAST)
CUT = DAYS[:8]
NOW = ist(date(2026, 6, 1), "10:00")


@pytest.fixture
def env(database_url: str) -> Iterator[HistoryEnv]:
    """The provider has every day, and its first response lacks the oldest eight."""
    with history_env(database_url, NOW) as env:
        env.lists(date(2026, 6, 1), TCS)
        for day in DAYS:
            env.trades(TCS, day, traded())
        env.withheld = set(CUT)
        env.backfill(env.order(["TCS"], FIRST, LAST))
        yield env


def test_they_are_not_expected_and_not_held_against_the_range(env: HistoryEnv) -> None:
    order = env.order(["TCS"], FIRST, LAST)
    ledger = env.ledger(order)

    assert {ledger[day].minutes(State.NOT_EXPECTED) for day in CUT} == {375}
    plan = env.service.plan(order)
    assert (plan.windows, plan.held_back) == ([], 0)


def test_retry_failed_requests_them_at_once(env: HistoryEnv) -> None:
    env.withheld.clear()
    order = env.order(["TCS"], FIRST, LAST, retry_failed=True)

    report = env.backfill(order)

    assert (report.outcome, report.requests) == (Outcome.COMPLETED, 1)
    assert {known.minutes(State.PRESENT) for known in env.ledger(order).values()} == {375}


def test_a_later_response_about_them_counts(env: HistoryEnv) -> None:
    """A window that has one of them and a day that is missed."""
    missed = DAYS[-1] + timedelta(days=4)
    env.until(NOW + timedelta(hours=25))
    order = env.order(["TCS"], CUT[-1], missed, retry_failed=True)
    before = env.ledger(order)[CUT[-1]]

    env.backfill(order)

    after = env.ledger(order)[CUT[-1]]
    assert (after.attempts, after.confirmations) == (before.attempts + 1, before.confirmations + 1)
    assert after.last_attempt == env.clock.now()


def test_what_a_response_settles_anew_and_the_first_candle_changes_is_kept(
    env: HistoryEnv,
) -> None:
    """One response has the first candle, and lacks a day that an earlier one had settled."""
    early = trading_days(date(2026, 3, 2), date(2026, 3, 31))
    other = stock("INFY", "INE009A01021")
    env.lists(date(2026, 6, 1), TCS, other)
    order = env.order(["INFY"], early[0], early[-1], retry_failed=True)
    env.backfill(order)
    settled, at = env.ledger(order)[early[0]], env.clock.now()
    env.trades(other, early[-1], traded())
    env.until(at + timedelta(hours=1))

    env.backfill(order)

    key = (other.instrument_key, early[0])
    assert settled.minutes(State.SOURCE_EMPTY) == 375
    assert env.ledger(order)[early[0]].minutes(State.NOT_EXPECTED) == 375
    with env.store.reading() as connection:
        days = load_days_as_of(connection, key[0], MINUTES, early[0], early[0], at)
    known, _ = days[key]
    assert known.intervals == settled.intervals


def test_they_are_requested_again_after_a_day(env: HistoryEnv) -> None:
    env.withheld.clear()
    env.until(NOW + timedelta(hours=24, minutes=1))

    report = env.backfill(env.order(["TCS"], FIRST, LAST))

    assert report.inserted == 375 * len(CUT)


def test_the_waits_grow_to_a_month_and_for_the_neighbour_to_a_week(env: HistoryEnv) -> None:
    """The provider has nothing, so the requests become rare."""
    oldest, beside = [], []
    for day in range(1, 95):
        env.until(NOW + timedelta(days=day, minutes=day))
        plan = env.service.plan(env.order(["TCS"], FIRST, LAST))
        env.service.run(plan)
        oldest += [day for window in plan.windows if window.first == CUT[0]]
        beside += [day for window in plan.windows if window.last == CUT[-1]]

    assert oldest == [1, 3, 7, 15, 31, 61, 91]
    assert beside == [1, 3, 7, *range(14, 95, 7)]


def test_an_older_candle_makes_the_days_after_it_due(env: HistoryEnv) -> None:
    env.until(NOW + timedelta(days=40))
    env.backfill(env.order(["TCS"], FIRST, LAST))
    env.backfill(replace(env.order(["TCS"], FIRST, LAST), retry_failed=True))
    env.withheld = set(CUT[1:])
    due = env.ledger(env.order(["TCS"], FIRST, LAST))[CUT[3]].next_attempt
    assert due is not None
    assert due > env.clock.now() + timedelta(days=1)

    env.backfill(replace(env.order(["TCS"], FIRST, LAST), retry_failed=True))

    ledger = env.ledger(env.order(["TCS"], FIRST, LAST))
    assert ledger[CUT[0]].minutes(State.PRESENT) == 375
    assert {ledger[day].minutes(State.SOURCE_EMPTY) for day in CUT[1:]} == {375}
    assert ledger[CUT[3]].next_attempt == env.clock.now() + timedelta(hours=24)
