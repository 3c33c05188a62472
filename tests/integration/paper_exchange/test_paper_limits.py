"""50 a second, 500 a minute, 2000 in half an hour: for each API, on the exchange's clock."""

from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest
from paper_exchange_desk import SYMBOLS, StandingClock, Visitor

from data_fetch.paper_exchange.exchange import PaperExchange

NIFTY = "NSE_INDEX|Nifty 50"
SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
LTP = "/v3/market-quote/ltp?instrument_key=NSE_INDEX%7CNifty+50"
HOLIDAYS = "/v2/market/holidays/2026-10-05"
TODAY = "/v3/historical-candle/intraday/NSE_INDEX%7CNifty%2050/minutes/1"
HISTORY = "/v3/historical-candle/NSE_INDEX%7CNifty%2050/days/1/2026-09-15/2026-09-15"


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    clock = StandingClock("2026-09-16 10:00")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield Visitor(exchange, clock)


def passed(visitor: Visitor, path: str, requests: int) -> int:
    """How many of so many requests were let through."""
    return sum(visitor.ask(path).status == 200 for _ in range(requests))


def wait(visitor: Visitor, duration: timedelta) -> None:
    visitor.clock.set(visitor.clock.now() + duration)


def test_fifty_in_any_second(visitor: Visitor) -> None:
    assert passed(visitor, LTP, 30) == 30
    wait(visitor, 600 * MILLISECOND)
    assert passed(visitor, LTP, 30) == 20
    wait(visitor, 399 * MILLISECOND)
    assert passed(visitor, LTP, 1) == 0
    wait(visitor, MILLISECOND)
    assert passed(visitor, LTP, 40) == 30


def test_five_hundred_in_any_minute(visitor: Visitor) -> None:
    for _ in range(10):
        assert passed(visitor, LTP, 50) == 50
        wait(visitor, SECOND)
    assert passed(visitor, LTP, 1) == 0
    wait(visitor, 50 * SECOND - MILLISECOND)
    assert passed(visitor, LTP, 1) == 0
    wait(visitor, MILLISECOND)
    assert passed(visitor, LTP, 51) == 50


def test_two_thousand_in_any_half_hour(visitor: Visitor) -> None:
    for _ in range(40):
        assert passed(visitor, HOLIDAYS, 50) == 50
        wait(visitor, 10 * SECOND)
    assert passed(visitor, HOLIDAYS, 1) == 0
    wait(visitor, 1400 * SECOND - MILLISECOND)
    assert passed(visitor, HOLIDAYS, 1) == 0
    wait(visitor, MILLISECOND)
    assert passed(visitor, HOLIDAYS, 50) == 50


def test_each_api_has_windows_of_its_own(visitor: Visitor) -> None:
    assert passed(visitor, LTP, 51) == 50
    assert passed(visitor, HOLIDAYS, 51) == 50


def test_all_candle_paths_are_one_api(visitor: Visitor) -> None:
    assert passed(visitor, TODAY, 25) + passed(visitor, HISTORY, 30) == 50


def test_the_refusal(visitor: Visitor) -> None:
    passed(visitor, LTP, 50)
    answer = visitor.ask(LTP)

    assert answer.status == 429
    assert orjson.loads(answer.data)["errors"][0]["error_code"] == "UDAPI10005"
    assert "Retry-After" not in answer.headers


def test_the_state_tells_what_came_and_what_was_refused(visitor: Visitor) -> None:
    passed(visitor, LTP, 53)
    passed(visitor, TODAY, 2)

    told = orjson.loads(visitor.ask("/paper/state").data)

    assert told == {"requests": {"ltp": 53, "candles": 2}, "refused": {"ltp": 3}}


def test_a_clock_set_back_owes_nothing_to_the_future(visitor: Visitor) -> None:
    passed(visitor, LTP, 50)
    wait(visitor, -timedelta(hours=1))
    assert passed(visitor, LTP, 50) == 50


def test_the_master_is_not_limited(visitor: Visitor) -> None:
    path = "/market-quote/instruments/exchange/NSE.json.gz"
    assert passed(visitor, path, 60) == 60
