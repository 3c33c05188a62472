"""In which form a range is answered: JSON, CSV or Arrow, as the request names it."""

from enum import StrEnum
from http import HTTPStatus
from typing import Any

from fastapi import Request

from data_fetch.serving.media_types import preferred
from data_fetch.serving.problems import Refusal


class Format(StrEnum):
    """A form of a table, as `?format=` names it."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


MEDIA_TYPES = {
    Format.JSON: "application/json",
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
    accepted = request.headers.get("accept", "")
    chosen = preferred(accepted, list(FORMATS))
    if chosen is not None:
        return FORMATS[chosen]
    raise Refusal(
        HTTPStatus.NOT_ACCEPTABLE,
        "not_acceptable",
        f"none of {accepted[:200]!r} is served here",
        then=f"Accept one of {', '.join(FORMATS)}; or name a form: ?format=csv",
        media_types=list(FORMATS),
    )
