"""In which form a range is answered: JSON, CSV or Arrow, as the request names it."""

from enum import StrEnum
from http import HTTPStatus

from fastapi import Request

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


def format_of(request: Request, named: Format | None) -> Format:
    """The *named* form, or the one that `Accept` likes best; JSON without either.

    Raises Refusal (406) when `Accept` takes none of them.
    """
    if named is not None:
        return named
    accepted = request.headers.get("accept", "*/*")
    likings = _likings(accepted)
    best = max(Format, key=lambda each: _liking(MEDIA_TYPES[each], likings))
    if _liking(MEDIA_TYPES[best], likings) > 0:
        return best
    raise Refusal(
        HTTPStatus.NOT_ACCEPTABLE,
        "not_acceptable",
        f"none of {accepted[:200]!r} is served here",
        then=f"Accept one of {', '.join(MEDIA_TYPES.values())}; or name a form: ?format=csv",
        media_types=list(MEDIA_TYPES.values()),
    )


def _likings(accepted: str) -> dict[str, float]:
    """How much the sender likes each of the ranges of media types that it names: 0 to 1."""
    found = {}
    for part in accepted.split(","):
        media_range, *parameters = (each.strip().lower() for each in part.split(";"))
        quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            found[media_range] = float(quality)
        except ValueError:
            found[media_range] = 0.0
    return found


def _liking(media_type: str, likings: dict[str, float]) -> float:
    """That of the most specific range which *media_type* is in; 0 for none."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((likings[each] for each in ranges if each in likings), 0.0)
