"""What each kind of fault does to an answer.

Three tables by the moment they act: `REPLIES` answer instead of the exchange, `SPOILERS`
change the data of a good answer, `MANGLERS` its bytes. Slow, cut and reset deliveries are
the server's, which holds the connection.
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
from data_fetch.paper_exchange.faults.chain_misbehaviour import CHAIN_SPOILERS
from data_fetch.paper_exchange.faults.faults import NSE, Fault, Scene, Spoiler
from data_fetch.paper_exchange.market.chance import fingerprint
from data_fetch.paper_exchange.nse.wire import (
    ACCESS_DENIED,
    EMPTY_OBJECT,
    MISDIRECTED,
    PLEASE_WAIT,
    SERVER_ERROR,
    UNAUTHORIZED,
    UNAVAILABLE,
)
from data_fetch.paper_exchange.wire import HTML, REFUSALS, Answer, error_body, refuse

CLOUDFLARE = (
    b"<!DOCTYPE html><html><head><title>Access denied | api.upstox.com used Cloudflare to "
    b"restrict access</title></head><body><h1>Error 1010</h1><p>The owner of this website has "
    b"banned your access based on your browser's signature.</p></body></html>"
)
PAGE = b"<!DOCTYPE html><html><head><title>Upstox</title></head><body>Please wait</body></html>"
MAINTENANCE_SECONDS = 5

PRICES = ("open", "high", "low", "close")
OPEN, CLOSE, VOLUME = 1, 4, 5


def _error(code: str, status: int | None = None, retry_after: int | None = None) -> Answer:
    usual, message = REFUSALS[code]
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(error_body(code, message), status or usual, headers=headers)


def _maintenance(fault: Fault) -> Answer:
    wait = MAINTENANCE_SECONDS if fault.retry_after is None else fault.retry_after
    return _error("UDAPI100500", 503, wait)


REPLIES: Mapping[str, Callable[[Fault], Answer]] = {
    "rate-limited": lambda fault: _error("UDAPI10005", retry_after=fault.retry_after),
    "rate-limited-in-200": lambda _: _error("UDAPI10005", 200),
    "error-in-200": lambda _: _error("UDAPI100500", 200),
    "html-in-200": lambda _: Answer(PAGE, content_type=HTML),
    "cloudflare-403": lambda _: Answer(CLOUDFLARE, 403, HTML),
    "server-error": lambda _: _error("UDAPI100500"),
    "maintenance": _maintenance,
    "token-expired": lambda _: refuse("UDAPI100050").answer,
    "plan-needed": lambda _: refuse("UDAPI1149").answer,
    "unknown-key": lambda _: refuse("UDAPI1087").answer,
}


def _unavailable(fault: Fault) -> Answer:
    told = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return replace(UNAVAILABLE, headers=told)


# NSE's website has no envelope for its errors.
NSE_REPLIES: Mapping[str, Callable[[Fault], Answer]] = {
    "html-in-200": lambda _: PLEASE_WAIT,
    "server-error": lambda _: SERVER_ERROR,
    "maintenance": _unavailable,
    "empty-object": lambda _: EMPTY_OBJECT,
    "nse-401": lambda _: UNAUTHORIZED,
    "nse-403": lambda _: ACCESS_DENIED,
    "misdirected-421": lambda _: MISDIRECTED,
}


def _empty(_: Fault, data: Any, __: Scene) -> Any:
    if isinstance(data, dict) and "candles" in data:
        return {"candles": []}
    return type(data)()


def _left_out(fault: Fault, data: Any, _: Scene) -> Any:
    return {
        label: row for label, row in data.items() if not fault.concerns(row["instrument_token"])
    }


def _each_row(
    spoil_quote: Callable[[dict[str, Any]], dict[str, Any]],
    spoil_candle: Callable[[list[Any]], list[Any]],
) -> Spoiler:
    """Spoil the quotes of the fault's instruments, or every candle."""

    def spoil(fault: Fault, data: Any, _: Scene) -> Any:
        if "candles" in data:
            return {"candles": [spoil_candle(list(row)) for row in data["candles"]]}
        return {
            label: spoil_quote(row) if fault.concerns(row["instrument_token"]) else row
            for label, row in data.items()
        }

    return spoil


