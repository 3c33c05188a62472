"""Raw OHLC rows become the last completed minute of each instrument, or are rejected."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_fetch.core.batches import RejectedRow
from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind
from data_fetch.core.clock import IST
from data_fetch.core.market.session import minute_number
from data_fetch.sources.transport.batches import ParsedBatch
from data_fetch.sources.upstox.ohlc_rows import read_ohlc_rows

RELIANCE, NIFTY = "NSE_EQ|INE002A01018", "NSE_INDEX|Nifty 50"
NOW = datetime(2026, 9, 16, 10, 0, 2, tzinfo=IST)


def ms(at: str, day: str = "2026-09-16") -> int:
    return int(datetime.fromisoformat(f"{day}T{at}+05:30").timestamp() * 1000)


def bar(at: str = "09:59", **changed: Any) -> dict[str, Any]:
    prices = {"open": 1304.45, "high": 1304.5, "low": 1303.2, "close": 1303.6}
    return {**prices, "volume": 22510, "ts": ms(at), **changed}


def row(key: str = RELIANCE, previous: Any = None) -> dict[str, Any]:
    live = bar("10:00", volume=5120)
    return {"last_price": 1303.9, "instrument_token": key, "prev_ohlc": previous, "live_ohlc": live}


def read_one(previous: Any) -> ParsedBatch[CandleBlock]:
    return read_ohlc_rows({"NSE_EQ:RELIANCE": row(RELIANCE, previous)}, [RELIANCE], NOW)


def test_documented_row() -> None:
    (block,) = read_one(bar("09:59")).records
    assert block == CandleBlock(
        instrument_key=RELIANCE,
        interval=CandleInterval.MINUTE,
        starts=[minute_number(NOW) - 1],
        open=[1304.45],
        high=[1304.5],
        low=[1303.2],
        close=[1303.6],
        volume=[22510],
        oi=[0],
        kinds=[Kind.TRADED],
    )


def test_a_quiet_name_repeats_an_older_bar_in_its_own_minute() -> None:
    (block,) = read_one(bar("09:41")).records
    assert list(block.starts) == [minute_number(NOW) - 19]


def test_rows_are_joined_on_the_instrument_token() -> None:
    data = {
        RELIANCE: row(NIFTY, bar(open=1304.0)),
        "NSE_INDEX:Nifty 50": row(RELIANCE, bar(open=1303.5)),
    }
    read = read_ohlc_rows(data, [RELIANCE, NIFTY], NOW)
    assert [(block.instrument_key, block.open) for block in read.records] == [
        (RELIANCE, [1303.5]),
        (NIFTY, [1304.0]),
    ]


@pytest.mark.parametrize(
    "previous",
    [
        pytest.param(None, id="no minute is over yet"),
        pytest.param(bar(ts=ms("15:29", "2026-09-15")), id="nothing traded yet today"),
        pytest.param(bar(ts=ms("23:59", "2026-09-15"), open=None), id="whatever it held"),
    ],
)
def test_a_name_without_a_bar_of_today_is_absent(previous: Any) -> None:
    read = read_one(previous)
    assert (read.absent, read.records, read.rejected) == ((RELIANCE,), (), ())


def test_the_day_begins_at_midnight_in_india() -> None:
    (block,) = read_one(bar("00:00")).records
    assert list(block.starts) == [minute_number(NOW) - 600]


def test_a_key_without_a_row_is_absent() -> None:
    assert read_ohlc_rows({}, [RELIANCE], NOW).absent == (RELIANCE,)


@pytest.mark.parametrize(
    ("previous", "reason"),
    [
        pytest.param(bar("10:00"), "not over yet", id="forming"),
        pytest.param(bar("10:01"), "not over yet", id="of the future"),
        pytest.param(bar(ts=ms("09:59:30")), "ts is not a whole minute", id="seconds"),
        pytest.param(bar(ts="2026-09-16T09:59:00+05:30"), "ts is ", id="stamp as text"),
        pytest.param(bar(ts=None), "ts is missing", id="no stamp"),
        pytest.param(bar(close=None), "a price that cannot be", id="null price"),
        pytest.param(bar(low=-1.0), "a price that cannot be", id="negative price"),
        pytest.param(bar(open=float("nan")), "a price that cannot be", id="NaN"),
        pytest.param(bar(close=1304.6), "prices outside of low and high", id="close above high"),
        pytest.param(bar(volume=1.5), "a volume that cannot be", id="half"),
        pytest.param([1], "prev_ohlc is [1], not a candle", id="no bar"),
    ],
)
def test_bars_that_cannot_be_are_rejected(previous: Any, reason: str) -> None:
    read = read_one(previous)
    (aside,) = read.rejected
    assert aside.instrument_key == RELIANCE
    assert aside.reason.startswith(reason)
    assert (read.records, read.absent) == ((), ())


def test_a_bar_is_over_when_its_minute_is() -> None:
    data = {"R": row(RELIANCE, bar("09:59"))}
    at = datetime(2026, 9, 16, 10, 0, tzinfo=IST)
    assert read_ohlc_rows(data, [RELIANCE], at).records
    assert not read_ohlc_rows(data, [RELIANCE], at.replace(hour=9, minute=59, second=59)).records


def test_two_rows_of_one_key_must_agree() -> None:
    same = {"A": row(previous=bar()), "B": row(previous=bar())}
    assert len(read_ohlc_rows(same, [RELIANCE], NOW).records) == 1
    other = {"A": row(previous=bar()), "B": row(previous=None)}
    assert read_ohlc_rows(other, [RELIANCE], NOW).rejected == (
        RejectedRow(RELIANCE, "2 rows that disagree"),
    )


def test_rows_of_other_keys_are_unrequested() -> None:
    read = read_ohlc_rows({"X": row(NIFTY, bar()), "Y": 7}, [RELIANCE], NOW)
    assert read.unrequested == (
        RejectedRow(NIFTY, "not requested"),
        RejectedRow("Y", "7, not a row"),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = [RELIANCE, NIFTY, "NSE_EQ|A"]
BARS = JSON | st.fixed_dictionaries(
    {"ts": st.just(ms("09:59")) | JSON, "open": JSON, "high": JSON, "low": JSON},
    optional={"close": JSON, "volume": JSON},
)
ROWS = JSON | st.fixed_dictionaries(
    {"instrument_token": st.sampled_from(KEYS) | JSON, "prev_ohlc": BARS}
)


@settings(max_examples=60)
@given(st.dictionaries(st.text(max_size=6), ROWS, max_size=6), st.lists(st.sampled_from(KEYS)))
def test_every_requested_key_is_reported_once(data: dict[str, Any], requested: list[str]) -> None:
    read = read_ohlc_rows(data, requested, NOW)
    found = [
        *(block.instrument_key for block in read.records),
        *read.absent,
        *(aside.instrument_key for aside in read.rejected),
    ]
    assert sorted(found) == sorted(set(requested))
