"""The `data` of a response of Upstox, or an error by class of what has to be done.

Pure: status, headers and body in; data or an exception out. Messages hold the provider's
error code and a short clean excerpt, never a whole body and never a token.
"""

import re
from typing import Any

from data_fetch.core.chains.chains import ChainError, RawResponse
from data_fetch.core.errors import (
    AccessDenied,
    BadResponse,
    BatchRefused,
    DataFetchError,
    RateLimited,
    RequestRefused,
    TokenRejected,
    Unavailable,
    UnknownInstrument,
)
from data_fetch.core.failures import FailureKind
from data_fetch.sources.transport.bodies import parse_json
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.transport.retry_after import retry_after

EXCERPT_LENGTH = 120

OWN_CODE = "UDAPI"
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
TOO_MANY_KEYS = {"UDAPI100042", "UDAPI100043", "UDAPI100076"}
# Not found, gone, too large, its line or its headers too long: with fewer keys it may be different.
DIVISIBLE = {404, 410, 413, 414, 431}
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


class UnusableResponse(BadResponse):
    """A response without the data that was requested; *kind* names what it is instead."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_response(raw: RawResponse, shape: type) -> Response:
    """The `data` of *raw*, which must be of type *shape* (dict or list).

    Raises TokenRejected, AccessDenied, RateLimited, UnknownInstrument, BatchRefused,
    RequestRefused, Unavailable or UnusableResponse. A Retry-After date is measured from the
    receive time.
    """
    envelope, kind = _envelope_in(raw.body)
    problem = _problem_of(raw, envelope, kind)
    if problem is not None:
        raise problem
    return _data_of(envelope, shape, raw, kind)


def read_object(raw: RawResponse) -> dict[str, Any]:
    """The JSON object of *raw*, which has no envelope; raises as `read_response` does."""
    document, kind = _envelope_in(raw.body)
    problem = _problem_of(raw, document, kind)
    if problem is not None:
        raise problem
    if not isinstance(document, dict):
        what = f"Upstox returned {raw.status} without a JSON object: {_excerpt_of(raw.body)}"
        raise UnusableResponse(kind, what)
    return document


def error_code(raw: RawResponse) -> str:
    """The provider's code of the first error in *raw*; empty if there is none."""
    document, _ = _envelope_in(raw.body)
    return _error_of(document)[0]


def _envelope_in(body: bytes) -> tuple[Any, FailureKind]:
    """The JSON in *body* (None if there is none), and what the body is if it has no usable
    data."""
    try:
        envelope = parse_json(body)
    except ChainError as problem:
        return None, problem.kind
    return envelope, FailureKind.NOT_A_CHAIN if envelope else FailureKind.EMPTY_OBJECT


def _problem_of(raw: RawResponse, envelope: Any, kind: FailureKind) -> DataFetchError | None:
    """The error that status and code stand for, if any. A code outranks the status."""
    code, message = _error_of(envelope)
    named = _named_problem(raw, code, message)
    if named is not None or 200 <= raw.status <= 299:
        return named
    reason = _reason(code, message) or _excerpt_of(raw.body)
    if raw.status == 403:
        return AccessDenied(
            f"Upstox denies access (403): {reason}",
            hint="An HTML page here is from the firewall in front of Upstox: wait, then try from "
            "another network address; contact Upstox support if it persists.",
        )
    if raw.status >= 500:
        return Unavailable(f"Upstox returned {raw.status}: {reason}")
    if raw.status in (401, 408) or raw.status < 400:
        return UnusableResponse(kind, f"Upstox returned {raw.status}: {reason}")
    divisible = raw.status in DIVISIBLE or code in TOO_MANY_KEYS
    code = code or f"HTTP{raw.status}"
    return (BatchRefused if divisible else RequestRefused)(
        f"Upstox rejected the request ({raw.status}): {reason}",
        code=code,
        kind=REFUSAL_KINDS.get(code),
    )


def _named_problem(raw: RawResponse, code: str, message: str) -> DataFetchError | None:
    """The problem that Upstox names by a code, whatever the status of the response."""
    reason = _reason(code, message) or str(raw.status)
    wait = retry_after(raw.headers, raw.received_at)
    if raw.status == 429 or code == TOO_MANY or _is_rate_limit_page(raw):
        return RateLimited(
            f"Upstox limits the request rate ({reason})",
            retry_after=wait,
            hint="Requests are paced; another program may be using the same account.",
        )
    if raw.status == 503 and wait is not None:
        return RateLimited(f"Upstox is unavailable for a while ({reason})", retry_after=wait)
    if code in DENIALS:
        what, hint = DENIALS[code]
        return AccessDenied(f"Upstox denies access: {what} ({code})", hint=hint)
    if code in UNKNOWN_INSTRUMENT_CODES:
        return UnknownInstrument(f"Upstox does not know an instrument key ({reason})", code=code)
    # A 401 without a code of Upstox is from something in front of it, a proxy or a firewall.
    if code in TOKEN_CODES or (raw.status == 401 and code.startswith(OWN_CODE)):
        return TokenRejected(f"Upstox rejected the access token ({reason})")
    return None


def _data_of(envelope: Any, shape: type, raw: RawResponse, kind: FailureKind) -> Response:
    """The `data` of a 2xx response that names no known problem."""
    if not isinstance(envelope, dict):
        what = f"Upstox returned {raw.status} without a JSON object: {_excerpt_of(raw.body)}"
        raise UnusableResponse(kind, what)
    status, data = envelope.get("status"), envelope.get("data")
    if status not in ("success", "partial_success"):
        reason = _reason(*_error_of(envelope)) or f"status {_clean(str(status))!r}"
        raise UnusableResponse(kind, f"Upstox returned {raw.status} with an error: {reason}")
    if not isinstance(data, shape):
        raise UnusableResponse(
            kind, f"Upstox returned data of type {type(data).__name__}, not {shape.__name__}"
        )
    return Response(data, partial=status == "partial_success")


def _error_of(envelope: Any) -> tuple[str, str]:
    """Code and message of the first error in *envelope* (both spellings of the code)."""
    errors = envelope.get("errors") if isinstance(envelope, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return "", ""
    code = first.get("errorCode") or first.get("error_code") or ""
    return _clean(str(code)), _clean(str(first.get("message") or ""))


def _is_rate_limit_page(raw: RawResponse) -> bool:
    """Cloudflare's own rate limit is a page, not always with status 429."""
    if raw.status not in (403, 503):
        return False
    page = raw.body[:20_000].lower()
    return b"<html" in page and re.search(rb"error 1015|rate.?limit", page) is not None


def _reason(code: str, message: str) -> str:
    return ": ".join(part for part in (code, message) if part)


def _excerpt_of(body: bytes) -> str:
    """A few clean words of a body that is not what was requested."""
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
