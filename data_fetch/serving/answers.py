"""Answers with data: one frame around every document, its ETag, and 304.

The frame says what the older interfaces never did: as of when, how old, how complete.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response

from data_fetch.core.clock import utc_text
from data_fetch.serving.problems import Refusal
from data_fetch.serving.server import server_of

JSON = "application/json"
TAG_DIGITS = 24
# Who asks decides what is seen, so no cache between may share it.
CACHING = {
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Accept-Encoding, Authorization, X-API-Key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How much of what was asked for is there; *of* names what is counted."""

    of: str
    expected: int | None = None
    present: int | None = None
    missing: int | None = None
    pending: int | None = None

    @property
    def state(self) -> str:
        """complete, pending, degraded, missing or unknown."""
        if self.expected is None and self.missing is None:
            return "unknown"
        if self.missing:
            return "missing" if self.present == 0 else "degraded"
        return "pending" if self.pending else "complete"

    def document(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "of": self.of,
            "expected": self.expected,
            "present": self.present,
            "missing": self.missing,
            "pending": self.pending,
        }


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is missing or not known: a stable *code*, how often, and a sentence."""

    code: str
    count: int
    detail: str

    def document(self) -> dict[str, Any]:
        return {"code": self.code, "count": self.count, "detail": self.detail}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is said about the data of an answer. *newest* is the instant of its newest row,
    *next* the path that goes on after a cut answer; *degraded* is what the server goes on
    without."""

    as_of: datetime
    newest: datetime | None
    completeness: Counted
    source: str | None = None
    unit: str | None = None
    reasons: Sequence[Cause] = field(default=())
    next: str | None = None
    degraded: str | None = None

    @property
    def staleness_seconds(self) -> float | None:
        """The age of the newest row at *as_of*."""
        return None if self.newest is None else (self.as_of - self.newest).total_seconds()

    def passing(self) -> dict[str, Any]:
        """The members that change with time alone."""
        return {
            "as_of": utc_text(self.as_of),
            "staleness_seconds": self.staleness_seconds,
            "degraded": self.degraded,
        }

    def facts(self) -> dict[str, Any]:
        """All of it as JSON has it, for `frame_of`."""
        newest = None if self.newest is None else self.newest.isoformat()
        return {"as_of": self.as_of.isoformat(), "newest": newest, **self.lasting()}

    def lasting(self) -> dict[str, Any]:
        """The members that change with the data only."""
        return {
            "source": self.source,
            "unit": self.unit,
            "completeness": self.completeness.document(),
            "reasons": [each.document() for each in self.reasons],
            "truncated": self.next is not None,
            "next": self.next,
        }


def frame_of(facts: Mapping[str, Any]) -> Frame:
    """The frame with these *facts*. Raises KeyError, TypeError or ValueError for other ones."""
    newest, counted = facts["newest"], dict(facts["completeness"])
    counted.pop("state")
    return Frame(
        as_of=datetime.fromisoformat(facts["as_of"]),
        newest=None if newest is None else datetime.fromisoformat(newest),
        completeness=Counted(**counted),
        source=facts["source"],
        unit=facts["unit"],
        reasons=[Cause(**each) for each in facts["reasons"]],
        next=facts["next"],
    )


def data_answer(
    request: Request,
    document: Mapping[str, Any],
    frame: Frame,
    content: Mapping[str, Any] | None = None,
) -> Response:
    """*document* as JSON with its frame; 304 without a body when the sender has this content.

    A member of *document* replaces that of the frame: `truncated` of a chain that `limit` cut.
    *content* is the document without what changes with time alone, where it has such members.
    Raises as `refuse_incomplete` does.
    """
    refuse_incomplete(request, frame)
    lasting = orjson.dumps({**frame.lasting(), **document})
    frame = replace(frame, degraded=server_of(request).troubles.degraded)
    same = lasting if content is None else orjson.dumps({**frame.lasting(), **content})
    tag = entity_tag(same)
    if has_it(request, tag):
        return not_modified(tag)
    body = b"%b,%b" % (orjson.dumps(frame.passing())[:-1], lasting[1:])
    return Response(body, media_type=JSON, headers={**CACHING, "ETag": tag})


def refuse_incomplete(request: Request, frame: Frame) -> None:
    """Raises Refusal when the sender requires complete data and *frame* is of other."""
    counted = frame.completeness
    if request.query_params.get("require") != "complete" or counted.state == "complete":
        return
    causes = "; ".join(f"{each.count} {each.detail}" for each in frame.reasons)
    raise Refusal(
        HTTPStatus.CONFLICT,
        "incomplete",
        f"the data is {counted.state}: of {counted.expected} {counted.of}, {counted.present} are "
        "there" + (f" ({causes})" if causes else ""),
        then="Leave out require=complete to get what there is.",
        completeness=counted.document(),
        reasons=[each.document() for each in frame.reasons],
    )


def entity_tag(*content: bytes) -> str:
    """A weak tag of *content*: the age beside it may differ."""
    # Processors have instructions for this one, and ranges are long.
    digest = sha256()
    for each in content:
        digest.update(each)
    return f'W/"{digest.hexdigest()[:TAG_DIGITS]}"'


def has_it(request: Request, tag: str) -> bool:
    """Whether the sender says that it has the content of *tag*."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    bare = tag.removeprefix("W/")
    return any(each.strip().removeprefix("W/") in {bare, "*"} for each in given.split(","))


def not_modified(tag: str) -> Response:
    return Response(status_code=304, headers={**CACHING, "ETag": tag})
