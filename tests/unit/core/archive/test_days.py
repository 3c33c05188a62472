"""Indian dates as spans of time, and the time between them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.archive.days import bounds_of, spans_beside

FIRST = date(2026, 9, 1)


def begin(day: int) -> datetime:
    return bounds_of(date(2026, 9, day))[0]


@pytest.mark.parametrize(
    ("days", "spans"),
    [
        ([], [(None, None)]),
        ([15], [(None, begin(15)), (begin(16), None)]),
        ([15, 16], [(None, begin(15)), (begin(17), None)]),
        ([18, 21], [(None, begin(18)), (begin(19), begin(21)), (begin(22), None)]),
    ],
    ids=str,
)
def test_spans_beside(
    days: list[int], spans: list[tuple[datetime | None, datetime | None]]
) -> None:
    assert spans_beside([date(2026, 9, day) for day in days]) == spans


@given(st.sets(st.integers(0, 20)), st.integers(-48, 24 * 22))
def test_an_instant_is_on_one_of_the_days_or_in_one_of_the_spans(
    chosen: set[int], hours: int
) -> None:
    days = [FIRST + timedelta(days=number) for number in sorted(chosen)]
    at = datetime(2026, 9, 1, tzinfo=UTC) + timedelta(hours=hours)
    spans = [
        (first is None or first <= at) and (end is None or at < end)
        for first, end in [*map(bounds_of, days), *spans_beside(days)]
    ]
    assert spans.count(True) == 1
