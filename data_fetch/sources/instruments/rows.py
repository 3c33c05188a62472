"""Reads the rows of Upstox's instrument master.

The file is a gzipped JSON array of begin-of-day contracts. Its quirks are handled only
here: `tick_size` is in paise, `expiry` is epoch milliseconds at 23:59:59 IST, a
future has the strike 0.0, `cas_eligible` is there only when true, exchange tokens are
reused after expiry, and the exchange's own test instruments look like any other.
"""

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import ijson

from data_fetch.core.batches import RejectedRow
from data_fetch.core.clock import IST
from data_fetch.core.errors import BadRecord, MasterUnavailable
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.text import CONTROLS, LONGEST_TEXT

EQUITY, INDEX, FUTURES_AND_OPTIONS = "NSE_EQ", "NSE_INDEX", "NSE_FO"
SEGMENTS = frozenset({EQUITY, INDEX, FUTURES_AND_OPTIONS})
FUTURE = "FUT"
OPTION_TYPES = frozenset({"CE", "PE"})

DUMMY_NAME, DUMMY_ISIN = "NSETEST", "DUMMYSAN"

# By exact type, because True is an int but not a number.
NUMERIC = (int, Decimal, str)
NOT_A_NUMBER = Decimal("NaN")
PAISE = Decimal(100)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Derivatives began in June 2000: an earlier expiry is not in milliseconds.
FIRST_YEAR = 2000
# Beyond any price or instant; converting 1e999999999 to an int would exhaust the memory.
MOST_DIGITS = 18
# A master unpacks to 40 MB of flat rows in one list.
LARGEST_MASTER, MOST_NESTED = 2**29, 1_000
NESTED, LONG_NUMBER = re.compile(rb"\[|:\s*\{"), re.compile(rb"\d{1000}")


def read_rows(path: Path, called: str = "") -> Iterator[Instrument | RejectedRow]:
    """The instruments of a master file, streamed; a malformed row comes as a RejectedRow.

    Rows of other segments (currencies, commodities) and exchange dummies are left out.
    Raises MasterUnavailable, at the row where it shows, when the file is missing, not gzip,
    truncated or not JSON; the message names the file as *called* (default: its path).
    """
    try:
        with gzip.open(path) as unpacked:
            for row in ijson.items(_Bounded(unpacked), "item"):
                if not isinstance(row, dict) or not isinstance(row.get("segment"), str):
                    yield RejectedRow("", f"not an instrument: {shortened(row)}")
                elif row["segment"] in SEGMENTS and not is_dummy(row):
                    yield _checked(row)
    except (OSError, EOFError, zlib.error, ijson.JSONError, ValueError) as problem:
        raise MasterUnavailable(
            f"{called or path} is not a complete gzipped JSON list ({_first_line(problem)})",
            hint=f"Delete {path}: the next command fetches it again.",
        ) from problem


class _Bounded:
    """What is unpacked from a master, as long as it can be one.

    Of a whole number of more than 4,300 digits, and of some ten thousand values inside one another,
    ijson ends the process by a segmentation fault.
    """

    def __init__(self, unpacked: gzip.GzipFile) -> None:
        self._unpacked = unpacked
        self._size = self._nested = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._unpacked.read(size)
        self._size += len(piece)
        self._nested += len(NESTED.findall(piece))
        if self._size > LARGEST_MASTER:
            raise ValueError(f"it unpacks to more than {LARGEST_MASTER:,} bytes")
        if self._nested > MOST_NESTED:
            raise ValueError("its rows are not flat")
        # Half of a number that is cut by two pieces is long enough.
        if LONG_NUMBER.search(piece):
            raise ValueError("it has a number of thousands of digits")
        return piece


def read_instruments(path: Path) -> Iterator[Instrument]:
    """The usable instruments of a master file, streamed. Raises as `read_rows` does."""
    return (row for row in read_rows(path) if isinstance(row, Instrument))


def is_dummy(row: Mapping[str, Any]) -> bool:
    """Whether this is a test instrument of the exchange."""
    names = f"{row.get('trading_symbol')} {row.get('name')} {row.get('underlying_symbol')}"
    return DUMMY_NAME in names or str(row.get("isin")).startswith(DUMMY_ISIN)


