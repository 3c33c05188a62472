"""Contracts: the store's first sight of one is not its first day, unless a master lacked it."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from backfill_env import ist
from candle_shelf import stock
from history_env import DAYS, HistoryEnv, history_env, traded, trading_days

from data_fetch.cli.backfill import plan_sentence
from data_fetch.core.candles.coverage import State
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.runs import Outcome
from data_fetch.storage.merge import merge

SUNDAY = date(2026, 11, 29)
FUTURE = Instrument(
    instrument_key="NSE_FO|57000|29-12-2026",
    live_key="NSE_FO|57000",
    symbol="NIFTY FUT 29 DEC 26",
    segment="NSE_FO",
    instrument_type="FUT",
    underlying_key="NSE_INDEX|Nifty 50",
    underlying_symbol="NIFTY",
    expiry=date(2026, 12, 29),
    lot_size=65,
    tick_size=Decimal("0.1"),
)
TCS = stock("TCS")
WEEK = trading_days(date(2026, 11, 20), date(2026, 11, 27))
FIRST, LAST = WEEK[0], WEEK[-1]
LISTED = WEEK[1]


@pytest.fixture
def env(database_url: str) -> Iterator[HistoryEnv]:
    with history_env(database_url, ist(SUNDAY, "12:00")) as env:
        for day in WEEK[1:]:
            env.trades(FUTURE, day, traded("09:15", "15:40"))
            env.history[FUTURE.live_key, "days"].append(
                [f"{day}T00:00:00+05:30", 100.0, 101.0, 99.0, 100.5, 5_000, 10]
            )
        yield env


def test_days_before_the_first_sight_are_requested(env: HistoryEnv) -> None:
    env.lists(SUNDAY, TCS, FUTURE)
    order = env.order([FUTURE.symbol], FIRST, LAST)

    report = env.backfill(order)

    assert (report.outcome, report.requests) == (Outcome.COMPLETED, 1)
    assert report.inserted == 385 * (len(WEEK) - 1)
    states = {day: known.expected for day, known in env.ledger(order).items()}
    assert states == {day: 385 if day >= LISTED else 0 for day in WEEK}


def test_so_are_its_days_of_the_interval_day(env: HistoryEnv) -> None:
    env.lists(SUNDAY, TCS, FUTURE)
    order = env.order([FUTURE.symbol], FIRST, LAST, DAYS)

    report = env.backfill(order)

    assert (report.outcome, report.requests, report.inserted) == (
        Outcome.COMPLETED,
        1,
        len(WEEK) - 1,
    )


def test_before_anything_was_requested_the_days_are_missed(env: HistoryEnv) -> None:
    env.lists(SUNDAY, TCS, FUTURE)

    days = env.ledger(env.order([FUTURE.symbol], FIRST, LAST))

    assert {known.minutes(State.MISSED) for known in days.values()} == {385}


def test_a_contract_that_a_master_lacked_was_listed_later(env: HistoryEnv) -> None:
    """Nothing was collected from the second day of the week on."""
    env.lists(LISTED, TCS)
    env.lists(SUNDAY, TCS, FUTURE)

    days = env.ledger(env.order([FUTURE.symbol], FIRST, LAST))

    assert min(days) == WEEK[2]
    assert {known.minutes(State.MISSED) for known in days.values()} == {385}
    plan = plan_sentence(env.service.plan(env.order([FUTURE.symbol, "TCS"], FIRST, LAST)))
    known = "NIFTY FUT 29 DEC 26 is known since 2026-11-24"
    assert plan.splitlines()[1:] == [f"{known}: the instrument master of the day before lacks it."]


def test_a_store_that_was_lost_proves_nothing(env: HistoryEnv, tmp_path: Path) -> None:
    """The instruments came from another store, whose masters are not all known here."""
    env.lists(SUNDAY, TCS, FUTURE)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    with history_env(other, ist(SUNDAY, "12:00")) as older:
        older.lists(WEEK[3], TCS, FUTURE)
    merge(other, env.store.name)

    days = env.ledger(env.order([FUTURE.symbol], FIRST, LAST))

    assert list(days) == WEEK
