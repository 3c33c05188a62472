"""The effect of each kind of fault on a response.

Three tables, in the order they apply: `REPLACEMENTS` are responses sent instead of the
exchange's, `DATA_EFFECTS` change the data of a good response, `BODY_EFFECTS` its bytes.
Slow, cut and reset deliveries are in `server`, which owns the connection.
"""

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from math import nan
from typing import Any

import orjson

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.faults.chain_effects import CHAIN_EFFECTS
from data_fetch.paper_exchange.faults.faults import NSE, DataEffect, Fault, FaultContext
from data_fetch.paper_exchange.market.seeded_random import fingerprint
from data_fetch.paper_exchange.nse.wire import (
    ACCESS_DENIED,
    EMPTY_OBJECT,
    MISDIRECTED,
    PLEASE_WAIT,
    SERVER_ERROR,
    UNAUTHORIZED,
    UNAVAILABLE,
)
from data_fetch.paper_exchange.wire import API_ERRORS, HTML, Response, api_error, error_body

CLOUDFLARE = (
    b"<!DOCTYPE html><html><head><title>Access denied | api.upstox.com used Cloudflare to "
    b"restrict access</title></head><body><h1>Error 1010</h1><p>The owner of this website has "
    b"banned your access based on your browser's signature.</p></body></html>"
)
PAGE = b"<!DOCTYPE html><html><head><title>Upstox</title></head><body>Please wait</body></html>"
MAINTENANCE_SECONDS = 5

CLOSE = 4


def _error(code: str, status: int | None = None, retry_after: int | None = None) -> Response:
    usual, message = API_ERRORS[code]
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Response(error_body(code, message), status or usual, headers=headers)


def _maintenance(fault: Fault) -> Response:
    wait = MAINTENANCE_SECONDS if fault.retry_after is None else fault.retry_after
    return _error("UDAPI100500", 503, wait)


REPLACEMENTS: Mapping[str, Callable[[Fault], Response]] = {
    "rate-limited": lambda fault: _error("UDAPI10005", retry_after=fault.retry_after),
    "rate-limited-in-200": lambda _: _error("UDAPI10005", 200),
    "error-in-200": lambda _: _error("UDAPI100500", 200),
    "html-in-200": lambda _: Response(PAGE, content_type=HTML),
    "cloudflare-403": lambda _: Response(CLOUDFLARE, 403, HTML),
    "server-error": lambda _: _error("UDAPI100500"),
    "maintenance": _maintenance,
    "token-expired": lambda _: api_error("UDAPI100050").response,
    "plan-needed": lambda _: api_error("UDAPI1149").response,
    "unknown-key": lambda _: api_error("UDAPI1087").response,
}


def _unavailable(fault: Fault) -> Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return replace(UNAVAILABLE, headers=headers)


# NSE's website has no envelope for its errors.
NSE_REPLACEMENTS: Mapping[str, Callable[[Fault], Response]] = {
    "html-in-200": lambda _: PLEASE_WAIT,
    "server-error": lambda _: SERVER_ERROR,
    "maintenance": _unavailable,
    "empty-object": lambda _: EMPTY_OBJECT,
    "nse-401": lambda _: UNAUTHORIZED,
    "nse-403": lambda _: ACCESS_DENIED,
    "misdirected-421": lambda _: MISDIRECTED,
}


def _empty(_: Fault, data: Any, __: FaultContext) -> Any:
    if isinstance(data, dict) and "candles" in data:
        return {"candles": []}
    return type(data)()


def _left_out(fault: Fault, data: Any, _: FaultContext) -> Any:
    return {
        label: row for label, row in data.items() if not fault.includes(row["instrument_token"])
    }


def _each_row(
    change_quote: Callable[[dict[str, Any]], dict[str, Any]],
    change_candle: Callable[[list[Any]], list[Any]],
) -> DataEffect:
    """Change the quotes of the fault's instruments, or every candle."""

    def apply(fault: Fault, data: Any, _: FaultContext) -> Any:
        if "candles" in data:
            return {"candles": [change_candle(list(row)) for row in data["candles"]]}
        return {
            label: change_quote(row) if fault.includes(row["instrument_token"]) else row
            for label, row in data.items()
        }

    return apply


def _with_close(price: Callable[[float], float | None]) -> DataEffect:
    return _each_row(
        lambda row: {**row, "last_price": price(row["last_price"])},
        lambda row: [*row[:CLOSE], price(row[CLOSE]), *row[CLOSE + 1 :]],
    )


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) else value


