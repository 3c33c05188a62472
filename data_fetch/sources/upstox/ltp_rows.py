"""Reads Upstox's LTP rows. Pure.

Rows are joined on the `instrument_token` inside them: the map's own keys
(`NSE_EQ:RELIANCE`) are not instrument keys.
"""

from collections.abc import Container, Mapping, Sequence
from math import isfinite
from typing import Any

from data_fetch.core.batches import RejectedRow
from data_fetch.core.errors import BadRecord
from data_fetch.core.quotes.quotes import Quote
from data_fetch.sources.transport.batches import ParsedBatch
from data_fetch.sources.transport.numbers import LARGEST_PRICE, read_number, read_quantity


def read_quotes(data: Mapping[str, Any], instrument_keys: Sequence[str]) -> ParsedBatch[Quote]:
    """The quotes in the `data` of an LTP response for *instrument_keys*, in that order."""
    requested = dict.fromkeys(instrument_keys)
    rows, unrequested = rows_by_key(data, requested)
    quotes: list[Quote] = []
    rejected: list[RejectedRow] = []
    for key in requested:
        if key not in rows:
            continue
        try:
            quotes.append(_agreed_quote(key, rows[key]))
        except BadRecord as problem:
            rejected.append(RejectedRow(key, problem.message))
    return ParsedBatch(
        records=tuple(quotes),
        absent=tuple(key for key in requested if key not in rows),
        rejected=tuple(rejected),
        unrequested=unrequested,
    )


def rows_by_key(
    data: Mapping[str, Any], requested: Container[str]
) -> tuple[Mapping[str, Sequence[Mapping[str, Any]]], tuple[RejectedRow, ...]]:
    """The rows of a quote response by instrument key, and the rows that were not requested."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    unrequested: list[RejectedRow] = []
    for name, row in data.items():
        key = row.get("instrument_token") if isinstance(row, dict) else None
        if not isinstance(key, str):
            unrequested.append(RejectedRow(name, "a row without instrument_token"))
        elif key not in requested:
            unrequested.append(RejectedRow(key, "not requested"))
        else:
            rows.setdefault(key, []).append(row)
    return rows, tuple(unrequested)


def _agreed_quote(key: str, rows: Sequence[Mapping[str, Any]]) -> Quote:
    """The one quote that all *rows* of a key agree on."""
    first = _quote(key, rows[0])
    if any(_quote(key, other) != first for other in rows[1:]):
        raise BadRecord(f"{key}: {len(rows)} rows that disagree")
    return first


def _quote(key: str, row: Mapping[str, Any]) -> Quote:
    price = _number(key, row, "last_price")
    volume = _quantity(key, row, "volume")
    if price is None or volume is None:
        missing = "last_price" if price is None else "volume"
        raise BadRecord(f"{key}: {missing} is missing")
    if price > LARGEST_PRICE:
        raise BadRecord(f"{key}: last_price {price:g} cannot be")
    return Quote(
        instrument_key=key,
        last_price=price,
        volume=volume,
        ltq=_quantity(key, row, "ltq"),
        # A share on its first trading day has 0 for its missing previous close.
        prev_close=_number(key, row, "cp") or None,
    )


def _number(key: str, row: Mapping[str, Any], field: str) -> float | None:
    value = row.get(field)
    # The usual case first: it comes two hundred times a slot.
    if type(value) is float and isfinite(value):
        return value
    return None if value is None else read_number(value, f"{key}: {field}")


def _quantity(key: str, row: Mapping[str, Any], field: str) -> int | None:
    value = row.get(field)
    return None if value is None else read_quantity(value, f"{key}: {field}")
