"""JSON bodies as providers and collectors write them: NaN, byte order marks, pages instead."""

import json
from typing import Any

import orjson

from data_fetch.core.chains.chains import ChainError
from data_fetch.core.failures import FailureKind

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A longer whole number is no quantity; converting one of thousands of digits is refused by Python.
MOST_DIGITS = 18


def parse_json(body: bytes) -> Any:
    """Return the JSON in *body*. Raises ChainError, which names what the body is instead.

    A number beyond any range (NaN, 1e400, thousands of digits) is read as NaN or an infinity: it
    must cost its own row, not the whole body.
    """
    text = body.removeprefix(BYTE_ORDER_MARK).strip()
    if not text:
        raise ChainError(FailureKind.EMPTY_BODY, "an empty body")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    if text.startswith(b"<"):
        raise ChainError(FailureKind.HTML, "a page, not JSON")
    try:
        document = json.loads(text.decode(), parse_int=_whole_number)
        # Refuses half a surrogate pair in a text, which can neither be printed nor stored.
        orjson.dumps(document)
    except (ValueError, TypeError, RecursionError):
        raise ChainError(
            FailureKind.NOT_JSON, f"no JSON, or not all of it: {len(body)} bytes"
        ) from None
    return document


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)
