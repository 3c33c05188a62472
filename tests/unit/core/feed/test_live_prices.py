"""Which minutes and legs of a tick are live prices."""

from datetime import UTC, date, datetime, timedelta

import pytest

from data_fetch.core.feed.live_prices import candles_in, legs_in
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Detail, MinuteBar, Tick, ms_of_instant
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import INDEX, MarketCalendar

DAY = date(2026, 9, 16)
# 09:15 IST, the first minute of the session, and 15:14, the last one before the closing auction.
FIRST = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
LAST = datetime(2026, 9, 16, 9, 44, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RECEIVED = FIRST + timedelta(seconds=90)
SESSION = MarketCalendar.reviewed().session(DAY, INDEX)


def bar(start: datetime, close: float = 101.0) -> MinuteBar:
    return MinuteBar(ms_of_instant(start), 100.0, 102.0, 99.0, close, 70)


def tick(*bars: MinuteBar, key: str = "NSE_INDEX|Nifty 50") -> Tick:
    detail = Detail(None, None, None, None, None, bars)
    return Tick(key, Mode.FULL, 101.0, 0, None, None, RECEIVED, None, detail)


def starts(*bars: MinuteBar) -> list[tuple[datetime, bool]]:
    return [(each.start, each.is_whole) for each in candles_in(tick(*bars), "KEY", SESSION)]


@pytest.mark.parametrize(
    ("bars", "candles"),
    [
        pytest.param([], [], id="no bar"),
        pytest.param([bar(FIRST)], [(FIRST, False)], id="the running minute"),
        pytest.param(
            [bar(FIRST), bar(FIRST + MINUTE)],
            [(FIRST, True), (FIRST + MINUTE, False)],
            id="a whole minute and the running one",
        ),
        pytest.param(
            [bar(FIRST + MINUTE), bar(FIRST)],
            [(FIRST, True), (FIRST + MINUTE, False)],
            id="in another order",
        ),
        pytest.param([bar(FIRST - MINUTE), bar(FIRST)], [(FIRST, False)], id="before the opening"),
        pytest.param([bar(LAST), bar(LAST + MINUTE)], [(LAST, True)], id="after the close"),
        pytest.param([bar(FIRST - timedelta(days=1))], [], id="of another day"),
        pytest.param([bar(FIRST + timedelta(seconds=1))], [], id="no whole minute"),
    ],
)
def test_minutes_of_the_session_are_candles_and_all_but_the_newest_are_whole(
    bars: list[MinuteBar], candles: list[tuple[datetime, bool]]
) -> None:
    assert starts(*bars) == candles


def test_a_candle_has_the_prices_of_its_bar() -> None:
    [candle] = candles_in(tick(bar(FIRST, close=101.5)), "KEY", SESSION)

    assert (candle.open, candle.high, candle.low, candle.close) == (100.0, 102.0, 99.0, 101.5)
    assert (candle.volume, candle.received_at, candle.instrument_key) == (70, RECEIVED, "KEY")


def test_legs_are_the_ticks_of_contracts() -> None:
    contract = Instrument(
        instrument_key="NSE_FO|1|22-09-2026",
        live_key="NSE_FO|1",
        symbol="NIFTY 24000 CE",
        segment="NSE_FO",
        instrument_type="CE",
    )
    ticks = {"NSE_FO|1": tick(key="NSE_FO|1"), "NSE_INDEX|Nifty 50": tick()}

    [leg] = legs_in(ticks, {contract.live_key: contract})

    assert (leg.contract, leg.tick.key) == (contract, "NSE_FO|1")
