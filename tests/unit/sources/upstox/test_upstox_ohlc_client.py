"""Running bars of any number of instruments, whatever single keys do."""

from collections.abc import Iterator
from typing import Any

import pytest
from upstox_stub import (
    START,
    Script,
    Scripted,
    Seen,
    Stub,
    api_for,
    equity_keys,
    error,
    good,
    row,
)

from data_fetch.core.clock import MINUTE, VirtualClock
from data_fetch.core.errors import BadResponse, TokenRejected
from data_fetch.core.market.session import minute_number
from data_fetch.sources.upstox.ohlc_client import UpstoxOhlcClient

LAST = minute_number(START) - 1


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as stub:
        stub.script = bars_of
        yield stub


@pytest.fixture
def client(stub: Stub) -> Iterator[UpstoxOhlcClient]:
    clock = VirtualClock(START)
    hold = clock.hold()
    yield UpstoxOhlcClient(api_for(stub.url, clock), clock)
    hold.release()


def bar(key: str, minute: int = LAST) -> dict[str, Any]:
    prices = {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, "volume": 7}
    return row(key, prev_ohlc={**prices, "ts": minute * 60_000}, live_ohlc=None)


def bars_of(seen: Seen) -> Scripted:
    return good({f"NSE_EQ:SYMBOL{n}": bar(key) for n, key in enumerate(seen.keys)})


def knowing_all_but(*bad: str) -> Script:
    def script(seen: Seen) -> Scripted:
        return error(400, "UDAPI1087") if set(bad) & set(seen.keys) else bars_of(seen)

    return script


def test_500_keys_a_request_of_one_minute_bars(stub: Stub, client: UpstoxOhlcClient) -> None:
    keys = equity_keys(501)

    response = client.minute_candles(keys)

    assert [block.instrument_key for block in response.records] == keys
    assert {tuple(block.starts) for block in response.records} == {(LAST,)}
    assert [len(seen.keys) for seen in stub.seen] == [500, 1]
    assert {seen.path for seen in stub.seen} == {"/v3/market-quote/ohlc"}
    assert {seen.query["interval"][0] for seen in stub.seen} == {"I1"}


def test_an_unknown_key_is_found_and_requested_apart(stub: Stub, client: UpstoxOhlcClient) -> None:
    keys = equity_keys(20)
    stub.script = knowing_all_but(keys[7])

    first, second = client.minute_candles(keys), client.minute_candles(keys)

    assert first.unknown == second.unknown == (keys[7],)
    assert len(first.records) == len(second.records) == 19
    assert (first.error, second.requests) == (None, 2)


def test_rows_that_bring_no_bar_are_named(stub: Stub, client: UpstoxOhlcClient) -> None:
    good_one, forming, yesterdays, missing = equity_keys(4)
    stub.script = lambda _: good(
        {
            "A": bar(good_one),
            "B": bar(forming, LAST + 1),
            "C": bar(yesterdays, LAST - 24 * 60),
            "D": bar("NSE_EQ|OTHER"),
        }
    )

    response = client.minute_candles([good_one, forming, yesterdays, missing])

    assert [block.instrument_key for block in response.records] == [good_one]
    assert [row.instrument_key for row in response.rejected] == [forming]
    assert response.absent == (yesterdays, missing)
    assert [row.instrument_key for row in response.unrequested] == ["NSE_EQ|OTHER"]
    assert response.received_at - START < MINUTE


@pytest.mark.parametrize(
    ("response", "raised"),
    [
        pytest.param(error(401, "UDAPI100050"), TokenRejected, id="the token"),
        pytest.param(error(500, "UDAPI100500"), BadResponse, id="nothing was answered"),
    ],
)
def test_errors_that_come_out(
    stub: Stub, client: UpstoxOhlcClient, response: Scripted, raised: type[Exception]
) -> None:
    stub.script = lambda _: response

    with pytest.raises(raised):
        client.minute_candles(equity_keys(3))
