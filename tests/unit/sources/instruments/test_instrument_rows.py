"""How a row of the provider's instrument master is read."""

import gzip
import json
import subprocess
import sys
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import ijson
import pytest

from data_fetch.core.batches import RejectedRow
from data_fetch.core.errors import BadRecord, MasterUnavailable
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.sources.instruments.rows import parse_instrument, read_instruments, read_rows

RELIANCE: dict[str, Any] = {
    "segment": "NSE_EQ",
    "name": "RELIANCE INDUSTRIES LTD",
    "exchange": "NSE",
    "isin": "INE002A01018",
    "instrument_type": "EQ",
    "instrument_key": "NSE_EQ|INE002A01018",
    "lot_size": 1,
    "freeze_quantity": 100000.0,
    "exchange_token": "2885",
    "tick_size": Decimal("10.0"),
    "trading_symbol": "RELIANCE",
    "cas_eligible": True,
}
FUTURE: dict[str, Any] = {
    "segment": "NSE_FO",
    "name": "NIFTY",
    "expiry": 1793125799000,
    "instrument_type": "FUT",
    "underlying_symbol": "NIFTY",
    "instrument_key": "NSE_FO|48704",
    "lot_size": 65,
    "exchange_token": "48704",
    "underlying_key": "NSE_INDEX|Nifty 50",
    "tick_size": Decimal("10.0"),
    "trading_symbol": "NIFTY FUT 27 OCT 26",
    "strike_price": Decimal("0.0"),
}
CALL = FUTURE | {
    "instrument_type": "CE",
    "instrument_key": "NSE_FO|50918",
    "strike_price": Decimal("1743.75"),
    "tick_size": Decimal("5.0"),
    "trading_symbol": "NIFTY 1743.75 CE 27 OCT 26",
}
NIFTY: dict[str, Any] = {
    "segment": "NSE_INDEX",
    "name": "Nifty 50",
    "instrument_type": "INDEX",
    "instrument_key": "NSE_INDEX|Nifty 50",
    "exchange_token": "26000",
    "trading_symbol": "NIFTY",
}


def without(row: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != field}


def test_a_stock() -> None:
    assert parse_instrument(RELIANCE) == Instrument(
        instrument_key="NSE_EQ|INE002A01018",
        live_key="NSE_EQ|INE002A01018",
        symbol="RELIANCE",
        segment="NSE_EQ",
        instrument_type="EQ",
        name="RELIANCE INDUSTRIES LTD",
        isin="INE002A01018",
        lot_size=1,
        tick_size=Decimal("0.1"),
        cas_eligible=True,
    )


def test_an_index_has_neither_lot_nor_tick() -> None:
    index = parse_instrument(NIFTY)

    assert (index.symbol, index.name) == ("NIFTY", "Nifty 50")
    assert (index.lot_size, index.tick_size, index.isin) == (None, None, None)


def test_a_contract_is_known_by_its_dated_key_and_quoted_by_its_live_one() -> None:
    contract = parse_instrument(CALL)

    assert contract.instrument_key == "NSE_FO|50918|27-10-2026"
    assert contract.live_key == "NSE_FO|50918"
    assert contract.expiry == date(2026, 10, 27)
    assert contract.strike == Decimal("1743.75")
    assert contract.underlying_key == "NSE_INDEX|Nifty 50"
    assert contract.tick_size == Decimal("0.05")


@pytest.mark.parametrize(
    ("milliseconds", "day"),
    [
        pytest.param(1798568999000, date(2026, 12, 29), id="the last second of the day in India"),
        pytest.param(1798568999999, date(2026, 12, 29), id="its last millisecond"),
        pytest.param(1798569000000, date(2026, 12, 30), id="midnight in India"),
        pytest.param("1798568999000", date(2026, 12, 29), id="as a text"),
    ],
)
def test_an_expiry_is_an_indian_date(milliseconds: object, day: date) -> None:
    assert parse_instrument(FUTURE | {"expiry": milliseconds}).expiry == day


def test_a_future_has_no_strike() -> None:
    assert parse_instrument(FUTURE).strike is None


