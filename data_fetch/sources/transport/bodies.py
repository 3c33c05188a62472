"""JSON bodies as providers and collectors write them: NaN, byte order marks, pages instead."""

import json
from typing import Any

import orjson

from data_fetch.core.chains.chains import ChainError
from data_fetch.core.failures import FailureKind

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_json(body: bytes) -> Any:
    """Return the JSON in *body*. Raises ChainError, which names what the body is instead."""
    text = body.removeprefix(BYTE_ORDER_MARK).strip()
    if not text:
        raise ChainError(FailureKind.EMPTY_BODY, "an empty body")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    if text.startswith(b"<"):
        raise ChainError(FailureKind.HTML, "a page, not JSON")
    # Servers and collectors written in Python emit NaN, which is not JSON. One such number
    # must cost its own row, not the whole body.
    if b"NaN" in text or b"Infinity" in text:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    raise ChainError(FailureKind.NOT_JSON, f"no JSON, or not all of it: {len(body)} bytes")
