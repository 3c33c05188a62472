"""The parameters that every range has, as FastAPI reads them."""

from typing import Annotated, Literal

from fastapi import Path, Query

from data_fetch.serving.formats import Format

# No symbol is longer, and no database takes a text with a NUL.
Symbol = Annotated[
    str, Path(max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["RELIANCE", "M&M"])
]
First = Annotated[
    str | None,
    Query(
        alias="from",
        description="First Indian trading date, included; the present day by default.",
        examples=["2026-09-01"],
    ),
]
Last = Annotated[
    str | None,
    Query(
        alias="to",
        description="Last Indian trading date, included; the present day by default.",
        examples=["2026-09-30"],
    ),
]
AsOf = Annotated[
    str | None,
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
DEFAULT_LIMIT = 10_000