def _with_close(price: Callable[[float], float | None]) -> Spoiler:
    return _each_row(
        lambda row: {**row, "last_price": price(row["last_price"])},
        lambda row: [*row[:CLOSE], price(row[CLOSE]), *row[CLOSE + 1 :]],
    )


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) else value


def _halved_volume(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "volume": row["volume"] // 2}


def _future(_: Fault, data: Any, scene: Scene) -> Any:
    """One candle more, of tomorrow at this minute."""
    rows = data["candles"]
    tomorrow = (scene.now + timedelta(days=1)).astimezone(IST).replace(second=0, microsecond=0)
    like = rows[0][1:] if rows else (100.0, 100.0, 100.0, 100.0, 0, 0)
    return {"candles": [(tomorrow.isoformat(), *like), *rows]}


def _late(fault: Fault, data: Any, scene: Scene) -> Any:
    served = scene.now - timedelta(minutes=fault.minutes)
    rows = [row for row in data["candles"] if _start(row) < served]
    return {"candles": rows}


def _lost(fault: Fault, data: Any, _: Scene) -> Any:
    """The minutes that the fault covers are in no answer; a quote has no bar before, then."""
    if "candles" in data:
        return {"candles": [row for row in data["candles"] if not fault.covers(_start(row))]}
    return {
        label: {**row, "prev_ohlc": None} if _shows_lost(fault, row) else row
        for label, row in data.items()
    }


def _shows_lost(fault: Fault, row: dict[str, Any]) -> bool:
    bar = row["prev_ohlc"]
    return (
        bar is not None
        and fault.concerns(row["instrument_token"])
        and fault.covers(datetime.fromtimestamp(bar["ts"] / 1000, IST))
    )


def _corrected(fault: Fault, data: Any, _: Scene) -> Any:
    """Closes and volumes by a factor; high and low give way where they must."""

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
) -> Spoiler:
    return lambda _, data, __: {"candles": arrange(data["candles"])}


def _with_rubbish(rows: list[Any]) -> list[Any]:
    half = len(rows) // 2
    return [*rows[:half], ["rubbish"], *rows[half:]]


# In this order, whatever order they were ordered in: rubbish cannot be corrected any more.
SPOILERS: Mapping[str, Spoiler] = {
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
    "unparsable-candle": _rearranged(_with_rubbish),
    **CHAIN_SPOILERS,
    "empty-data": _empty,
    "empty-holidays": _empty,
}


def _half(_: Fault, answer: Answer) -> Answer:
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def _partial(_: Fault, answer: Answer) -> Answer:
    told = orjson.loads(answer.body)
    return replace(answer, body=orjson.dumps({**told, "status": "partial_success"}))


MANGLERS: Mapping[str, Callable[[Fault, Answer], Answer]] = {
    "truncated-json": _half,
    "truncated-master": _half,
    "empty-master": lambda _, answer: replace(answer, body=gzip.compress(b"[]", mtime=0)),
    "partial-success": _partial,
}


def replied(faults: tuple[Fault, ...], api: str) -> Answer | None:
    """The answer of the first fault that answers instead of the exchange."""
    replies = NSE_REPLIES if api in NSE else REPLIES
    return next((replies[fault.kind](fault) for fault in faults if fault.kind in replies), None)


def poisoned(faults: tuple[Fault, ...], data: Any, scene: Scene) -> Any:
    for kind, spoil in SPOILERS.items():
        for fault in faults:
            if fault.kind == kind:
                data = spoil(fault, data, scene)
    return data


def mangled(faults: tuple[Fault, ...], answer: Answer) -> Answer:
    for fault in faults:
        if fault.kind in MANGLERS:
            answer = MANGLERS[fault.kind](fault, answer)
    return answer


def written(faults: tuple[Fault, ...], data: Any) -> Answer:
    """The data in its envelope; with NaN spelt out where a fault asks for it."""
    told = {"status": "success", "data": data}
    if any(fault.kind == "nan-price" for fault in faults):
        # orjson knows no NaN, which is right everywhere but here.
        return Answer(json.dumps(told).encode())
    return Answer(orjson.dumps(told))
