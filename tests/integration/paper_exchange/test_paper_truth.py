"""The paper exchange tells what really happened, so that tests can compare."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest
from paper_exchange_desk import SYMBOLS, StandingClock, Visitor

from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.upstox.candles import Quiet

DAY = "2026-09-15"


@pytest.fixture(params=Quiet)
def visitor(request: pytest.FixtureRequest) -> Iterator[Visitor]:
    clock = StandingClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS, illiquid=1.0, quiet=request.param) as exchange:
        yield Visitor(exchange, clock)


def contract_on(visitor: Visitor, symbol: str) -> str:
    path = f"/v2/option/contract?instrument_key={quote_plus(visitor.key(symbol))}"
    return str(visitor.data(path)[0]["instrument_key"])


def served(visitor: Visitor, key: str) -> dict[str, list[Any]]:
    return {row[0][11:16]: row for row in reversed(visitor.history(key, DAY, DAY))}


@pytest.mark.parametrize("derivative", [False, True], ids=["stock", "option"])
def test_which_minutes_traded_and_which_were_quiet(visitor: Visitor, derivative: bool) -> None:
    key = contract_on(visitor, "IDEA") if derivative else visitor.key("IDEA")
    truth = visitor.truth(key, DAY)
    candles = served(visitor, key)

    quiet = {minute["start"] for minute in truth if not minute["traded"]}
    zero = {at for at, row in candles.items() if row[5] == 0}
    left_out = {minute["start"] for minute in truth} - candles.keys()
    assert zero | left_out == quiet, "as a quiet minute is either served with volume 0 or not"
    assert quiet
    for minute in truth:
        row = candles.get(minute["start"])
        assert (row[5] if row else 0) == minute["volume"]


@pytest.mark.parametrize(
    ("symbol", "continuous", "rows"),
    [
        pytest.param("RELIANCE", 360, 375, id="stock with a closing auction"),
        pytest.param("PAPERMILL", 375, 375, id="stock without"),
    ],
)
def test_where_continuous_trading_ends(
    visitor: Visitor, symbol: str, continuous: int, rows: int
) -> None:
    truth = visitor.truth(visitor.key(symbol), DAY)
    tail = truth[continuous:]

    assert [minute["continuous"] for minute in truth] == [True] * continuous + [False] * len(tail)
    assert len(truth) == rows
    assert len([minute for minute in tail if minute["traded"]]) == (1 if tail else 0)


def test_faults_do_not_change_it_and_it_knows_the_whole_day(visitor: Visitor) -> None:
    key = visitor.key("TCS")
    today = visitor.truth(key, "2026-09-16")
    visitor.order(kind="lost-minutes")

    assert visitor.truth(key, "2026-09-16") == today
    assert (today[0]["start"], today[-1]["start"]) == ("09:15", "15:29")


def test_a_closed_day_has_no_minutes(visitor: Visitor) -> None:
    assert visitor.truth(visitor.key("TCS"), "2026-09-19") == []


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        pytest.param("instrument_key=NSE_EQ|X&date=2026-09-15", 404, b"not listed", id="key"),
        pytest.param("date=2026-09-15", 404, b"not listed", id="no key"),
        pytest.param("instrument_key=NSE_INDEX|Nifty+50", 400, b"name a date", id="no date"),
        pytest.param("instrument_key=NSE_INDEX|Nifty+50&date=x", 400, b"name a date", id="date"),
    ],
)
def test_questions_without_an_answer(
    visitor: Visitor, query: str, status: int, says: bytes
) -> None:
    answer = visitor.ask(f"/paper/truth?{query}")
    assert (answer.status, says in answer.data) == (status, True)
