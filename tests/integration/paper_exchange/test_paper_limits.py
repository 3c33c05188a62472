"""50 a second, 500 a minute, 2000 in half an hour: for each API, on the exchange's clock."""

from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest
from exchange_client import SYMBOLS, ExchangeClient, ManualClock

from data_fetch.paper_exchange.exchange import PaperExchange

NIFTY = "NSE_INDEX|Nifty 50"
SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
LTP = "/v3/market-quote/ltp?instrument_key=NSE_INDEX%7CNifty+50"
HOLIDAYS = "/v2/market/holidays/2026-10-05"
TODAY = "/v3/historical-candle/intraday/NSE_INDEX%7CNifty%2050/minutes/1"
HISTORY = "/v3/historical-candle/NSE_INDEX%7CNifty%2050/days/1/2026-09-15/2026-09-15"


@pytest.fixture
def client() -> Iterator[ExchangeClient]:
    clock = ManualClock("2026-09-16 10:00")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield ExchangeClient(exchange, clock)


def accepted(client: ExchangeClient, path: str, requests: int) -> int:
    """The number of accepted requests out of *requests*."""
    return sum(client.request(path).status == 200 for _ in range(requests))


def wait(client: ExchangeClient, duration: timedelta) -> None:
    client.clock.set(client.clock.now() + duration)


def test_fifty_in_any_second(client: ExchangeClient) -> None:
    assert accepted(client, LTP, 30) == 30
    wait(client, 600 * MILLISECOND)
    assert accepted(client, LTP, 30) == 20
    wait(client, 399 * MILLISECOND)
    assert accepted(client, LTP, 1) == 0
    wait(client, MILLISECOND)
    assert accepted(client, LTP, 40) == 30


def test_five_hundred_in_any_minute(client: ExchangeClient) -> None:
    for _ in range(10):
        assert accepted(client, LTP, 50) == 50
        wait(client, SECOND)
    assert accepted(client, LTP, 1) == 0
    wait(client, 50 * SECOND - MILLISECOND)
    assert accepted(client, LTP, 1) == 0
    wait(client, MILLISECOND)
    assert accepted(client, LTP, 51) == 50


def test_two_thousand_in_any_half_hour(client: ExchangeClient) -> None:
    for _ in range(40):
        assert accepted(client, HOLIDAYS, 50) == 50
        wait(client, 10 * SECOND)
    assert accepted(client, HOLIDAYS, 1) == 0
    wait(client, 1400 * SECOND - MILLISECOND)
    assert accepted(client, HOLIDAYS, 1) == 0
    wait(client, MILLISECOND)
    assert accepted(client, HOLIDAYS, 50) == 50


def test_each_api_has_windows_of_its_own(client: ExchangeClient) -> None:
    assert accepted(client, LTP, 51) == 50
    assert accepted(client, HOLIDAYS, 51) == 50


def test_all_candle_paths_are_one_api(client: ExchangeClient) -> None:
    assert accepted(client, TODAY, 25) + accepted(client, HISTORY, 30) == 50


def test_the_error_response(client: ExchangeClient) -> None:
    accepted(client, LTP, 50)
    response = client.request(LTP)

    assert response.status == 429
    assert orjson.loads(response.data)["errors"][0]["error_code"] == "UDAPI10005"
    assert "Retry-After" not in response.headers


def test_the_state_counts_requests_and_refusals(client: ExchangeClient) -> None:
    accepted(client, LTP, 53)
    accepted(client, TODAY, 2)

    state = orjson.loads(client.request("/paper/state").data)

    assert state == {"requests": {"ltp": 53, "candles": 2}, "refused": {"ltp": 3}}


def test_a_clock_set_back_clears_later_requests(client: ExchangeClient) -> None:
    accepted(client, LTP, 50)
    wait(client, -timedelta(hours=1))
    assert accepted(client, LTP, 50) == 50


def test_the_master_is_not_limited(client: ExchangeClient) -> None:
    path = "/market-quote/instruments/exchange/NSE.json.gz"
    assert accepted(client, path, 60) == 60
