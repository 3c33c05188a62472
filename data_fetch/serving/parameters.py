"""What several routes take: parameters of requests, described once, and what they mean."""

import re
from datetime import date, datetime
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Query

from data_fetch.reading.instants import EXAMPLE, date_of, instant

Expiry = Annotated[
    str | None,
    Query(description="An expiry: 2026-09-29 or 29-Sep-2026.", examples=["2026-09-29"]),
]
At = Annotated[
    str | None,
    Query(description="As of an instant with its offset.", examples=[EXAMPLE]),
]
# A plus sign that was not encoded arrives as a blank.
LOST_PLUS = re.compile(r"(T[0-9:.]+) (?=[0-9:]+$)")


def day_named(text: str | None) -> date | None:
    """The date that a parameter names. Raises SetupError for text that is none."""
    return None if text is None else date_of(text)


def instant_named(text: str | None) -> datetime | None:
    """The instant that a parameter names, UTC. Raises SetupError for text that is none, and
    without an offset."""
    return instant(restored_plus(text))


def restored_plus(text: str | None) -> str | None:
    """An instant with the plus sign of its offset, which the sender did not encode."""
    return None if text is None else LOST_PLUS.sub(r"\1+", text)


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two instants; None stands for no limit."""
    given = [each for each in (one, other) if each is not None]
    return min(given, default=None)


def path_to(*parts: str, **query: str | int | None) -> str:
    """The path of *parts*, each but the first one encoded, with the parameters that are given."""
    first, *rest = parts
    path = "/".join([first, *(quote(part, safe="") for part in rest)])
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
