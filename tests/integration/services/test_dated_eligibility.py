"""Stocks join the closing auction and leave it: each day is judged by what held on that day."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from threading import Event

import pytest
from backfill_env import ist
from candle_shelf import stock
from history_env import HistoryEnv, auction_day, history_env, traded, trading_days

from data_fetch.core.candles.coverage import State
from data_fetch.core.runs import Outcome
from data_fetch.core.timetable import WEEKLY
from data_fetch.services.backfill_jobs import BackfillJobs, fetched_by

MEMBER = stock("TCS")
NO_MEMBER = replace(MEMBER, cas_eligible=False)
# Nine trading days.
FIRST, LAST = date(2026, 9, 1), date(2026, 9, 11)
SATURDAY = date(2026, 9, 12)
CONTINUOUS, AUCTION = {"traded": 375}, {"traded": 360, "carried": 14, "auction": 1}


@pytest.fixture
def env(database_url: str) -> Iterator[HistoryEnv]:
    with history_env(database_url, ist(SATURDAY, "10:00")) as env:
        yield env


def test_a_stock_that_left_keeps_its_days(env: HistoryEnv) -> None:
    for day in trading_days(FIRST, LAST):
        env.trades(MEMBER, day, auction_day())
    env.lists(SATURDAY, MEMBER)
    env.backfill(env.order(["TCS"], FIRST, LAST))
    a_week_later = SATURDAY + timedelta(days=7)
    env.until(ist(a_week_later, "10:00"))

    env.lists(a_week_later, NO_MEMBER)
    order = env.order(["TCS"], FIRST, LAST)

    assert env.service.plan(order).windows == []
    assert {day.minutes(State.PRESENT) for day in env.ledger(order).values()} == {360}
    assert env.backfill(replace(order, retry_failed=True)).requests == 0
    assert env.kinds(LAST) == AUCTION
    assert env.revisions() == 0


def test_days_between_two_masters_are_judged_by_their_rows(env: HistoryEnv) -> None:
    """The stock left on Wednesday, and no master of that week was stored before Saturday."""
    week = trading_days(SATURDAY, SATURDAY + timedelta(days=6))
    env.lists(SATURDAY, MEMBER)
    for day in week:
        env.trades(MEMBER, day, auction_day() if day < week[2] else traded())
    a_week_later = SATURDAY + timedelta(days=7)
    env.until(ist(a_week_later, "10:00"))
    env.lists(a_week_later, NO_MEMBER)

    report = env.backfill(env.order(["TCS"], week[0], week[-1]))

    assert report.outcome is Outcome.COMPLETED
    assert [env.kinds(day) for day in week] == [AUCTION, AUCTION, *[CONTINUOUS] * (len(week) - 2)]
    assert env.service.plan(env.order(["TCS"], week[0], week[-1])).windows == []


def test_a_stock_that_joined_traded_on_before(env: HistoryEnv) -> None:
    days = trading_days(FIRST, LAST)
    for day in days[:-2]:
        env.trades(MEMBER, day, traded())
    for day in days[-2:]:
        env.trades(MEMBER, day, auction_day(printed="15:29"))
    env.lists(SATURDAY, MEMBER)
    order = env.order(["TCS"], FIRST, LAST)

    report = env.backfill(order)

    assert (report.outcome, report.requests, report.missed) == (Outcome.COMPLETED, 1, 0)
    expected = [375] * (len(days) - 2) + [360] * 2
    assert [known.minutes(State.PRESENT) for known in env.ledger(order).values()] == expected
    assert [known.expected for known in env.ledger(order).values()] == expected
    assert [env.kinds(day) for day in days] == [CONTINUOUS] * (len(days) - 2) + [AUCTION] * 2
    assert env.service.plan(env.order(["TCS"], FIRST, LAST)).windows == []


def test_a_stock_that_left_before_it_was_first_seen(env: HistoryEnv) -> None:
    for day in trading_days(FIRST, LAST):
        env.trades(MEMBER, day, auction_day())
    env.lists(SATURDAY, NO_MEMBER)
    order = env.order(["TCS"], FIRST, LAST)

    report = env.backfill(order)

    assert (report.outcome, report.missed) == (Outcome.COMPLETED, 0)
    assert {known.expected for known in env.ledger(order).values()} == {360}
    assert env.kinds(LAST) == AUCTION


def test_several_auction_rows_are_not_believed_of_a_day_with_a_master(env: HistoryEnv) -> None:
    env.lists(FIRST, MEMBER)
    env.trades(MEMBER, FIRST, traded())
    order = env.order(["TCS"], FIRST, FIRST)

    env.backfill(order)

    assert env.kinds(FIRST) == CONTINUOUS
    assert env.ledger(order)[FIRST].minutes(State.PRESENT) == 375


def test_the_master_is_believed_of_a_quiet_day(env: HistoryEnv) -> None:
    """A thin stock whose last minutes look like an auction."""
    env.lists(FIRST, NO_MEMBER)
    env.trades(MEMBER, FIRST, auction_day())
    order = env.order(["TCS"], FIRST, FIRST)

    env.backfill(order)

    assert env.kinds(FIRST) == CONTINUOUS


def test_the_weekly_job_leaves_the_days_of_a_stock_that_left(env: HistoryEnv) -> None:
    for day in trading_days(FIRST, LAST):
        env.trades(MEMBER, day, auction_day())
    env.lists(SATURDAY, MEMBER)
    env.backfill(env.order(["TCS"], FIRST, LAST))
    env.lists(SATURDAY + timedelta(days=1), NO_MEMBER)
    env.until(ist(SATURDAY + timedelta(days=1), "10:00"))
    chosen = env.selection("TCS")
    jobs = BackfillJobs(
        service=env.service,
        complete=fetched_by(env.service),
        instruments=chosen.instruments,
        listed=chosen.listed,
        clock=env.clock,
        stop=Event(),
        report=lambda _: None,
    )
    before = env.ledger(env.order(["TCS"], FIRST, LAST))

    jobs.run(WEEKLY)

    assert env.ledger(env.order(["TCS"], FIRST, LAST)) == before
    assert (env.kinds(LAST), env.revisions()) == (AUCTION, 0)