@pytest.mark.parametrize("given", [{}, {"cas_eligible": False}, {"cas_eligible": None}])
def test_only_the_marked_take_part_in_the_closing_auction(given: dict[str, Any]) -> None:
    assert not parse_instrument(without(RELIANCE, "cas_eligible") | given).cas_eligible


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        pytest.param(without(RELIANCE, "instrument_key"), "instrument_key", id="no key"),
        pytest.param(
            RELIANCE | {"instrument_key": "BSE_EQ|INE002A01018"}, "does not fit", id="other segment"
        ),
        pytest.param(RELIANCE | {"instrument_key": "NSE_EQ|"}, "does not fit", id="half a key"),
        pytest.param(FUTURE | {"instrument_key": "NSE_FO|1|2"}, "does not fit", id="a third part"),
        pytest.param(RELIANCE | {"isin": "INE467B01029"}, "isin", id="another's ISIN"),
        pytest.param(without(RELIANCE, "trading_symbol"), "trading_symbol", id="no symbol"),
        pytest.param(RELIANCE | {"trading_symbol": " "}, "trading_symbol", id="blank symbol"),
        pytest.param(RELIANCE | {"trading_symbol": 17}, "trading_symbol", id="a number as symbol"),
        pytest.param(RELIANCE | {"name": ["A"]}, "name", id="a list as name"),
        pytest.param(RELIANCE | {"name": "A\0B"}, "name .* control", id="NUL in a name"),
        pytest.param(FUTURE | {"trading_symbol": "\ud800"}, "control", id="half a character"),
        pytest.param(FUTURE | {"trading_symbol": "F" * 3000}, "too long", id="an endless symbol"),
        pytest.param(RELIANCE | {"lot_size": 0}, "lot_size", id="lot of nothing"),
        pytest.param(RELIANCE | {"lot_size": Decimal("1.5")}, "lot_size", id="half a lot"),
        pytest.param(RELIANCE | {"lot_size": True}, "lot_size", id="a truth as lot"),
        pytest.param(RELIANCE | {"tick_size": -5}, "tick_size", id="negative tick"),
        pytest.param(RELIANCE | {"tick_size": "NaN"}, "tick_size", id="NaN"),
        pytest.param(RELIANCE | {"tick_size": "Infinity"}, "tick_size", id="infinity"),
        pytest.param(RELIANCE | {"tick_size": "five"}, "tick_size", id="a word"),
        pytest.param(RELIANCE | {"lot_size": Decimal("1e999999")}, "lot_size", id="immense"),
        pytest.param(without(FUTURE, "expiry"), "expiry", id="no expiry"),
        pytest.param(FUTURE | {"expiry": 1793125799}, "not in milliseconds", id="in seconds"),
        pytest.param(FUTURE | {"expiry": 10**17}, "no instant", id="beyond the calendar"),
        pytest.param(FUTURE | {"expiry": "2026-10-27"}, "expiry", id="expiry as a date"),
        pytest.param(without(FUTURE, "underlying_key"), "underlying_key", id="no underlying"),
        pytest.param(FUTURE | {"instrument_type": "XX"}, "FUT, CE or PE", id="unknown type"),
        pytest.param(CALL | {"strike_price": 0}, "strike_price", id="option without strike"),
        pytest.param(CALL | {"strike_price": None}, "strike_price", id="null strike"),
    ],
)
def test_a_row_that_cannot_be_true_is_refused_with_its_field(
    row: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadRecord, match=reason):
        parse_instrument(row)


def master(path: Path, rows: object) -> Path:
    path.write_bytes(gzip.compress(json.dumps(rows, default=float).encode()))
    return path


