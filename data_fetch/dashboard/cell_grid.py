"""The canvas on which a browser draws cells, and what is selected on it."""

from collections.abc import Sequence
from datetime import date
from importlib.resources import files
from typing import Any

import streamlit as st

from data_fetch.dashboard.cells import CODES, COLOURS, NAMES, Cells

# A row and a column, by their names.
Place = tuple[str, str]
# The first and the last place of a rectangle.
Corners = tuple[Place, Place]

SOURCES = files("data_fetch.dashboard")
_draw = st.components.v2.component(
    "data_fetch_cell_grid",
    html=SOURCES.joinpath("cell_grid.html").read_text("utf-8"),
    css=SOURCES.joinpath("cell_grid.css").read_text("utf-8"),
    js=SOURCES.joinpath("cell_grid.js").read_text("utf-8"),
)


def cell_grid(
    cells: Cells,
    heads: Sequence[str],
    label: str,
    selected: Corners | None,
    key: str,
) -> Corners | None:
    """Draw *cells* with *heads* over its columns; what is selected on it, *selected* at first.

    *label* is what a screen reader says of it.
    """
    result = _draw(
        key=key,
        data=document(cells, heads, label, selected),
        on_selection_change=lambda: None,
    )
    return corners_of(result.selection) or selected


def document(
    cells: Cells, heads: Sequence[str], label: str, selected: Corners | None
) -> dict[str, Any]:
    """What the browser gets."""
    return {
        "rows": list(cells.rows),
        "columns": list(cells.columns),
        "heads": list(heads),
        "text": cells.text,
        "expected": list(cells.expected),
        "joint": cells.joint,
        "newest_last": cells.newest_last,
        "states": [[code, NAMES[state], COLOURS[state]] for state, code in CODES.items()],
        "label": label,
        "selected": selected,
    }


def corners_of(value: Any) -> Corners | None:
    """The corners that a browser sent; None for nothing."""
    if not value:
        return None
    (first, since), (last, until) = value
    return (str(first), str(since)), (str(last), str(until))


def month_heads(columns: Sequence[str]) -> list[str]:
    """Over the first day of each month its name, over the others their number."""
    days = [date.fromisoformat(column) for column in columns]
    before = [None, *days]
    return [
        f"{day:%b}" if earlier is None or day.month != earlier.month else f"{day.day}"
        for day, earlier in zip(days, before, strict=False)
    ]
