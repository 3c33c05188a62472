"""What several routes take: parameters of requests, described once, and what they mean."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import Depends, Path, Query

from data_fetch.reading.instants import EXAMPLE, Period, date_of, instant, period
from data_fetch.serving.formats import Format
from data_fetch.serving.problems import Refusal

MOST_SYMBOLS = 500
# No database takes a text with a NUL.
PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
# A plus sign that was not encoded arrives as a blank.
LOST_PLUS = re.compile(r"(T[0-9:.]+) (?=[0-9:]+$)")
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
Expiry = Annotated[
    str | None,
    Query(description="An expiry: 2026-09-29 or 29-Sep-2026.", examples=["2026-09-29"]),
]
At = Annotated[
    str | None,
    Query(description="As of an instant with its offset.", examples=[EXAMPLE]),
]


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a range a request is for, and in which form if it names one."""

    limit: int | None
    cursor: str | None
    form: Format | None


# A plain function would cost a thread.
async def _paging(
    limit: Limit = None, cursor: Cursor = None, _: Require = None, form: Form = None
) -> Paging:
    return Paging(limit, cursor, form)


Paged = Annotated[Paging, Depends(_paging)]


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


def symbols_parameter(named: Sequence[str]) -> list[tuple[str, str]]:
    """The parameter that names the symbols *named*; none for the whole list of symbols."""
    return [("symbols", ",".join(named))] if named else []


def period_named(begin: str | None, end: str | None, today: date) -> Period:
    """The time that two parameters name, by default *today*. Raises SetupError."""
    return period(restored_plus(begin) or today, restored_plus(end) or today)


def period_parameters(wanted: Period) -> list[tuple[str, str]]:
    """The parameters that name *wanted* on any day."""
    return [("from", wanted.begin.isoformat()), ("to", wanted.end.isoformat())]


def day_named(text: str | None) -> date | None:
    """The date that a parameter names. Raises SetupError for text that is none."""
    return None if text is None else date_of(text)


def instant_named(text: str | None) -> datetime | None:
    """The instant that a parameter names, UTC. Raises SetupError for text that is none, and
    without an offset."""
    return instant(restored_plus(text))


def restored_plus(text: str | None) -> str | None:
    """A date or an instant with the plus sign of its offset, which the sender did not encode."""
    return None if text is None else LOST_PLUS.sub(r"\1+", text)


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two instants; None stands for no limit."""
    given = [each for each in (one, other) if each is not None]
    return min(given, default=None)
