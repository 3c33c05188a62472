"""Bodies of requests: read as a whole before a route runs, bounded in size and time."""

import json
from asyncio import timeout
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.types import Message, Receive

from data_fetch.serving.problems import Refusal

MOST_BYTES = 1_000_000
MOST_SECONDS = 15.0


async def with_whole_body(headers: Mapping[bytes, bytes], receive: Receive) -> Receive:
    """*receive* for a request whose body has arrived and is acceptable. Raises Refusal."""
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        return receive
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "compressed_body",
            "compressed bodies are not accepted",
            then="Send it as it is.",
        )
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length[:20]) > MOST_BYTES:
        raise _too_large()
    try:
        async with timeout(MOST_SECONDS):
            body, ended = await _whole_body(receive)
    except TimeoutError:
        raise Refusal(
            HTTPStatus.REQUEST_TIMEOUT,
            "body_too_slow",
            f"the body did not arrive within {MOST_SECONDS:.0f} s",
            then="Send it again.",
        ) from None
    if body and _is_json(headers.get(b"content-type", b"")):
        _check_json(body)
    return _replayed(body, ended, receive)


async def _whole_body(receive: Receive) -> tuple[bytes, Message | None]:
    """The body; and the message that the sender went away, if it did."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts), message
        part = message.get("body", b"")
        size += len(part)
        if size > MOST_BYTES:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts), None


def _too_large() -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        f"the body has more than {MOST_BYTES:,} bytes",
        then="Send less at once.",
    )


def _replayed(body: bytes, ended: Message | None, receive: Receive) -> Receive:
    waiting = [] if ended is None else [ended]
    waiting.append({"type": "http.request", "body": body, "more_body": ended is not None})

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _is_json(media_type: bytes) -> bool:
    bare = media_type.partition(b";")[0].strip().lower()
    return bare == b"application/json" or bare.endswith(b"+json")


def _check_json(body: bytes) -> None:
    """Raises Refusal for what is not strictly JSON, or has a member twice: which of the two
    counts would depend on the reader."""
    try:
        orjson.loads(body)
        json.loads(body, object_pairs_hook=_members)
    except (ValueError, RecursionError) as problem:
        # Only our own text: the reader's may have parts of the body in it.
        detail = str(problem) if isinstance(problem, _Twice) else "the body is not valid JSON"
        raise Refusal(
            HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, then="Correct the body."
        ) from None


class _Twice(ValueError):
    """A member of an object is there twice."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Twice("the body has a member twice")
    return members
