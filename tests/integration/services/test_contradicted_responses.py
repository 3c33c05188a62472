"""An empty response against what is stored settles nothing: it is a fault, and requested again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from backfill_env import ist
from candle_shelf import stock
from history_env import DAYS, HistoryEnv, auction_day, history_env

from data_fetch.core.candles.coverage import State
from data_fetch.core.clock import IST
from data_fetch.core.failures import FailureGroup
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.runs import Outcome
from data_fetch.storage.database.tables import LtpData, table
from data_fetch.storage.database.upsert import upsert

TCS = stock("TCS")
NIFTY = Instrument(
    instrument_key="NSE_INDEX|Nifty 50",
    live_key="NSE_INDEX|Nifty 50",
    symbol="NIFTY",
    segment="NSE_INDEX",
    instrument_type="INDEX",
)
DAY = date(2026, 9, 15)
EVENING = ist(DAY, "16:00")


@pytest.fixture
def env(database_url: str) -> Iterator[HistoryEnv]:
    with history_env(database_url, EVENING) as env:
        env.lists(DAY, TCS, NIFTY)
        yield env


def quoted(env: HistoryEnv, of: Instrument, *seen: tuple[str, float, int]) -> None:
    """Stored quotes of DAY: slot, price and cumulative volume."""
    rows = [_quote(of, datetime.combine(DAY, time.fromisoformat(at), IST), *q) for at, *q in seen]
    with env.store.writing() as connection:
        upsert(connection, table(LtpData), tuple(rows[0]), [tuple(row.values()) for row in rows])


def _quote(of: Instrument, slot: datetime, price: Any, volume: Any) -> dict[str, Any]:
    return {
        "symbol": of.symbol,
        "timestamp": slot,
        "instrument_key": of.instrument_key,
        "ltp": price,
        "volume": volume,
        "change": None,
        "change_percent": None,
        "prev_close": None,
        "ltq": None,
        "off_session": False,
        "received_at": slot + timedelta(seconds=62),
        "source": "upstox",
        "run_id": "quotes",
    }


def test_an_empty_running_day_with_trades_in_the_quotes(env: HistoryEnv) -> None:
    quoted(env, TCS, ("09:20", 100.0, 500), ("11:00", 101.0, 90_000))
    order = env.order(["TCS"], DAY, DAY)

    report = env.backfill(order)

    assert (report.outcome, report.missed) == (Outcome.INCOMPLETE, 360)
    assert report.failures == {FailureGroup.CONTRADICTED: 1}
    assert "stored quotes show trades" in report.reasons["TCS"]
    [known] = env.ledger(order).values()
    assert known.next_attempt == EVENING + timedelta(minutes=5)

    env.trades(TCS, DAY, auction_day())
    env.until(EVENING + timedelta(minutes=6))
    assert env.backfill(order).outcome is Outcome.COMPLETED


def test_without_evidence_an_empty_day_is_settled(env: HistoryEnv) -> None:
    quoted(env, TCS, ("09:20", 100.0, 500), ("11:00", 100.0, 500))

    report = env.backfill(env.order(["TCS"], DAY, DAY))

    assert (report.outcome, report.failures) == (Outcome.COMPLETED, {FailureGroup.EMPTY: 1})


def test_a_day_candle_takes_back_what_an_empty_response_settled(env: HistoryEnv) -> None:
    """A month without minutes of a stock that traded, as the candles of its days show."""
    month = [date(2026, 8, day) for day in (3, 4, 5)]
    env.trades(TCS, date(2026, 7, 31), auction_day())
    order = env.order(["TCS"], date(2026, 7, 31), month[-1])
    env.backfill(order)
    assert env.ledger(order)[month[0]].minutes(State.SOURCE_EMPTY) == 360
    for day in month:
        env.history[TCS.live_key, "days"].append(
            [f"{day}T00:00:00+05:30", 100.0, 101.0, 99.0, 100.5, 5_000, 0]
        )

    env.backfill(replace(order, interval=DAYS))

    assert {env.ledger(order)[day].minutes(State.MISSED) for day in month} == {360}
    report = env.backfill(order)
    assert (report.failures, report.missed) == ({FailureGroup.CONTRADICTED: 1}, 3 * 360)


def test_an_index_whose_quotes_moved_has_candles(env: HistoryEnv) -> None:
    quoted(env, NIFTY, ("09:20", 25_000.0, 0), ("11:00", 25_100.0, 0))

    report = env.backfill(env.order(["NIFTY"], DAY, DAY))

    assert (report.failures, report.missed) == ({FailureGroup.CONTRADICTED: 1}, 360)


def stands(*minutes: str) -> Sequence[tuple[str, float, int]]:
    return [(at, 100.0, 500) for at in minutes]


@pytest.mark.parametrize(
    ("index_moves", "proved"),
    [
        pytest.param(True, 2, id="the index moves on"),
        pytest.param(False, 0, id="the whole feed stands still"),
    ],
)
def test_quotes_of_a_standing_feed_prove_no_missing_trade(
    env: HistoryEnv, index_moves: bool, proved: int
) -> None:
    slots = ("09:20", "09:21", "09:22", "09:23")
    quoted(env, TCS, *stands(*slots))
    prices = [25_000.0 + n * index_moves for n in range(len(slots))]
    quoted(env, NIFTY, *((at, price, 0) for at, price in zip(slots, prices, strict=True)))

    env.service.prove_no_trades(env.selection("TCS", "NIFTY").instruments)

    known = env.ledger(env.order(["TCS"], DAY, DAY))[DAY]
    assert known.minutes(State.NO_TRADE) == proved