def _halved_volume(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "volume": row["volume"] // 2}


def _future(_: Fault, data: Any, context: FaultContext) -> Any:
    """Add a candle of tomorrow at this minute."""
    rows = data["candles"]
    tomorrow = (context.now + timedelta(days=1)).astimezone(IST).replace(second=0, microsecond=0)
    values = rows[0][1:] if rows else (100.0, 100.0, 100.0, 100.0, 0, 0)
    return {"candles": [(tomorrow.isoformat(), *values), *rows]}


def _late(fault: Fault, data: Any, context: FaultContext) -> Any:
    published = context.now - timedelta(minutes=fault.minutes)
    rows = [row for row in data["candles"] if _start(row) < published]
    return {"candles": rows}


def _lost(fault: Fault, data: Any, _: FaultContext) -> Any:
    """Remove the candles that the fault covers; a quote then has no previous candle."""
    if "candles" in data:
        return {"candles": [row for row in data["candles"] if not fault.covers(_start(row))]}
    return {
        label: {**row, "prev_ohlc": None} if _shows_lost(fault, row) else row
        for label, row in data.items()
    }


def _shows_lost(fault: Fault, row: dict[str, Any]) -> bool:
    candle = row["prev_ohlc"]
    return (
        candle is not None
        and fault.includes(row["instrument_token"])
        and fault.covers(datetime.fromtimestamp(candle["ts"] / 1000, IST))
    )


def _corrected(fault: Fault, data: Any, _: FaultContext) -> Any:
    """Multiply close and volume by the factor; high and low are widened to include the close."""

    def corrected(row: Any) -> Any:
        start, opened, high, low, close, volume, oi = row
        close = round(close * fault.factor, 2)
        units = round(volume * fault.factor)
        return (start, opened, max(high, close), min(low, close), close, units, oi)

    rows = data["candles"]
    return {"candles": [corrected(row) if fault.covers(_start(row)) else row for row in rows]}


def _start(row: Any) -> datetime:
    return datetime.fromisoformat(row[0])


def _rearranged(
    arrange: Callable[[list[Any]], list[Any]],
) -> DataEffect:
    return lambda _, data, __: {"candles": arrange(data["candles"])}


def _with_unparsable_row(rows: list[Any]) -> list[Any]:
    half = len(rows) // 2
    return [*rows[:half], ["rubbish"], *rows[half:]]


# Applied in this order, not in that of injection: an unparsable row cannot be corrected.
DATA_EFFECTS: Mapping[str, DataEffect] = {
    "left-out": _left_out,
    "lost-minutes": _lost,
    "withheld-minutes": _lost,
    "late-candles": _late,
    "corrected-candles": _corrected,
    "future-candles": _future,
    "negative-price": _with_close(lambda price: -price),
    "falling-volume": _each_row(_halved_volume, lambda row: row),
    "strings-for-numbers": _each_row(
        lambda row: {name: _text(value) for name, value in row.items()},
        lambda row: [_text(value) for value in row],
    ),
    "nulls": _with_close(lambda _: None),
    "nan-price": _with_close(lambda _: nan),
    "shuffled-candles": _rearranged(
        lambda rows: sorted(rows, key=lambda row: fingerprint("shuffled", row[0]))
    ),
    "duplicated-candles": _rearranged(lambda rows: [row for row in rows for _ in range(2)]),
    "unparsable-candle": _rearranged(_with_unparsable_row),
    **CHAIN_EFFECTS,
    "empty-data": _empty,
    "empty-holidays": _empty,
}


def _truncated(_: Fault, response: Response) -> Response:
    return replace(response, body=response.body[: len(response.body) // 2])


def _partial(_: Fault, response: Response) -> Response:
    envelope = orjson.loads(response.body)
    return replace(response, body=orjson.dumps({**envelope, "status": "partial_success"}))


BODY_EFFECTS: Mapping[str, Callable[[Fault, Response], Response]] = {
    "truncated-json": _truncated,
    "truncated-master": _truncated,
    "empty-master": lambda _, response: replace(response, body=gzip.compress(b"[]", mtime=0)),
    "partial-success": _partial,
}


def replacement(faults: tuple[Fault, ...], api: str) -> Response | None:
    """The response of the first fault that replaces the exchange's; None without one."""
    replacements = NSE_REPLACEMENTS if api in NSE else REPLACEMENTS
    return next(
        (replacements[fault.kind](fault) for fault in faults if fault.kind in replacements), None
    )


def change_data(faults: tuple[Fault, ...], data: Any, context: FaultContext) -> Any:
    for kind, apply in DATA_EFFECTS.items():
        for fault in faults:
            if fault.kind == kind:
                data = apply(fault, data, context)
    return data


def change_body(faults: tuple[Fault, ...], response: Response) -> Response:
    for fault in faults:
        if fault.kind in BODY_EFFECTS:
            response = BODY_EFFECTS[fault.kind](fault, response)
    return response


def envelope_response(faults: tuple[Fault, ...], data: Any) -> Response:
    """The data in Upstox's envelope; with NaN values for a `nan-price` fault."""
    envelope = {"status": "success", "data": data}
    if any(fault.kind == "nan-price" for fault in faults):
        # orjson writes NaN as null.
        return Response(json.dumps(envelope).encode())
    return Response(orjson.dumps(envelope))
