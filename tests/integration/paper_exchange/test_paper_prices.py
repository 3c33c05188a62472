"""Invented prices have the properties of real ones, on any day and in any minute."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise

import pytest
from exchange_client import SYMBOLS, ExchangeClient, ManualClock
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_fetch.core.clock import IST, MINUTE
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.upstox.candles import Quiet

few = settings(max_examples=20)
minutes_of_day = st.integers(0, 374)
stocks = st.sampled_from(["RELIANCE", "TCS", "IDEA", "M&M", "PAPERMILL", "NIFTY"])
# Days before the closing auction existed, with 375 minutes for every stock and index.
ordinary_days = st.sampled_from([date(2024, 6, 12), date(2025, 10, 7), date(2026, 7, 30)])


@pytest.fixture(scope="module")
def client() -> Iterator[ExchangeClient]:
    clock = ManualClock("2026-09-16 10:00")
    with PaperExchange(clock, symbols=SYMBOLS, illiquid=0.5) as exchange:
        yield ExchangeClient(exchange, clock)


def minute(day: date, count: int) -> datetime:
    return datetime.combine(day, time(9, 15), IST) + count * MINUTE


def responses(seed: int) -> list[bytes]:
    clock = ManualClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS, seed=seed) as exchange:
        client = ExchangeClient(exchange, clock)
        reliance = client.key("RELIANCE")
        return [
            client.request(path).data
            for path in (
                client.ltp_path(*(client.key(symbol) for symbol in SYMBOLS)),
                client.history_path(reliance, "2026-09-11", "2026-09-10", "minutes", 1),
                "/v2/option/chain?instrument_key=NSE_INDEX|Nifty+50&expiry_date=2026-09-22",
                "/market-quote/instruments/exchange/NSE.json.gz",
            )
        ]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    first, again, other = responses(seed=5), responses(seed=5), responses(seed=6)

    assert first == again
    assert all(one != another for one, another in zip(first, other, strict=True))


def test_responses_do_not_depend_on_earlier_requests(client: ExchangeClient) -> None:
    tcs = client.key("TCS")
    untouched = PaperExchange(client.clock, symbols=SYMBOLS, illiquid=0.5)
    client.history(tcs, "2026-09-15", "2026-08-20")

    with untouched:
        requested_first = ExchangeClient(untouched, client.clock).history(
            tcs, "2026-08-24", "2026-08-24"
        )

    assert client.history(tcs, "2026-08-24", "2026-08-24") == requested_first


@few
@given(day=ordinary_days, symbol=stocks, count=minutes_of_day, seconds=st.integers(5, 64))
@example(day=date(2026, 7, 30), symbol="RELIANCE", count=20, seconds=60)
def test_a_candle_equals_the_quote_from_its_first_trade_to_the_next_minutes(
    client: ExchangeClient, day: date, symbol: str, count: int, seconds: int
) -> None:
    key, at = client.key(symbol), minute(day, count)
    client.clock.set(at + timedelta(seconds=seconds))
    quote = client.ltp(key)[key]

    candles = client.intraday(key)

    newest, *_ = candles
    assert datetime.fromisoformat(newest[0]) == at
    assert newest[4] == quote["last_price"]
    assert sum(row[5] for row in candles) == quote["volume"]


@few
@given(day=ordinary_days, symbol=stocks, seconds=st.lists(st.integers(0, 22_500), min_size=2))
def test_within_a_day_volume_never_falls(
    client: ExchangeClient, day: date, symbol: str, seconds: list[int]
) -> None:
    key, volumes = client.key(symbol), []
    for second in sorted(seconds):
        client.clock.set(minute(day, 0) + timedelta(seconds=second))
        volumes.append(client.ltp(key)[key]["volume"])

    assert volumes == sorted(volumes)


@few
@given(day=ordinary_days, symbol=stocks)
def test_candles_are_whole_and_on_tick(client: ExchangeClient, day: date, symbol: str) -> None:
    key = client.key(symbol)
    client.clock.set(minute(date(2026, 9, 16), 0))
    market = client.exchange.market
    tick = market.prices.tick(market.listings[key], day)

    candles = client.history(key, day.isoformat(), day.isoformat())

    assert len(candles) == 375
    for _, opened, high, low, close, volume, oi in candles:
        assert low <= min(opened, close) <= max(opened, close) <= high
        assert volume >= 0
        assert oi == 0
    traded = [price for row in candles if row[5] for price in row[1:5]]
    assert all(round(price / tick, 6) == round(price / tick) for price in traded)


@few
@given(day=ordinary_days, symbol=stocks.filter(lambda symbol: symbol != "NIFTY"))
def test_a_minute_without_a_trade_moves_nothing(
    client: ExchangeClient, day: date, symbol: str
) -> None:
    client.clock.set(minute(date(2026, 9, 16), 0))
    candles = client.history(client.key(symbol), day.isoformat(), day.isoformat())[::-1]

    for before, row in pairwise(candles):
        if row[5] == 0:
            assert row[1:5] == [before[4]] * 4


@few
@given(day=ordinary_days, symbol=stocks)
def test_the_previous_close_is_the_last_candle_of_the_day_before(
    client: ExchangeClient, day: date, symbol: str
) -> None:
    key = client.key(symbol)
    before = client.exchange.market.days.before(day)
    client.clock.set(minute(day, 30))

    [yesterday] = client.history(key, before.isoformat(), before.isoformat(), "days")

    assert client.ltp(key)[key]["cp"] == yesterday[4]


def test_a_days_candle_sums_up_its_minutes(client: ExchangeClient) -> None:
    client.clock.set_to("2026-09-16 10:00")
    key = client.key("TCS")
    minutes = client.history(key, "2026-09-15", "2026-09-15")[::-1]

    [day] = client.history(key, "2026-09-15", "2026-09-15", "days")

    assert day == [
        "2026-09-15T00:00:00+05:30",
        minutes[0][1],
        max(row[2] for row in minutes),
        min(row[3] for row in minutes),
        minutes[-1][4],
        sum(row[5] for row in minutes),
        0,
    ]


def test_trading_is_busy_at_both_ends_of_the_day(client: ExchangeClient) -> None:
    client.clock.set_to("2026-09-16 10:00")
    volumes = [row[5] for row in client.history(client.key("TCS"), "2026-07-30", "2026-07-01")]
    by_minute = [sum(volumes[minute::375]) for minute in range(375)]

    assert sum(by_minute[:60]) > 2 * sum(by_minute[160:220])
    assert sum(by_minute[-60:]) > 2 * sum(by_minute[160:220])


@pytest.mark.parametrize(
    ("quiet", "shown"),
    [
        pytest.param(Quiet.ZERO_VOLUME, True, id="as rows with volume 0"),
        pytest.param(Quiet.LEFT_OUT, False, id="left out"),
    ],
)
def test_quiet_minutes_follow_the_option(quiet: Quiet, shown: bool) -> None:
    clock = ManualClock("2026-07-31 12:00")
    with PaperExchange(clock, symbols=SYMBOLS, illiquid=1.0, quiet=quiet) as exchange:
        client = ExchangeClient(exchange, clock)
        candles = client.history(client.key("IDEA"), "2026-07-30", "2026-07-30")

    traded = sum(1 for row in candles if row[5])
    assert len(candles) == (375 if shown else traded)
    assert 200 < traded < 330


def test_any_date_is_served(client: ExchangeClient) -> None:
    client.clock.set_to("2026-09-16 10:00")
    key = client.key("RELIANCE")

    assert len(client.history(key, "2008-03-12", "2008-03-12")) == 375
    client.clock.set_to("2031-05-07 10:00")
    assert len(client.intraday(key)) == 45


def test_the_calendar_decides_when_there_is_trading(client: ExchangeClient) -> None:
    client.clock.set_to("2026-09-16 10:00")
    key = client.key("RELIANCE")

    assert client.history(key, "2026-09-14", "2026-09-12") == []
    [newest, *_, oldest] = client.history(key, "2025-10-21", "2025-10-21")
    assert (oldest[0][11:16], newest[0][11:16]) == ("13:45", "14:44")


@pytest.mark.parametrize(
    ("at", "day", "volume_is_zero"),
    [
        pytest.param("2026-09-16 06:00", "2026-09-15", True, id="morning: the new day has begun"),
        pytest.param("2026-09-16 09:15:04", "2026-09-15", True, id="before the first trade"),
        pytest.param("2026-09-16 21:00", "2026-09-16", False, id="evening"),
        pytest.param("2026-09-12 12:00", "2026-09-11", False, id="Saturday: Friday's quote stays"),
        pytest.param("2026-09-14 12:00", "2026-09-11", False, id="holiday"),
    ],
)
def test_out_of_hours_the_last_price_is_served(
    client: ExchangeClient, at: str, day: str, volume_is_zero: bool
) -> None:
    key = client.key("RELIANCE")
    client.clock.set_to("2026-09-20 12:00")
    [candle] = client.history(key, day, day, "days")
    client.clock.set_to(at)

    quote = client.ltp(key)[key]

    assert quote["last_price"] == candle[4]
    assert (quote["volume"] == 0) == volume_is_zero


@pytest.mark.parametrize("at", ["09:15:05", "10:00:00", "15:15:30", "15:27:44", "15:40:00"])
def test_contracts_have_the_same_properties(client: ExchangeClient, at: str) -> None:
    client.clock.set_to(f"2026-09-16 {at}")
    chain = client.data("/v2/option/chain?instrument_key=NSE_INDEX|Nifty+50&expiry_date=2026-09-22")
    key = chain[len(chain) // 2]["call_options"]["instrument_key"]

    quote, candles = client.ltp(key)[key], client.intraday(key)

    assert quote["last_price"] == candles[0][4]
    assert quote["volume"] == sum(row[5] for row in candles)
    assert {round(row[4] * 20, 6) % 1 for row in candles} == {0}
