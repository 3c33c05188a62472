"""Laws of cursors and pages."""

from ast import literal_eval
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.serving.cursors import PagedQuery, cursor_after, position_of
from data_fetch.serving.pages import part_of
from data_fetch.serving.problems import Refusal

BEGIN = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
KEY = ("at", "expiry")
rows = st.sets(st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=40)


def table(of: set[tuple[int, int]]) -> Any:
    ordered = sorted(of)
    return pa.table(
        {
            "at": pa.array(
                [BEGIN + timedelta(microseconds=at) for at, _ in ordered], pa.timestamp("us", "UTC")
            ),
            "expiry": pa.array([date(2026, 9, 22 + day) for _, day in ordered], pa.date32()),
            "row": [repr(row) for row in ordered],
        }
    )


@given(rows, st.integers(1, 50), st.lists(rows, max_size=50))
def test_pages_give_every_row_once_while_rows_are_added(
    stored: set[tuple[int, int]], limit: int, added: list[set[tuple[int, int]]]
) -> None:
    query = PagedQuery("/rows", [("from", "2026-09-16")])
    present, later, found, cursor = set(stored), iter(added), [], None
    while True:
        after = query.position(cursor)
        part, position = part_of(table(present), KEY, after, limit)
        assert len(part) <= limit
        found += part["row"].to_pylist()
        if position is None:
            break
        assert len(part) == limit
        cursor = query.next(position).rpartition("cursor=")[2]
        present |= next(later, set())

    shown = [literal_eval(row) for row in found]
    assert shown == sorted(set(shown))
    assert stored <= set(shown) <= present


@given(st.text(max_size=200))
def test_a_text_of_somebody_else_is_no_cursor(text: str) -> None:
    with pytest.raises(Refusal, match="not one of this query"):
        position_of(text, "/rows?")


@given(st.lists(st.text(max_size=20), max_size=3), st.data())
def test_a_changed_cursor_is_refused(position: list[str], data: st.DataObject) -> None:
    cursor = cursor_after(position, "/rows?a=1")
    assert position_of(cursor, "/rows?a=1") == position

    place = data.draw(st.integers(0, len(cursor) - 2))
    other = data.draw(st.sampled_from(sorted(set("Aa0_") - {cursor[place]})))
    with pytest.raises(Refusal):
        position_of(cursor[:place] + other + cursor[place + 1 :], "/rows?a=1")


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_cursor_is_of_one_query(one: str, other: str) -> None:
    query = PagedQuery("/rows", [("symbol", one)])
    elsewhere = PagedQuery("/rows", [("symbol", other)])

    cursor = query.next([1]).rpartition("cursor=")[2]

    if one == other:
        assert elsewhere.position(cursor) == [1]
    else:
        with pytest.raises(Refusal):
            elsewhere.position(cursor)
