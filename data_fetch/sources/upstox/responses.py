"""What an answer of Upstox means: its `data`, or an error that says whose move it is.

Pure: status, headers and body in; data or an exception out. Messages hold the provider's
error code and a short clean excerpt, never a whole body and never a token.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from data_fetch.core.errors import (
    AccessDenied,
    BadResponse,
    DataFetchError,
    RateLimited,
    RequestRefused,
    TokenRejected,
    Unavailable,
    UnknownInstrument,
)
from data_fetch.core.failures import FailureKind

# Upstox's longest window: a longer wait than this cannot be about the rate limits.
LONGEST_WAIT = timedelta(minutes=30)
EXCERPT_LENGTH = 120

TOO_MANY = "UDAPI10005"
TOKEN_CODES = {"UDAPI100050", "UDAPI100016"}
# The documentation and the OpenAPI name different codes for one thing, so all are handled.
UNKNOWN_INSTRUMENT_CODES = {
    "UDAPI1087",
    "UDAPI100011",
    "UDAPI100095",
    "UDAPI1009",
    "UDAPI1011",
}
REFUSAL_KINDS = {
    "HTTP404": FailureKind.NOT_FOUND,
    "UDAPI100060": FailureKind.NOT_FOUND,
    "HTTP421": FailureKind.MISDIRECTED,
}
DENIALS = {
    "UDAPI100067": (
        "an extended token may not be used for this",
        "Use a daily access token or an Analytics Token.",
    ),
    "UDAPI1149": (
        "this needs the Upstox Plus plan",
        "Subscribe to it, or do without this data.",
    ),
    "UDAPI100073": (
        "the app of this token is not active",
        "Activate it in the Upstox developer console.",
    ),
    "UDAPI1221": (
        "this needs the registered static IP address",
        "Send from that address, or use an Analytics Token.",
    ),
}

_SECRETS = re.compile(r"(?i)bearer\s+\S+|eyJ[\w-]+(\.[\w-]*)*")
_TAGS = re.compile(r"(?s)<(script|style).*?</\1>|<[^>]*>")
_TITLE = re.compile(rb"(?is)<title[^>]*>(.*?)</title>")


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came back over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The `data` of a good answer. A *partial* one proves nothing about what it lacks.

    *asked_at* is when its request went out: what was true then, the answer had to know.
    """

    data: Any
    partial: bool = False
    asked_at: datetime | None = None


def read_answer(raw: RawAnswer, shape: type, now: datetime) -> Answer:
    """The `data` of *raw*, which must be of type *shape* (dict or list).

    Raises TokenRejected, AccessDenied, RateLimited, UnknownInstrument, RequestRefused or
    BadResponse. *now* is what a Retry-After date is measured from.
    """
    envelope = _parse(raw.body)
    code, message = _error_of(envelope)
    problem = _problem_of(raw, code, message, now)
    if problem is not None:
        raise problem
    return _data_of(envelope, shape, raw)


def _problem_of(raw: RawAnswer, code: str, message: str, now: datetime) -> DataFetchError | None:
    """The error that status and code amount to, if any. A code outranks the status."""
    named = _named_problem(raw, code, message, now)
    if named is not None or 200 <= raw.status <= 299:
        return named
    said = _said(code, message) or _excerpt_of(raw.body)
    if raw.status == 403:
        return AccessDenied(
            f"Upstox denies access (403): {said}",
            hint="An HTML page here comes from the guard in front of Upstox: wait, then try from "
            "another network address; ask Upstox support if it stays.",
        )
    if raw.status >= 500:
        return Unavailable(f"Upstox answered {raw.status}: {said}")
    if raw.status == 408 or raw.status < 400:
        return BadResponse(f"Upstox answered {raw.status}: {said}")
    code = code or f"HTTP{raw.status}"
    return RequestRefused(
        f"Upstox refuses the request ({raw.status}): {said}",
        code=code,
        kind=REFUSAL_KINDS.get(code),
    )


