"""The table of a chain that NSE's page lets people download as CSV.

It has neither underlying nor expiry, and no spot. Calls are on the left of the strike, puts on
the right, in mirrored order; numbers have Indian commas, and "-" stands for none.
"""

import csv
from datetime import date
from typing import Any

from data_fetch.core.chains.chains import ChainError, ParsedChains
from data_fetch.core.failures import FailureKind
from data_fetch.sources.nse.chain_rows import read_nse_chains
from data_fetch.sources.nse.site import format_expiry

FIRST_CELL = b"CALLS,"
STRIKE = "STRIKE"
# The headings of the columns, and the names that the site's JSON has for them.
NAMES = {
    "OI": "openInterest",
    "CHNG IN OI": "changeinOpenInterest",
    "VOLUME": "totalTradedVolume",
    "IV": "impliedVolatility",
    "LTP": "lastPrice",
    "CHNG": "change",
    "BID QTY": "bidQty",
    "BID": "bidprice",
    "ASK": "askPrice",
    "ASK QTY": "askQty",
}
NOTHING = {"", "-"}


def is_download(text: bytes) -> bool:
    """Whether *text* is such a table."""
    return text.removeprefix(b"\xef\xbb\xbf").startswith(FIRST_CELL)


def read_download(text: bytes, underlying: str, expiry: date) -> ParsedChains:
    """The chain in a downloaded table, of *underlying* and *expiry*. Raises ChainError."""
    try:
        lines = list(csv.reader(text.decode("utf-8-sig", "replace").splitlines()))
    except csv.Error as problem:
        reason = f"the table cannot be read: {problem}"
        raise ChainError(FailureKind.NOT_A_CHAIN, reason) from problem
    heading = next((line for line in lines if STRIKE in line), None)
    if heading is None:
        raise ChainError(FailureKind.RENAMED_FIELD, f"no column {STRIKE} in the table")
    place = heading.index(STRIKE)
    day = format_expiry(expiry)
    rows = [
        {
            "strikePrice": strike,
            "expiryDate": day,
            "CE": _leg(heading[:place], line[:place], underlying, strike, day),
            "PE": _leg(heading[place + 1 :], line[place + 1 :], underlying, strike, day),
        }
        for line in lines[lines.index(heading) + 1 :]
        if len(line) > place and (strike := _number(line[place])) is not None
    ]
    document = {"records": {"data": rows, "expiryDates": [day]}}
    return read_nse_chains(document, underlying, expiry)


def _leg(
    names: list[str], cells: list[str], underlying: str, strike: Any, day: str
) -> dict[str, Any]:
    found = {
        NAMES[name]: _number(cell)
        for name, cell in zip(names, cells, strict=False)
        if name in NAMES
    }
    numbers = {name: 0 if number is None else number for name, number in found.items()}
    return {"strikePrice": strike, "expiryDate": day, "underlying": underlying, **numbers}


def _number(cell: str) -> Any:
    """The number in *cell*; its text where it is none, None where there is nothing."""
    text = cell.strip().replace(",", "")
    if text in NOTHING:
        return None
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return cell
