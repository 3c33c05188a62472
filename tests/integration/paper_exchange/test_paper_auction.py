"""The closing auction since August 2026 in Upstox's format, with a print at 15:28 or 15:29."""

from collections.abc import Iterator

import pytest
from exchange_client import SYMBOLS, ExchangeClient, ManualClock

from data_fetch.paper_exchange.exchange import PaperExchange


@pytest.fixture(scope="module")
def client() -> Iterator[ExchangeClient]:
    clock = ManualClock("2026-09-16 18:00")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield ExchangeClient(exchange, clock)


def times(candles: list[list[object]]) -> list[str]:
    """Oldest first."""
    return [str(row[0])[11:16] for row in reversed(candles)]


@pytest.mark.parametrize(
    ("symbol", "day", "last", "count"),
    [
        pytest.param("RELIANCE", "2026-07-31", "15:29", 375, id="stock, the last old day"),
        pytest.param("RELIANCE", "2026-08-03", "15:29", 375, id="stock, the first new day"),
        pytest.param("PAPERMILL", "2026-08-03", "15:29", 375, id="a stock without derivatives"),
        pytest.param("NIFTY", "2026-08-03", "15:29", 375, id="index"),
        pytest.param("INDIA VIX", "2026-08-03", "15:29", 375, id="India VIX"),
    ],
)
def test_rows_of_a_day(
    client: ExchangeClient, symbol: str, day: str, last: str, count: int
) -> None:
    candles = client.history(client.key(symbol), day, day)

    assert len(candles) == count
    assert (times(candles)[0], times(candles)[-1]) == ("09:15", last)


@pytest.mark.parametrize("symbol", ["RELIANCE", "TCS", "IDEA", "M&M"])
@pytest.mark.parametrize("day", ["2026-08-03", "2026-08-04", "2026-08-05", "2026-09-15"])
def test_a_stocks_rows_after_1515(client: ExchangeClient, symbol: str, day: str) -> None:
    candles = client.history(client.key(symbol), day, day)[::-1]
    before, tail = candles[359], candles[360:]
    [printed] = [row for row in tail if row[5]]

    assert printed[0][11:16] in {"15:28", "15:29"}
    for row in tail:
        price = before[4] if row[0] < printed[0] else printed[4]
        assert row[1:5] == [price] * 4
    share = printed[5] / sum(row[5] for row in candles)
    assert 0.05 < share < 0.2


def test_the_auction_ends_at_random(client: ExchangeClient) -> None:
    ends = {
        row[0][11:16]
        for symbol in ("RELIANCE", "TCS", "M&M")
        for row in client.history(client.key(symbol), "2026-09-11", "2026-08-13")
        if row[5] and row[0][11:16] > "15:14"
    }
    assert ends == {"15:28", "15:29"}


def test_the_auction_price_is_the_close(client: ExchangeClient) -> None:
    key = client.key("RELIANCE")
    client.clock.set_to("2026-09-17 10:00")
    [newest, *_] = client.history(key, "2026-09-16", "2026-09-16")

    assert client.ltp(key)[key]["cp"] == newest[4]


@pytest.mark.parametrize("symbol", ["RELIANCE", "NIFTY"])
def test_quotes_freeze_in_the_auction_and_then_show_its_price(
    client: ExchangeClient, symbol: str
) -> None:
    key = client.key(symbol)

    def quote(at: str) -> tuple[float, int]:
        client.clock.set_to(f"2026-09-16 {at}")
        row = client.ltp(key)[key]
        return row["last_price"], row["volume"]

    frozen = {quote(at) for at in ("15:15:00", "15:15:40", "15:20:00", "15:28:00")}
    after = {quote(at) for at in ("15:30:00", "15:36:00", "18:00:00")}
    [closing] = after
    assert len(frozen) == 1
    assert closing not in frozen
    client.clock.set_to("2026-09-17 08:00")
    assert client.history(key, "2026-09-16", "2026-09-16")[0][4] == closing[0]


def test_india_vix_continues(client: ExchangeClient) -> None:
    client.clock.set_to("2026-09-17 08:00")
    candles = client.history("NSE_INDEX|India VIX", "2026-09-16", "2026-09-16")

    assert len({row[4] for row in candles if row[0][11:16] >= "15:15"}) > 3


@pytest.mark.parametrize(
    ("day", "last", "count"),
    [
        pytest.param("2026-07-31", "15:29", 375, id="before"),
        pytest.param("2026-08-03", "15:39", 385, id="since"),
    ],
)
def test_contracts_trade_to_1540(client: ExchangeClient, day: str, last: str, count: int) -> None:
    client.clock.set_to("2026-08-04 10:00")
    rows = client.data("/v2/option/contract?instrument_key=NSE_INDEX|Nifty+50")
    near = min(row["expiry"] for row in rows if row["expiry"] > "2026-08-20")
    in_the_middle = [row for row in rows if row["expiry"] == near]
    contract = in_the_middle[len(in_the_middle) // 2]

    candles = client.history(contract["instrument_key"], day, day)

    assert (len(candles), times(candles)[-1]) == (count, last)
    assert all(row[6] > 0 for row in candles)
