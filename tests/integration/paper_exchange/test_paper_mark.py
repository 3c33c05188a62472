"""Every response of the paper exchange is marked, so that it is never taken for a real one."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from exchange_client import SYMBOLS, ExchangeClient, ManualClock

from data_fetch.core.world import PAPER_MARK
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.faults.faults import KINDS

NIFTY = "NSE_INDEX|Nifty 50"
# It leaves no response to mark.
SILENT = {"reset"}


@pytest.fixture
def client() -> Iterator[ExchangeClient]:
    clock = ManualClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield ExchangeClient(exchange, clock)


PATHS = {
    "quotes": f"/v3/market-quote/ltp?instrument_key={quote(NIFTY)}",
    "candles": f"/v3/historical-candle/intraday/{quote(NIFTY, safe='')}/minutes/1",
    "master": "/market-quote/instruments/exchange/NSE.json.gz",
    "holidays": "/v2/market/holidays",
    "upstox error": "/v3/market-quote/ltp",
    "nse page": "/option-chain",
    "nse without cookies": "/api/option-chain-v3?symbol=NIFTY",
    "clock": "/paper/clock",
    "state": "/paper/state",
    "faults": "/paper/faults",
    "control error": "/paper/truth",
    "unknown": "/nothing/here",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_each_side_marks_its_responses(client: ExchangeClient, path: str) -> None:
    assert PAPER_MARK in client.request(path).headers


def test_refusals_are_marked(client: ExchangeClient) -> None:
    client.token = None
    assert PAPER_MARK in client.request(PATHS["quotes"]).headers
    assert PAPER_MARK in client.request("/paper/clock", "POST", body=b"no JSON").headers
    assert PAPER_MARK in client.request("/v2/market/holidays", "PUT").headers


@pytest.mark.parametrize(
    "kind", sorted(kind for kind, apis in KINDS.items() if "ltp" in apis and kind not in SILENT)
)
def test_every_fault_is_marked(client: ExchangeClient, kind: str) -> None:
    client.inject(kind=kind, api="ltp")

    # The body of a fault may never come to its end.
    response = client.request(PATHS["quotes"], preload_content=False)

    assert PAPER_MARK in response.headers
    response.close()