def parse_instrument(row: Mapping[str, Any]) -> Instrument:
    """Read one row. Raises BadRecord, with the field, when it cannot be right."""
    if row["segment"] == FUTURES_AND_OPTIONS:
        return _parse_contract(row)
    segment, live_key = _text(row, "segment"), _live_key(row)
    return Instrument(
        instrument_key=live_key,
        live_key=live_key,
        symbol=_text(row, "trading_symbol"),
        segment=segment,
        instrument_type=_text(row, "instrument_type"),
        name=_name(row),
        isin=_isin(row, live_key) if segment == EQUITY else None,
        lot_size=_lot_size(row),
        tick_size=_tick_size(row),
        cas_eligible=row.get("cas_eligible") is True,
    )


def _parse_contract(row: Mapping[str, Any]) -> Instrument:
    live_key, expiry = _live_key(row), _expiry(row)
    instrument_type = _text(row, "instrument_type")
    return Instrument(
        instrument_key=f"{live_key}|{expiry:%d-%m-%Y}",
        live_key=live_key,
        symbol=_text(row, "trading_symbol"),
        segment=FUTURES_AND_OPTIONS,
        instrument_type=instrument_type,
        name=_name(row),
        underlying_key=_text(row, "underlying_key"),
        underlying_symbol=_text(row, "underlying_symbol"),
        expiry=expiry,
        strike=_strike(row, instrument_type),
        lot_size=_lot_size(row),
        tick_size=_tick_size(row),
    )


def _checked(row: Mapping[str, Any]) -> Instrument | RejectedRow:
    try:
        return parse_instrument(row)
    except BadRecord as problem:
        return RejectedRow(shortened(row.get("instrument_key", "")), problem.message)


def _text(row: Mapping[str, Any], field: str) -> str:
    value: Any = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise BadRecord(f"{field} is {shortened(value)}, not a text")
    if len(value) > LONGEST_TEXT or CONTROLS.search(value):
        raise BadRecord(f"{field} {shortened(value)} is too long or holds control characters")
    return value.strip()


def _name(row: Mapping[str, Any]) -> str:
    return _text(row, "name") if row.get("name") else ""


def _live_key(row: Mapping[str, Any]) -> str:
    key, segment = _text(row, "instrument_key"), row["segment"]
    prefix, _, rest = key.partition("|")
    if prefix != segment or not rest or "|" in rest:
        raise BadRecord(f"instrument_key {shortened(key)} does not fit segment {segment}")
    return key


def _isin(row: Mapping[str, Any], live_key: str) -> str:
    isin = _text(row, "isin")
    if live_key != f"{EQUITY}|{isin}":
        raise BadRecord(f"isin {shortened(isin)} does not fit instrument_key {live_key}")
    return isin


def _number(row: Mapping[str, Any], field: str) -> Decimal:
    value: Any = row.get(field)
    if type(value) in NUMERIC:
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = NOT_A_NUMBER
        if number.is_finite() and number.adjusted() < MOST_DIGITS:
            return number
    raise BadRecord(f"{field} is {shortened(value)}, not a number")


def _positive(row: Mapping[str, Any], field: str) -> Decimal:
    number = _number(row, field)
    if number <= 0:
        raise BadRecord(f"{field} {number} is not above zero")
    return number


def _lot_size(row: Mapping[str, Any]) -> int | None:
    if row.get("lot_size") is None:
        return None
    lot = _positive(row, "lot_size")
    if lot != int(lot):
        raise BadRecord(f"lot_size {lot} is not whole")
    return int(lot)


def _tick_size(row: Mapping[str, Any]) -> Decimal | None:
    return None if row.get("tick_size") is None else _positive(row, "tick_size") / PAISE


def _strike(row: Mapping[str, Any], instrument_type: str) -> Decimal | None:
    if instrument_type == FUTURE:
        return None
    if instrument_type not in OPTION_TYPES:
        raise BadRecord(f"instrument_type {shortened(instrument_type)} is not FUT, CE or PE")
    return _positive(row, "strike_price")


def _expiry(row: Mapping[str, Any]) -> date:
    return _day_of(_number(row, "expiry"))


@lru_cache(maxsize=256)
def _day_of(milliseconds: Decimal) -> date:
    """The IST date of an instant; cached because 35,000 contracts share some 25 expiries."""
    try:
        day = (EPOCH + timedelta(milliseconds=int(milliseconds))).astimezone(IST).date()
    except OverflowError:
        raise BadRecord(f"expiry {milliseconds} is no instant") from None
    if day.year < FIRST_YEAR:
        raise BadRecord(f"expiry {milliseconds} is {day}: not in milliseconds")
    return day


def _first_line(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
