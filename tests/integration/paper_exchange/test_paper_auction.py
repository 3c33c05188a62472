"""The closing auction of August 2026, as Upstox serves it (15:28 and 15:29 are both seen)."""

from collections.abc import Iterator

import pytest
from paper_exchange_desk import SYMBOLS, StandingClock, Visitor

from data_fetch.paper_exchange.exchange import PaperExchange


@pytest.fixture(scope="module")
def visitor() -> Iterator[Visitor]:
    clock = StandingClock("2026-09-16 18:00")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield Visitor(exchange, clock)


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
def test_rows_of_a_day(visitor: Visitor, symbol: str, day: str, last: str, count: int) -> None:
    candles = visitor.history(visitor.key(symbol), day, day)

    assert len(candles) == count
    assert (times(candles)[0], times(candles)[-1]) == ("09:15", last)


@pytest.mark.parametrize("symbol", ["RELIANCE", "TCS", "IDEA", "M&M"])
@pytest.mark.parametrize("day", ["2026-08-03", "2026-08-04", "2026-08-05", "2026-09-15"])
def test_a_stocks_rows_after_1515(visitor: Visitor, symbol: str, day: str) -> None:
    candles = visitor.history(visitor.key(symbol), day, day)[::-1]
    before, tail = candles[359], candles[360:]
    [printed] = [row for row in tail if row[5]]

    assert printed[0][11:16] in {"15:28", "15:29"}
    for row in tail:
        price = before[4] if row[0] < printed[0] else printed[4]
        assert row[1:5] == [price] * 4
    share = printed[5] / sum(row[5] for row in candles)
    assert 0.05 < share < 0.2


def test_the_auction_ends_at_random(visitor: Visitor) -> None:
    ends = {
        row[0][11:16]
        for symbol in ("RELIANCE", "TCS", "M&M")
        for row in visitor.history(visitor.key(symbol), "2026-09-11", "2026-08-13")
        if row[5] and row[0][11:16] > "15:14"
    }
    assert ends == {"15:28", "15:29"}


def test_the_auction_price_is_the_close(visitor: Visitor) -> None:
    key = visitor.key("RELIANCE")
    visitor.clock.put("2026-09-17 10:00")
    [newest, *_] = visitor.history(key, "2026-09-16", "2026-09-16")

    assert visitor.ltp(key)[key]["cp"] == newest[4]


@pytest.mark.parametrize("symbol", ["RELIANCE", "NIFTY"])
def test_quotes_freeze_in_the_auction_and_then_show_its_price(
    visitor: Visitor, symbol: str
) -> None:
    key = visitor.key(symbol)

    def quote(at: str) -> tuple[float, int]:
        visitor.clock.put(f"2026-09-16 {at}")
        row = visitor.ltp(key)[key]
        return row["last_price"], row["volume"]

    frozen = {quote(at) for at in ("15:15:00", "15:15:40", "15:20:00", "15:28:00")}
    after = {quote(at) for at in ("15:30:00", "15:36:00", "18:00:00")}
    [closing] = after
    assert len(frozen) == 1
    assert closing not in frozen
    visitor.clock.put("2026-09-17 08:00")
    assert visitor.history(key, "2026-09-16", "2026-09-16")[0][4] == closing[0]


def test_india_vix_ticks_on(visitor: Visitor) -> None:
    visitor.clock.put("2026-09-17 08:00")
    candles = visitor.history("NSE_INDEX|India VIX", "2026-09-16", "2026-09-16")

    assert len({row[4] for row in candles if row[0][11:16] >= "15:15"}) > 3


@pytest.mark.parametrize(
    ("day", "last", "count"),
    [
        pytest.param("2026-07-31", "15:29", 375, id="before"),
        pytest.param("2026-08-03", "15:39", 385, id="since"),
    ],
)
def test_contracts_trade_to_1540(visitor: Visitor, day: str, last: str, count: int) -> None:
    visitor.clock.put("2026-08-04 10:00")
    rows = visitor.data("/v2/option/contract?instrument_key=NSE_INDEX|Nifty+50")
    near = min(row["expiry"] for row in rows if row["expiry"] > "2026-08-20")
    in_the_middle = [row for row in rows if row["expiry"] == near]
    contract = in_the_middle[len(in_the_middle) // 2]

    candles = visitor.history(contract["instrument_key"], day, day)

    assert (len(candles), times(candles)[-1]) == (count, last)
    assert all(row[6] > 0 for row in candles)
