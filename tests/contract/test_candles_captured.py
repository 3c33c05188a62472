"""Candle rows that Upstox really sent."""

from datetime import date, datetime
from pathlib import Path

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.clock import IST
from data_fetch.core.market.session import minute_number
from data_fetch.core.spans import spans_of
from data_fetch.sources.upstox.candle_rows import read_candles
from data_fetch.sources.upstox.responses import read_response

BODY = "upstox/responses/v2_historical_candle_1minute_2024-06-10.json"
DAY = date(2024, 6, 10)
EVENING = datetime(2024, 6, 10, 20, 0, tzinfo=IST)


def test_a_captured_afternoon_is_read_whole(shared_data: Path) -> None:
    raw = RawResponse(EVENING, 200, (shared_data / BODY).read_bytes())
    read = read_candles(
        read_response(raw, dict),
        instrument_key="NSE_EQ|unnamed",
        interval=CandleInterval.MINUTE,
        first_day=DAY,
        last_day=DAY,
        received_at=EVENING,
    )

    assert (read.complete, read.rejected_rows) == (True, {})
    first, end = (minute_number(EVENING.replace(hour=h, minute=m)) for h, m in ((12, 16), (15, 30)))
    assert spans_of(read.block.starts) == ((first, end),)
    assert (read.block.open[-1], read.block.close[-1]) == (101.82, 101.85)
    assert (read.block.high[-1], read.block.low[-1]) == (101.9, 101.75)
    assert (read.block.volume[-1], read.block.oi[-1]) == (337458, 0)
