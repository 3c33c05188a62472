"""Spans are sets of minutes and obey the laws of sets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.spans import (
    Span,
    Spans,
    between,
    common,
    count,
    joined,
    spans_of,
    without,
)


def minutes_of(spans: Spans) -> set[int]:
    """The minutes as a Python set, after a check that *spans* are well-formed."""
    assert all(first < end for first, end in spans), "none empty"
    assert all(end < begin for (_, end), (begin, _) in pairwise(spans)), "ascending and apart"
    return {minute for first, end in spans for minute in range(first, end)}


MINUTES = st.sets(st.integers(0, 40))
RAW_SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        pytest.param([], (), id="none"),
        pytest.param([555], ((555, 556),), id="one"),
        pytest.param(range(555, 930), ((555, 930),), id="a full day"),
        pytest.param([1, 2, 4, 7, 8], ((1, 3), (4, 5), (7, 9)), id="with holes"),
        pytest.param([0, 1, 3], ((0, 2), (3, 4)), id="a hole before the last"),
    ],
)
def test_minutes_become_spans(minutes: list[int], expected: Spans) -> None:
    assert spans_of(minutes) == expected


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        pytest.param([(1, 3), (3, 5)], ((1, 5),), id="touching ones become one"),
        pytest.param([(1, 9), (2, 3)], ((1, 9),), id="one inside another"),
        pytest.param([(6, 8), (1, 3)], ((1, 3), (6, 8)), id="in any order"),
        pytest.param([(4, 4), (9, 2)], (), id="empty ones and those that end first"),
    ],
)
def test_overlapping_spans_are_joined(spans: list[Span], expected: Spans) -> None:
    assert joined(spans) == expected


@given(MINUTES)
def test_spans_have_the_same_minutes(minutes: set[int]) -> None:
    spans = spans_of(sorted(minutes))
    assert minutes_of(spans) == minutes
    assert count(spans) == len(minutes)


@given(RAW_SPANS)
def test_joined_is_the_union(raw: list[Span]) -> None:
    assert minutes_of(joined(raw)) == {minute for first, end in raw for minute in range(first, end)}


@given(MINUTES, MINUTES)
def test_common_is_the_intersection(these: set[int], those: set[int]) -> None:
    assert minutes_of(common(spans_of(sorted(these)), spans_of(sorted(those)))) == these & those


@given(MINUTES, MINUTES)
def test_without_is_the_difference(these: set[int], those: set[int]) -> None:
    assert minutes_of(without(spans_of(sorted(these)), spans_of(sorted(those)))) == these - those


@given(MINUTES, st.integers(0, 60), st.integers(0, 60))
def test_between_is_a_cut(these: set[int], first: int, length: int) -> None:
    cut = between(spans_of(sorted(these)), first, first + length)

    assert minutes_of(cut) == these & set(range(first, first + length))
