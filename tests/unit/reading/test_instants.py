"""Dates and ranges as users write them."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.errors import SetupError
from data_fetch.reading.instants import date_of, half_open
from data_fetch.reading.nse_entries import date_text

DAYS = st.dates(date(1900, 1, 1), date(2999, 12, 31))


@given(DAYS)
def test_a_date_is_read_in_both_forms(day: date) -> None:
    assert date_of(day.isoformat()) == day
    assert date_of(date_text(day)) == date_of(date_text(day).upper()) == day


@pytest.mark.parametrize(
    "text",
    ["31-Feb-2026", "2026-02-31", "30-Foo-2026", "30-01-2026", "", "0001-01-01", "9999-12-31"],
)
def test_no_date(text: str) -> None:
    with pytest.raises(SetupError, match="is not a date"):
        date_of(text)


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 9, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "last", "ends"),
    [
        pytest.param(None, None, (None, None), id="open at both ends"),
        pytest.param(
            "2026-09-16", "2026-09-16", (utc(15, 18, 30), utc(16, 18, 30)), id="a day in India"
        ),
        pytest.param(
            "16-Sep-2026", "17-SEP-2026", (utc(15, 18, 30), utc(17, 18, 30)),
            id="as the exchange writes it",
        ),
        pytest.param(
            "2026-09-16T09:15:00+05:30", "2026-09-16T04:00:00Z", (utc(16, 3, 45), utc(16, 4)),
            id="instants",
        ),
    ],
)  # fmt: skip
def test_a_last_date_is_included_and_a_last_instant_is_not(
    first: str | None, last: str | None, ends: tuple[datetime | None, datetime | None]
) -> None:
    assert half_open(first, last) == ends


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param("2026-09-17", "2026-09-16", id="dates the wrong way round"),
        pytest.param("2026-09-16T04:00:00Z", "2026-09-16T04:00:00Z", id="an instant to itself"),
    ],
)
def test_an_empty_range_is_refused(first: str, last: str) -> None:
    with pytest.raises(SetupError, match="nothing lies between"):
        half_open(first, last)
