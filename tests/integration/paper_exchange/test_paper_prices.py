"""Invented prices obey the laws of real ones, whatever day and minute is asked for."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paper_exchange_desk import SYMBOLS, StandingClock, Visitor

from data_fetch.core.clock import IST, MINUTE
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.upstox.candles import Quiet

few = settings(max_examples=20)
minutes_of_day = st.integers(0, 374)
stocks = st.sampled_from(["RELIANCE", "TCS", "IDEA", "M&M", "PAPERMILL", "NIFTY"])
# Before the closing auction came, when every instrument of the cash market trades 375 minutes.
ordinary_days = st.sampled_from([date(2024, 6, 12), date(2025, 10, 7), date(2026, 7, 30)])


@pytest.fixture(scope="module")
def visitor() -> Iterator[Visitor]:
    clock = StandingClock("2026-09-16 10:00")
    with PaperExchange(clock, symbols=SYMBOLS, illiquid=0.5) as exchange:
        yield Visitor(exchange, clock)


def minute(day: date, count: int) -> datetime:
    return datetime.combine(day, time(9, 15), IST) + count * MINUTE


def answers(seed: int) -> list[bytes]:
    clock = StandingClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS, seed=seed) as exchange:
        visitor = Visitor(exchange, clock)
        reliance = visitor.key("RELIANCE")
        return [
            visitor.ask(path).data
            for path in (
                visitor.ltp_path(*(visitor.key(symbol) for symbol in SYMBOLS)),
                visitor.history_path(reliance, "2026-09-11", "2026-09-10", "minutes", 1),
                "/v2/option/chain?instrument_key=NSE_INDEX|Nifty+50&expiry_date=2026-09-22",
                "/market-quote/instruments/exchange/NSE.json.gz",
            )
        ]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    first, again, other = answers(seed=5), answers(seed=5), answers(seed=6)

    assert first == again
    assert all(one != another for one, another in zip(first, other, strict=True))


def test_answers_do_not_depend_on_what_was_asked_before(visitor: Visitor) -> None:
    tcs = visitor.key("TCS")
    untouched = PaperExchange(visitor.clock, symbols=SYMBOLS, illiquid=0.5)
    visitor.history(tcs, "2026-09-15", "2026-08-20")

    with untouched:
        asked_first = Visitor(untouched, visitor.clock).history(tcs, "2026-08-24", "2026-08-24")

    assert visitor.history(tcs, "2026-08-24", "2026-08-24") == asked_first


@few
@given(day=ordinary_days, symbol=stocks, count=minutes_of_day, seconds=st.integers(5, 64))
@example(day=date(2026, 7, 30), symbol="RELIANCE", count=20, seconds=60)
def test_from_its_first_trade_until_the_next_minutes_a_candle_is_the_quote(
    visitor: Visitor, day: date, symbol: str, count: int, seconds: int
) -> None:
    key, at = visitor.key(symbol), minute(day, count)
    visitor.clock.set(at + timedelta(seconds=seconds))
    quote = visitor.ltp(key)[key]

    candles = visitor.intraday(key)

    newest, *_ = candles
    assert datetime.fromisoformat(newest[0]) == at
    assert newest[4] == quote["last_price"]
    assert sum(row[5] for row in candles) == quote["volume"]


@few
@given(day=ordinary_days, symbol=stocks, seconds=st.lists(st.integers(0, 22_500), min_size=2))
def test_within_a_day_volume_never_falls(
    visitor: Visitor, day: date, symbol: str, seconds: list[int]
) -> None:
    key, volumes = visitor.key(symbol), []
    for second in sorted(seconds):
        visitor.clock.set(minute(day, 0) + timedelta(seconds=second))
        volumes.append(visitor.ltp(key)[key]["volume"])

    assert volumes == sorted(volumes)


@few
@given(day=ordinary_days, symbol=stocks)
def test_candles_are_whole_and_on_tick(visitor: Visitor, day: date, symbol: str) -> None:
    key = visitor.key(symbol)
    visitor.clock.set(minute(date(2026, 9, 16), 0))
    market = visitor.exchange.market
    tick = market.prices.tick(market.listings[key], day)

    candles = visitor.history(key, day.isoformat(), day.isoformat())

    assert len(candles) == 375
    for _, opened, high, low, close, volume, oi in candles:
        assert low <= min(opened, close) <= max(opened, close) <= high
        assert volume >= 0
        assert oi == 0
    traded = [price for row in candles if row[5] for price in row[1:5]]
    assert all(round(price / tick, 6) == round(price / tick) for price in traded)


@few
@given(day=ordinary_days, symbol=stocks.filter(lambda symbol: symbol != "NIFTY"))
def test_a_minute_without_a_trade_moves_nothing(visitor: Visitor, day: date, symbol: str) -> None:
    visitor.clock.set(minute(date(2026, 9, 16), 0))
    candles = visitor.history(visitor.key(symbol), day.isoformat(), day.isoformat())[::-1]

    for before, row in pairwise(candles):
        if row[5] == 0:
            assert row[1:5] == [before[4]] * 4


@few
@given(day=ordinary_days, symbol=stocks)
def test_the_previous_close_is_the_last_candle_of_the_day_before(
    visitor: Visitor, day: date, symbol: str
) -> None:
    key = visitor.key(symbol)
    before = visitor.exchange.market.days.before(day)
    visitor.clock.set(minute(day, 30))

    [yesterday] = visitor.history(key, before.isoformat(), before.isoformat(), "days")

    assert visitor.ltp(key)[key]["cp"] == yesterday[4]


def test_a_days_candle_sums_up_its_minutes(visitor: Visitor) -> None:
    visitor.clock.put("2026-09-16 10:00")
    key = visitor.key("TCS")
    minutes = visitor.history(key, "2026-09-15", "2026-09-15")[::-1]

    [day] = visitor.history(key, "2026-09-15", "2026-09-15", "days")

    assert day == [
        "2026-09-15T00:00:00+05:30",
        minutes[0][1],
        max(row[2] for row in minutes),
        min(row[3] for row in minutes),
        minutes[-1][4],
        sum(row[5] for row in minutes),
        0,
    ]


def test_trading_is_busy_at_both_ends_of_the_day(visitor: Visitor) -> None:
    visitor.clock.put("2026-09-16 10:00")
    volumes = [row[5] for row in visitor.history(visitor.key("TCS"), "2026-07-30", "2026-07-01")]
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
def test_quiet_minutes_are_served_as_chosen(quiet: Quiet, shown: bool) -> None:
    clock = StandingClock("2026-07-31 12:00")
    with PaperExchange(clock, symbols=SYMBOLS, illiquid=1.0, quiet=quiet) as exchange:
        visitor = Visitor(exchange, clock)
        candles = visitor.history(visitor.key("IDEA"), "2026-07-30", "2026-07-30")

    traded = sum(1 for row in candles if row[5])
    assert len(candles) == (375 if shown else traded)
    assert 200 < traded < 330


def test_any_date_is_answered(visitor: Visitor) -> None:
    visitor.clock.put("2026-09-16 10:00")
    key = visitor.key("RELIANCE")

    assert len(visitor.history(key, "2008-03-12", "2008-03-12")) == 375
    visitor.clock.put("2031-05-07 10:00")
    assert len(visitor.intraday(key)) == 45


def test_the_calendar_decides_when_there_is_trading(visitor: Visitor) -> None:
    visitor.clock.put("2026-09-16 10:00")
    key = visitor.key("RELIANCE")

    assert visitor.history(key, "2026-09-14", "2026-09-12") == []
    [newest, *_, oldest] = visitor.history(key, "2025-10-21", "2025-10-21")
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
def test_out_of_hours_the_last_price_stays(
    visitor: Visitor, at: str, day: str, volume_is_zero: bool
) -> None:
    key = visitor.key("RELIANCE")
    visitor.clock.put("2026-09-20 12:00")
    [candle] = visitor.history(key, day, day, "days")
    visitor.clock.put(at)

    quote = visitor.ltp(key)[key]

    assert quote["last_price"] == candle[4]
    assert (quote["volume"] == 0) == volume_is_zero


@pytest.mark.parametrize("at", ["09:15:05", "10:00:00", "15:15:30", "15:27:44", "15:40:00"])
def test_contracts_obey_them_too(visitor: Visitor, at: str) -> None:
    visitor.clock.put(f"2026-09-16 {at}")
    chain = visitor.data(
        "/v2/option/chain?instrument_key=NSE_INDEX|Nifty+50&expiry_date=2026-09-22"
    )
    key = chain[len(chain) // 2]["call_options"]["instrument_key"]

    quote, candles = visitor.ltp(key)[key], visitor.intraday(key)

    assert quote["last_price"] == candles[0][4]
    assert quote["volume"] == sum(row[5] for row in candles)
    assert {round(row[4] * 20, 6) % 1 for row in candles} == {0}