def _named_problem(raw: RawAnswer, code: str, message: str, now: datetime) -> DataFetchError | None:
    """The problems that Upstox gives a name, whatever the status of the answer."""
    said = _said(code, message) or str(raw.status)
    wait = _retry_after(raw.headers, now)
    if raw.status == 429 or code == TOO_MANY or _is_rate_limit_page(raw):
        return RateLimited(
            f"Upstox asks us to slow down ({said})",
            retry_after=wait,
            hint="Requests are paced; another program may be using the same account.",
        )
    if raw.status == 503 and wait is not None:
        return RateLimited(f"Upstox asks us to come back later ({said})", retry_after=wait)
    if raw.status == 401 or code in TOKEN_CODES:
        return TokenRejected(f"Upstox does not take our access token ({said})")
    if code in DENIALS:
        what, hint = DENIALS[code]
        return AccessDenied(f"Upstox denies access: {what} ({code})", hint=hint)
    if code in UNKNOWN_INSTRUMENT_CODES:
        return UnknownInstrument(f"Upstox does not know an instrument key ({said})", code=code)
    return None


def _data_of(envelope: Any, shape: type, raw: RawAnswer) -> Answer:
    """The `data` of a 2xx answer that names no known problem."""
    if not isinstance(envelope, dict):
        raise BadResponse(f"Upstox answered {raw.status} with no JSON: {_excerpt_of(raw.body)}")
    status, data = envelope.get("status"), envelope.get("data")
    if status not in ("success", "partial_success"):
        said = _said(*_error_of(envelope)) or f"status {_clean(str(status))!r}"
        raise BadResponse(f"Upstox answered {raw.status} with an error: {said}")
    if not isinstance(data, shape):
        raise BadResponse(
            f"Upstox answered with data of type {type(data).__name__}, not {shape.__name__}"
        )
    return Answer(data, partial=status == "partial_success")


def _parse(body: bytes) -> Any:
    """The JSON in *body*; None if it holds none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    # Servers written in Python emit NaN, which is no JSON: one such price must cost its
    # own row, not the whole answer.
    if b"NaN" not in body and b"Infinity" not in body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _error_of(envelope: Any) -> tuple[str, str]:
    """Code and message of the first error in *envelope* (both spellings of the code)."""
    errors = envelope.get("errors") if isinstance(envelope, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return "", ""
    code = first.get("errorCode") or first.get("error_code") or ""
    return _clean(str(code)), _clean(str(first.get("message") or ""))


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """The wait that Retry-After names, as seconds or as a date; None if it names none."""
    named = next((v for name, v in headers.items() if name.lower() == "retry-after"), "").strip()
    if not named:
        return None
    try:
        wait = _wait_named(named, now)
    except (ValueError, OverflowError):
        return None
    return max(timedelta(0), min(wait, LONGEST_WAIT))


def _wait_named(named: str, now: datetime) -> timedelta:
    if named.replace(".", "", 1).isdigit():
        return timedelta(seconds=min(float(named), LONGEST_WAIT.total_seconds()))
    date = parsedate_to_datetime(named)
    # "-0000" means UTC of unknown place, and parses as a naive date.
    return (date if date.tzinfo else date.replace(tzinfo=UTC)) - now


def _is_rate_limit_page(raw: RawAnswer) -> bool:
    """Cloudflare's own limiter answers with a page, not always with 429."""
    if raw.status not in (403, 503):
        return False
    page = raw.body[:20_000].lower()
    return b"<html" in page and re.search(rb"error 1015|rate.?limit", page) is not None


def _said(code: str, message: str) -> str:
    return ": ".join(part for part in (code, message) if part)


def _excerpt_of(body: bytes) -> str:
    """A few clean words of a body that is not what we wanted."""
    if not body.strip():
        return "an empty body"
    title = _TITLE.search(body[:20_000])
    if title:
        return f"a page titled {_clean(title.group(1).decode('utf-8', 'replace'))!r}"
    words = _TAGS.sub(" ", body[:2_000].decode("utf-8", "replace"))
    return repr(_clean(words))


def _clean(text: str) -> str:
    """*text* in one short printable line, without anything that could be a token."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = _SECRETS.sub("***", line)
    return line if len(line) <= EXCERPT_LENGTH else line[: EXCERPT_LENGTH - 1] + "…"
