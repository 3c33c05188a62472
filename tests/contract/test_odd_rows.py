"""Rows as public bug reports show them: what is unusual about one costs no more than itself."""

import gzip
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import IST
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.upstox.candle_rows import ParsedCandles, read_candles
from data_fetch.sources.upstox.ltp_rows import read_quotes

DAY = date(2026, 7, 30)


def read(rows: list[Any]) -> ParsedCandles:
    return read_candles(
        Response({"candles": [row for row in rows if row[0].startswith(str(DAY))]}),
        instrument_key="NSE_EQ|unnamed",
        interval=CandleInterval.MINUTE,
        first_day=DAY,
        last_day=DAY,
        received_at=datetime(2026, 8, 1, tzinfo=IST),
    )


@pytest.mark.parametrize(
    ("key", "candles", "contradicted", "without_open_interest"),
    [
        pytest.param("NSE_EQ|INE002A01018", 375, 0, 0, id="out of order"),
        pytest.param("NSE_EQ|INE467B01029", 375, 0, 0, id="exact duplicates"),
        pytest.param("NSE_EQ|INE101A01026", 370, 10, 0, id="contradicting duplicates"),
        pytest.param("NSE_EQ|INE758T01015", 375, 0, 375, id="null open interest"),
        pytest.param("NSE_EQ|INE155A01022", 375, 0, 375, id="six values a row"),
    ],
)
def test_odd_candles(
    shared_data: Path, key: str, candles: int, contradicted: int, without_open_interest: int
) -> None:
    script = json.loads(
        gzip.decompress((shared_data / "cases/odd_candles_stub.json.gz").read_bytes())
    )

    found = read(script["candles"][key])

    assert len(found.block) == candles
    assert sum(found.rejected_rows.values()) == contradicted
    assert found.without_open_interest == without_open_interest


def test_odd_quotes(shared_data: Path) -> None:
    script = json.loads((shared_data / "cases/odd_quotes_stub.json").read_text())
    usual = {"last_price": 100.0, "ltq": 1, "volume": 1000, "cp": 99.0}
    rows = {
        key: {**usual, "instrument_token": key, **odd}
        for key, odd in script["ltp"].items()
        if not odd.get("_absent")
    }

    found = read_quotes(rows, list(rows))

    [no_price] = found.rejected
    assert no_price.reason == "last_price 0 cannot be"
    assert len(found.records) == len(rows) - 1
    assert [row.reason for row in found.dropped_fields] == ["volume is missing"]