def test_malformed_rows_come_with_a_reason_and_the_others_are_read(tmp_path: Path) -> None:
    odd = ["a text", None, {"name": "x"}, {"segment": []}]
    rows = [RELIANCE, without(FUTURE, "expiry"), *odd, NIFTY]

    found = list(read_rows(master(tmp_path / "m.json.gz", rows)))

    assert [row.symbol for row in found if isinstance(row, Instrument)] == ["RELIANCE", "NIFTY"]
    reasons = [row.reason for row in found if isinstance(row, RejectedRow)]
    assert reasons == [
        "expiry is None, not a number",
        "not an instrument: 'a text'",
        "not an instrument: None",
        "not an instrument: {'name': 'x'}",
        "not an instrument: {'segment': []}",
    ]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(RELIANCE | {"trading_symbol": "011NSETEST"}, id="by symbol"),
        pytest.param(RELIANCE | {"name": "081NSETEST"}, id="by name"),
        pytest.param(
            RELIANCE | {"isin": "DUMMYSAN005", "instrument_key": "NSE_EQ|DUMMYSAN005"}, id="by ISIN"
        ),
        pytest.param(FUTURE | {"underlying_symbol": "011NSETEST"}, id="a contract, by underlying"),
        pytest.param(NIFTY | {"trading_symbol": "INDEX1 NSETEST"}, id="an index"),
        pytest.param(RELIANCE | {"segment": "NCD_FO"}, id="a segment that is not ours"),
    ],
)
def test_dummies_and_other_segments_are_left_out(tmp_path: Path, row: dict[str, Any]) -> None:
    assert list(read_rows(master(tmp_path / "m.json.gz", [row, RELIANCE]))) == [
        parse_instrument(RELIANCE)
    ]


WHOLE = gzip.compress(json.dumps([RELIANCE] * 500, default=float).encode())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(WHOLE[: len(WHOLE) // 2], id="truncated"),
        pytest.param(WHOLE[:-4], id="without its checksum"),
        pytest.param(b"<html><body>Access Denied</body></html>", id="a web page"),
        pytest.param(gzip.compress(b"<html></html>"), id="a web page in gzip"),
        pytest.param(gzip.compress(b'[{"segment": "NSE_EQ", "na'), id="JSON truncated"),
        pytest.param(gzip.compress(b"[] trailing"), id="something after the list"),
        pytest.param(gzip.compress(b""), id="nothing in gzip"),
        pytest.param(gzip.compress(b'["\xff\xfe"]'), id="no UTF-8"),
        pytest.param(WHOLE[:40] + b"\0" * 40 + WHOLE[80:], id="bytes overwritten"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "NSE.json.gz"
    path.write_bytes(content)

    with pytest.raises(MasterUnavailable, match=r"NSE\.json\.gz is not a complete.*Delete"):
        list(read_instruments(path))


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MasterUnavailable, match="nowhere"):
        list(read_instruments(tmp_path / "nowhere"))


def test_the_fast_parser_is_in_use() -> None:
    assert ijson.backend == "yajl2_c"


@pytest.mark.parametrize(
    ("file", "segments", "closing_auction"),
    [
        pytest.param(
            "NSE_2026-08-14", {"NSE_EQ": 9507, "NSE_FO": 35015, "NSE_INDEX": 139}, 208, id="2026"
        ),
        # 7,609 and 36,463 and 124 rows less the 22, 18 and 2 made up for tests.
        pytest.param(
            "NSE_2025-02-08", {"NSE_EQ": 7587, "NSE_FO": 36445, "NSE_INDEX": 122}, 0, id="2025"
        ),
    ],
)
def test_the_real_masters_are_read_without_a_loss(
    shared_data: Path, file: str, segments: dict[str, int], closing_auction: int
) -> None:
    path = shared_data / "upstox" / "instruments" / f"{file}.json.gz"

    rows = list(read_rows(path))

    instruments = [row for row in rows if isinstance(row, Instrument)]
    assert len(instruments) == len(rows)
    assert Counter(each.segment for each in instruments) == segments
    assert sum(each.cas_eligible for each in instruments) == closing_auction
    assert len({each.instrument_key for each in instruments}) == len(instruments)


MEASURE = """
import resource, sys
from pathlib import Path
from data_fetch.sources.instruments.rows import read_instruments
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in read_instruments(Path(sys.argv[1])))
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_reading_a_real_master_takes_little_memory(shared_data: Path) -> None:
    path = shared_data / "upstox" / "instruments" / "NSE_2026-08-14.json.gz"

    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )

    count, megabytes = done.stdout.split()
    assert int(count) == 44661
    assert float(megabytes) < 20
