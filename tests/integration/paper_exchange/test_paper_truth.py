"""The truth endpoint serves the minutes of a day without faults, for tests to compare with."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest
from exchange_client import SYMBOLS, ExchangeClient, ManualClock

from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.upstox.candles import Quiet

DAY = "2026-09-15"


@pytest.fixture(params=Quiet)
def client(request: pytest.FixtureRequest) -> Iterator[ExchangeClient]:
    clock = ManualClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS, illiquid=1.0, quiet=request.param) as exchange:
        yield ExchangeClient(exchange, clock)


def contract_on(client: ExchangeClient, symbol: str) -> str:
    path = f"/v2/option/contract?instrument_key={quote_plus(client.key(symbol))}"
    return str(client.data(path)[0]["instrument_key"])


def served(client: ExchangeClient, key: str) -> dict[str, list[Any]]:
    return {row[0][11:16]: row for row in reversed(client.history(key, DAY, DAY))}


@pytest.mark.parametrize("derivative", [False, True], ids=["stock", "option"])
def test_which_minutes_traded_and_which_were_quiet(
    client: ExchangeClient, derivative: bool
) -> None:
    key = contract_on(client, "IDEA") if derivative else client.key("IDEA")
    truth = client.truth(key, DAY)
    candles = served(client, key)

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
    client: ExchangeClient, symbol: str, continuous: int, rows: int
) -> None:
    truth = client.truth(client.key(symbol), DAY)
    tail = truth[continuous:]

    assert [minute["continuous"] for minute in truth] == [True] * continuous + [False] * len(tail)
    assert len(truth) == rows
    assert len([minute for minute in tail if minute["traded"]]) == (1 if tail else 0)


def test_it_covers_the_whole_day_and_ignores_faults(client: ExchangeClient) -> None:
    key = client.key("TCS")
    today = client.truth(key, "2026-09-16")
    client.inject(kind="lost-minutes")

    assert client.truth(key, "2026-09-16") == today
    assert (today[0]["start"], today[-1]["start"]) == ("09:15", "15:29")


def test_a_closed_day_has_no_minutes(client: ExchangeClient) -> None:
    assert client.truth(client.key("TCS"), "2026-09-19") == []


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        pytest.param("instrument_key=NSE_EQ|X&date=2026-09-15", 404, b"not listed", id="key"),
        pytest.param("date=2026-09-15", 404, b"not listed", id="no key"),
        pytest.param("instrument_key=NSE_INDEX|Nifty+50", 400, b"name a date", id="no date"),
        pytest.param("instrument_key=NSE_INDEX|Nifty+50&date=x", 400, b"name a date", id="date"),
    ],
)
def test_invalid_requests(client: ExchangeClient, query: str, status: int, message: bytes) -> None:
    response = client.request(f"/paper/truth?{query}")
    assert (response.status, message in response.data) == (status, True)
