"""The parameters that every range has, as FastAPI reads them."""

import re
from datetime import date
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import Path, Query, Request

from data_fetch.core.accounts.accounts import Role
from data_fetch.core.clock import IST
from data_fetch.serving.formats import Format
from data_fetch.serving.problems import Refusal
from data_fetch.serving.server import Server
from data_fetch.serving.viewers import viewer_of

MOST_SYMBOLS = 500
# No database takes a text with a NUL.
PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
OFFSET_IN_URL = re.compile(r" (?=\d\d:?\d\d$)")
# No symbol is longer.
Symbol = Annotated[str, Path(max_length=64, pattern=PRINTABLE, examples=["RELIANCE", "M&M"])]
Text = Annotated[str, Query(max_length=64, pattern=PRINTABLE)]
First = Annotated[
    Text | None,
    Query(
        alias="from",
        description="First Indian trading date, included; the present day by default.",
        examples=["2026-09-01"],
    ),
]
Last = Annotated[
    Text | None,
    Query(
        alias="to",
        description="Last Indian trading date, included; the present day by default.",
        examples=["2026-09-30"],
    ),
]
Begin = Annotated[
    Text | None,
    Query(
        alias="from",
        description="First Indian trading date or an instant with an offset, included; the "
        "present day by default. In a URL `+` is written `%2B`.",
        examples=["2026-09-16", "2026-09-16T09:15:00+05:30"],
    ),
]
End = Annotated[
    Text | None,
    Query(
        alias="to",
        description="Last Indian trading date or an instant with an offset, included; the "
        "present day by default.",
        examples=["2026-09-16", "2026-09-16T15:30:00+05:30"],
    ),
]
Every = Annotated[
    Text | None,
    Query(
        description="One row for each such step of trading hours, in IST: the snapshot in force "
        "then. Without it one row for each snapshot.",
        examples=["30s", "15m", "1h"],
    ),
]
Symbols = Annotated[
    str | None,
    Query(
        max_length=20_000,
        pattern=PRINTABLE,
        description=f"At most {MOST_SYMBOLS}, separated by commas; every listed one by default.",
        examples=["RELIANCE,TCS"],
    ),
]
AsOf = Annotated[
    Text | None,
    Query(
        description="As stored at this instant, with an offset; now by default.",
        examples=["2026-09-16T15:30:00+05:30"],
    ),
]
Limit = Annotated[
    int | None,
    Query(
        ge=1,
        le=50_000,
        description="Rows of one answer. JSON has 10,000 by default; CSV and Arrow have all.",
    ),
]
Cursor = Annotated[
    str | None, Query(max_length=200, description="Where to go on: part of the path in `next`.")
]
Require = Annotated[
    Literal["complete"] | None,
    Query(
        alias="require",
        description="`complete`: refuse (409) a range that lacks what could still arrive.",
    ),
]
Form = Annotated[
    Format | None, Query(alias="format", description="Instead of the header `Accept`.")
]


def symbols_named(symbols: str | None) -> list[str]:
    """The symbols of a list, in capitals; none for the whole list of symbols.

    Raises Refusal (422) for a list that names none, or too many.
    """
    if symbols is None:
        return []
    named = [each.upper() for part in symbols.split(",") if (each := part.strip())]
    if 0 < len(named) <= MOST_SYMBOLS:
        return named
    raise Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid",
        f"{len(named)} symbols are named; between 1 and {MOST_SYMBOLS} are answered at once",
        then="Separate them by commas: ?symbols=RELIANCE,TCS",
    )


def refuse_public(request: Request) -> None:
    """Raises Refusal (403) for the role that sees data later: it may not see how collecting is
    doing now."""
    if viewer_of(request.scope).role is Role.PUBLIC:
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "forbidden",
            "this shows the present state of collecting, which this role sees later",
            then="Use an account or an API key with the role user.",
        )


def present_day(server: Server) -> date:
    """The Indian date of the present instant. Raises as `Server.now` does."""
    return server.now().astimezone(IST).date()


def moment(text: str | None) -> str | None:
    """A date or an instant as it was meant: in a URL the plus sign of an offset is a space."""
    return None if text is None else OFFSET_IN_URL.sub("+", text)
