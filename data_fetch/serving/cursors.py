"""Cursors: where the next page of a range begins, sealed for the query that it continues.

A cursor names the last row that was returned, so that rows added meanwhile move nothing. It is no
secret; its seal keeps one that was changed, or that belongs to another query, from skipping rows.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from data_fetch.serving.problems import Refusal

SEAL_BYTES = 9


def cursor_after(position: Any, query: str) -> str:
    """The cursor behind *position*, a JSON value, of the *query* in its canonical text."""
    content = orjson.dumps(position)
    return urlsafe_b64encode(_seal(content, query) + content).decode().rstrip("=")


def position_of(cursor: str, query: str) -> Any:
    """The position that a cursor of *query* stands for. Raises Refusal (422) for any other text."""
    try:
        given = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (NotBase64, ValueError):
        raise _not_ours() from None
    seal, content = given[:SEAL_BYTES], given[SEAL_BYTES:]
    if not compare_digest(seal, _seal(content, query)):
        raise _not_ours()
    return orjson.loads(content)


def _seal(content: bytes, query: str) -> bytes:
    return blake2b(content, key=b"cursor", salt=_digest(query), digest_size=SEAL_BYTES).digest()


def _digest(query: str) -> bytes:
    return blake2b(query.encode(), digest_size=blake2b.SALT_SIZE).digest()


def _not_ours() -> Refusal:
    return Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_cursor",
        "the cursor is not one of this query",
        then="Follow `next` as it was returned, or begin again without a cursor.",
    )


@dataclass(frozen=True, slots=True)
class PagedQuery:
    """A query that is answered in pages: its *path*, and every parameter that decides its rows."""

    path: str
    parameters: Sequence[tuple[str, str]]

    @property
    def text(self) -> str:
        return f"{self.path}?{urlencode(self.parameters)}"

    def position(self, cursor: str | None) -> Any:
        """Where the page of *cursor* begins; None for the first. Raises Refusal (422)."""
        return None if cursor is None else position_of(cursor, self.text)

    def next(self, position: Any, **page: object) -> str:
        """The path of the page behind *position*; *page* are its other parameters, if they are
        set."""
        asked = {name: str(value) for name, value in page.items() if value is not None}
        asked["cursor"] = cursor_after(position, self.text)
        return f"{self.path}?{urlencode([*self.parameters, *asked.items()])}"


def path_to(*parts: str, **query: str | int | None) -> str:
    """The path of *parts*, each but the first one encoded, with the parameters that are given."""
    first, *rest = parts
    path = "/".join([first, *(quote(part, safe="") for part in rest)])
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
