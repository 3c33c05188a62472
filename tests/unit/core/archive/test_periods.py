"""The periods of partitions: months and weeks of Indian dates, without a gap between them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.archive.days import TABLES, day_of
from data_fetch.core.archive.periods import (
    WIDTHS,
    Period,
    Width,
    partition_name,
    period_named,
    period_with,
    periods_ahead,
    refuse_absurd,
)
from data_fetch.core.errors import SetupError

days = st.dates(date(1990, 1, 1), date(2099, 12, 1))
widths = st.sampled_from(Width)


def test_every_table_of_the_archive_has_a_width() -> None:
    assert set(WIDTHS) == {name for tables in TABLES.values() for name in tables}


@pytest.mark.parametrize(
    ("table", "day", "name", "first", "end"),
    [
        ("candles", "2026-09-16", "candles_2026_09", "2026-09-01", "2026-10-01"),
        ("candles", "2026-12-31", "candles_2026_12", "2026-12-01", "2027-01-01"),
        ("ltp_data", "2024-02-29", "ltp_data_2024_02", "2024-02-01", "2024-03-01"),
        (
            "option_chain_data",
            "2026-09-16",
            "option_chain_data_2026_09_14",
            "2026-09-14",
            "2026-09-21",
        ),
        (
            "option_chain_data",
            "2027-01-01",
            "option_chain_data_2026_12_28",
            "2026-12-28",
            "2027-01-04",
        ),
    ],
)
def test_a_period_and_the_name_of_its_partition(
    table: str, day: str, name: str, first: str, end: str
) -> None:
    period = period_with(date.fromisoformat(day), WIDTHS[table])

    assert period == Period(date.fromisoformat(first), date.fromisoformat(end))
    assert partition_name(table, period) == name
    assert period_named(name) == period


def test_a_month_begins_at_midnight_in_india() -> None:
    september = period_with(date(2026, 9, 16), Width.MONTH)

    assert september.bounds == (
        datetime(2026, 8, 31, 18, 30, tzinfo=UTC),
        datetime(2026, 9, 30, 18, 30, tzinfo=UTC),
    )


@given(days, widths)
def test_a_day_is_in_its_period_and_the_next_one_begins_where_it_ends(
    day: date, width: Width
) -> None:
    period = period_with(day, width)
    first, end = period.bounds

    assert day in period.days
    assert all(period_with(each, width) == period for each in period.days)
    assert day_of(first) == period.first
    assert day_of(end - timedelta(microseconds=1)) == period.days[-1]
    assert period_with(period.end, width).first == period.end


@given(days, widths)
def test_periods_ahead_follow_each_other(day: date, width: Width) -> None:
    ahead = periods_ahead(day, width)

    assert [one.end for one in ahead[:-1]] == [one.first for one in ahead[1:]]
    assert day in ahead[0].days


@given(days, st.sampled_from(sorted(WIDTHS)))
def test_a_period_is_found_by_its_partition(day: date, table: str) -> None:
    period = period_with(day, WIDTHS[table])

    assert period_named(partition_name(table, period)) == period


@pytest.mark.parametrize(
    "name",
    [
        "candles",
        "candles_2026",
        "candles_2026_13",
        "candles_2026_09_14",
        "option_chain_data_2026_09",
        "option_chain_data_2026_09_15",
        "notes_2026_09",
        "candles_old_2026_09",
    ],
)
def test_other_names_are_no_partitions(name: str) -> None:
    assert period_named(name) is None


@pytest.mark.parametrize("year", [1970, 1989, 2100, 2226])
def test_a_year_without_trading_is_refused(year: int) -> None:
    with pytest.raises(SetupError, match=f"a row of {year}.*1990 to 2099") as refusal:
        refuse_absurd("ltp_data", period_with(date(year, 6, 1), Width.MONTH))
    assert "Set the clock" in refusal.value.hint


def test_the_years_of_the_exchange_are_not_refused() -> None:
    for year in (1994, 2026, 2099):
        refuse_absurd("candles", period_with(date(year, 6, 1), Width.MONTH))
