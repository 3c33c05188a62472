"""Reads Upstox's LTP rows. Pure.

Rows are joined on the `instrument_token` inside them: the map's own keys
(`NSE_EQ:RELIANCE`) are not instrument keys.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Any, TypeVar

from data_fetch.core.batches import RejectedRow
from data_fetch.core.errors import BadRecord
from data_fetch.core.failures import FailureKind
from data_fetch.core.quotes.quotes import Quote
from data_fetch.sources.transport.batches import ParsedBatch
from data_fetch.sources.transport.numbers import read_price, read_quantity
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.upstox.responses import UnusableResponse

N = TypeVar("N", int, float)


def read_quotes(data: Mapping[str, Any], instrument_keys: Sequence[str]) -> ParsedBatch[Quote]:
    """The quotes in the `data` of an LTP response for *instrument_keys*, in that order."""
    found = rows_by_key(data, instrument_keys)
    quotes: list[Quote] = []
    rejected: list[RejectedRow] = list(found.unnamed)
    dropped: list[RejectedRow] = []
    for key, rows in found.rows.items():
        try:
            quote, remarks = _agreed_quote(key, rows)
        except BadRecord as problem:
            rejected.append(RejectedRow(key, problem.message))
        else:
            quotes.append(quote)
            dropped.extend(RejectedRow(key, remark) for remark in remarks)
    return ParsedBatch(
        records=tuple(quotes),
        absent=found.absent,
        rejected=tuple(rejected),
        dropped_fields=tuple(dropped),
        unrequested=found.unrequested,
    )


@dataclass(frozen=True, slots=True)
class RowsByKey:
    """The rows of a quote response: by requested key, in that order, and those of no such key.

    A requested key without a row is *absent* if every row names an instrument; else its row may be
    one of those that do not, and it is in *unnamed*, with that reason.
    """

    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    absent: tuple[str, ...]
    unnamed: tuple[RejectedRow, ...]
    unrequested: tuple[RejectedRow, ...]


def rows_by_key(data: Mapping[str, Any], instrument_keys: Sequence[str]) -> RowsByKey:
    """The rows in *data*, joined on the instrument key inside each."""
    requested = dict.fromkeys(instrument_keys)
    rows: dict[str, list[Mapping[str, Any]]] = {}
    unrequested: list[RejectedRow] = []
    nameless: list[RejectedRow] = []
    for name, row in data.items():
        try:
            key = _instrument_key(row)
        except BadRecord as problem:
            nameless.append(RejectedRow(name, problem.message))
            continue
        if key in requested:
            rows.setdefault(key, []).append(row)
        else:
            unrequested.append(RejectedRow(key, "not requested"))
    missing = tuple(key for key in requested if key not in rows)
    return RowsByKey(
        rows={key: rows[key] for key in requested if key in rows},
        absent=() if nameless else missing,
        unnamed=tuple(_unnamed(key, nameless) for key in missing) if nameless else (),
        unrequested=(*unrequested, *nameless),
    )


def refuse_rowless(response: Response) -> None:
    """Raise UnusableResponse when no row in *response* names an instrument.

    For requests with several keys: one of them at least has a row when the provider works.
    """
    problems: list[str] = []
    for row in response.data.values():
        try:
            _instrument_key(row)
        except BadRecord as problem:
            problems.append(problem.message)
        else:
            return
    if not problems:
        raise UnusableResponse(FailureKind.EMPTY_OBJECT, "Upstox returned no row at all")
    raise UnusableResponse(
        FailureKind.RETYPED_FIELD,
        f"Upstox returned no row that names an instrument, but {len(problems)} others; the first "
        f"is {problems[0]}",
    )


def _instrument_key(row: object) -> str:
    """The key that *row* names. Raises BadRecord, which says what the row is instead."""
    if not isinstance(row, dict):
        raise BadRecord("null, not a row" if row is None else f"{shortened(row)}, not a row")
    key = row.get("instrument_token")
    if key is None:
        raise BadRecord("a row without instrument_token")
    if not isinstance(key, str) or "|" not in key:
        raise BadRecord(f"a row whose instrument_token is {shortened(key)}")
    return key


def _unnamed(key: str, nameless: Sequence[RejectedRow]) -> RejectedRow:
    first = nameless[0]
    return RejectedRow(
        key, f"no row names it, and {len(nameless)} cannot be assigned, the first {first.reason}"
    )


def _agreed_quote(key: str, rows: Sequence[Mapping[str, Any]]) -> tuple[Quote, Sequence[str]]:
    """The one quote that all *rows* of a key agree on, and which of its fields were dropped."""
    quote, dropped = _quote(key, rows[0])
    if any(_quote(key, other)[0] != quote for other in rows[1:]):
        raise BadRecord(f"{len(rows)} rows that disagree")
    return quote, dropped


def _quote(key: str, row: Mapping[str, Any]) -> tuple[Quote, Sequence[str]]:
    """The quote in *row*, and why fields of it are None. Raises BadRecord without a price."""
    dropped: list[str] = []
    quote = Quote(
        instrument_key=key,
        last_price=read_price(row.get("last_price"), "last_price"),
        volume=_field(row, "volume", read_quantity, dropped),
        ltq=_optional_field(row, "ltq", read_quantity, dropped),
        prev_close=_previous_close(row, dropped),
    )
    return quote, dropped


def _previous_close(row: Mapping[str, Any], dropped: list[str]) -> float | None:
    # A share on its first trading day has 0 for its missing previous close.
    return None if row.get("cp") == 0 else _optional_field(row, "cp", read_price, dropped)


def _optional_field(
    row: Mapping[str, Any], name: str, read: Callable[[object, str], N], dropped: list[str]
) -> N | None:
    """As `_field`; a field that is missing or null needs no reason."""
    return None if row.get(name) is None else _field(row, name, read, dropped)


def _field(
    row: Mapping[str, Any], name: str, read: Callable[[object, str], N], dropped: list[str]
) -> N | None:
    """One field of a quote; None if it cannot be, with the reason added to *dropped*."""
    try:
        return read(row.get(name), name)
    except BadRecord as problem:
        dropped.append(problem.message)
        return None
