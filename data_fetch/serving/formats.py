"""In which form a range is answered: JSON, CSV or Arrow, as the request names it."""

from enum import StrEnum
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute

from data_fetch.serving.media_types import preferred
from data_fetch.serving.problems import Refusal


class Format(StrEnum):
    """A form of a table, as `?format=` names it."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


JSON = "application/json"
# What most clients send, if anything.
EVERYONES = frozenset({"", "*/*", JSON})
MEDIA_TYPES = {
    Format.JSON: JSON,
    Format.CSV: "text/csv",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}
FORMATS = {media_type: form for form, media_type in MEDIA_TYPES.items()}
# The answer of a range for OpenAPI, besides its JSON.
RANGE_FORMS: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK.value: {
        "content": {
            MEDIA_TYPES[Format.CSV]: {"schema": {"type": "string"}},
            MEDIA_TYPES[Format.ARROW]: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


def format_of(request: Request, named: Format | None) -> Format:
    """The *named* form, or the one that `Accept` prefers; JSON without either.

    Raises Refusal (406) when `Accept` takes none of them.
    """
    if named is not None:
        return named
    accepted = _accepted(request)
    chosen = preferred(accepted, list(FORMATS))
    if chosen is not None:
        return FORMATS[chosen]
    then = f"Accept one of {', '.join(FORMATS)}; or name a form: ?format=csv"
    raise _not_acceptable(accepted, list(FORMATS), then)


async def refuse_other_forms(request: Request) -> None:
    """Raises Refusal (406) when `Accept` does not take JSON, and the call has nothing else.

    A call with other forms names them in its description, and chooses by itself.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    has_others = "content" in route.responses.get(HTTPStatus.OK.value, {})
    if has_others or not route.include_in_schema:
        return
    accepted = _accepted(request)
    if not takes_json(accepted):
        raise _not_acceptable(accepted, [JSON], f"Accept {JSON}: this call has no other form.")


def takes_json(accept: str) -> bool:
    """Whether a sender with this `Accept` takes JSON."""
    return accept in EVERYONES or preferred(accept, (JSON,)) is not None


def _accepted(request: Request) -> str:
    # Several headers are one list.
    return ", ".join(request.headers.getlist("accept"))


def _not_acceptable(accepted: str, media_types: list[str], then: str) -> Refusal:
    return Refusal(
        HTTPStatus.NOT_ACCEPTABLE,
        "not_acceptable",
        f"none of {accepted[:200]!r} is served here",
        then=then,
        media_types=media_types,
    )
