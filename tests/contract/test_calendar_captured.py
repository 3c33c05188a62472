"""The calendar compared with published holidays and with recorded prices."""

import csv
import gzip
import json
from collections import defaultdict
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    INDEX,
    INDIA_VIX,
    MarketCalendar,
    TradingGroup,
)

CALENDAR = MarketCalendar.reviewed()
# Listed as holidays, with an hour of Muhurat trading.
MUHURAT = {date(2024, 11, 1), date(2025, 10, 21)}


def days_from(first: date, last: date) -> list[date]:
    return [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]


def closed_weekdays(first: date, last: date) -> set[date]:
    """Weekdays without an ordinary session."""
    return {
        day
        for day in days_from(first, last)
        if day.weekday() < 5
        and (not CALENDAR.session(day, FUTURES_AND_OPTIONS).open or day in MUHURAT)
    }


def test_the_published_holidays_are_those_of_the_table(shared_data: Path) -> None:
    with (shared_data / "holidays" / "nse_holidays_2023_2026.csv").open() as file:
        listed = {date.fromisoformat(row["date"]) for row in csv.DictReader(file)}
    weekdays = {day for day in listed if day.weekday() < 5}

    assert weekdays == closed_weekdays(date(2023, 1, 1), date(2026, 12, 31))


@pytest.mark.parametrize("segment", ["CM", "FO"])
def test_the_exchanges_own_list_of_2025(shared_data: Path, segment: str) -> None:
    master = json.loads((shared_data / "holidays" / "nse_holiday_master_api_2025.json").read_text())
    listed = {
        datetime.strptime(row["tradingDate"], "%d-%b-%Y").replace(tzinfo=IST).date()
        for row in master[segment]
    }

    assert {day for day in listed if day.weekday() < 5} == closed_weekdays(
        date(2025, 1, 1), date(2025, 12, 31)
    )


def minutes_recorded(path: Path) -> dict[date, list[time]]:
    """The labels of a file without header whose candles are named by their end."""
    days: dict[date, list[time]] = defaultdict(list)
    with gzip.open(path, "rt") as file:
        for row in csv.reader(file):
            days[datetime.strptime(row[1], "%Y%m%d").replace(tzinfo=IST).date()].append(
                time.fromisoformat(row[2])
            )
    return days


@pytest.mark.parametrize(
    ("file", "first", "last"),
    [
        pytest.param("NIFTY_2021-02.txt.gz", date(2021, 2, 1), date(2021, 2, 28), id="outage"),
        pytest.param("NIFTY_2021-11.txt.gz", date(2021, 11, 1), date(2021, 11, 30), id="Muhurat"),
        pytest.param("BANKNIFTY_2021-11.txt.gz", date(2021, 11, 1), date(2021, 11, 30), id="bank"),
    ],
)
def test_an_index_was_recorded_on_the_days_and_in_the_hours_of_the_calendar(
    shared_data: Path, file: str, first: date, last: date
) -> None:
    recorded = minutes_recorded(shared_data / "candles_1min" / file)
    sessions = [CALENDAR.session(day, INDEX) for day in days_from(first, last)]

    assert sorted(recorded) == [session.day for session in sessions if session.open]
    for session in sessions:
        labels = {
            datetime.combine(session.day, label, IST) - MINUTE
            for label in recorded.get(session.day, [])
        }
        if session.open:
            minutes = session.minutes()
            assert minutes[0] in labels
            assert minutes[-1] in labels


def test_the_missing_index_minutes_of_the_outage_are_the_providers_gap(shared_data: Path) -> None:
    """NIFTY was recorded to 10:08 and from 15:45 on; the exchange traded to 11:40."""
    day = date(2021, 2, 24)
    labels = minutes_recorded(shared_data / "candles_1min" / "NIFTY_2021-02.txt.gz")[day]
    starts = {datetime.combine(day, label, IST) - MINUTE for label in labels}
    missing = [minute for minute in CALENDAR.session(day, INDEX).minutes() if minute not in starts]

    assert len(missing) == 92
    assert missing[0] == datetime.combine(day, time(10, 8), IST)
    assert missing[-1] == datetime.combine(day, time(11, 39), IST)
    assert all(later - earlier == MINUTE for earlier, later in pairwise(missing))


@pytest.mark.parametrize("symbol", ["RELIANCE", "ICICIBANK", "TCS"])
def test_stocks_were_recorded_in_every_minute_of_the_calendar(
    shared_data: Path, symbol: str
) -> None:
    path = shared_data / "candles_1min" / f"{symbol}_2025-01_to_04.csv.gz"
    recorded: dict[date, set[datetime]] = defaultdict(set)
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            stamp = f"{row['date']} {row['time']}"
            at = datetime.strptime(stamp, "%d-%m-%Y %H:%M:%S").replace(tzinfo=IST)
            recorded[at.date()].add(at)
    left_out_by_the_publisher = {date(2025, 2, 1)}
    open_days = {
        day
        for day in days_from(min(recorded), max(recorded))
        if CALENDAR.session(day, F_AND_O_STOCK).open
    }

    assert set(recorded) == open_days - left_out_by_the_publisher
    for day, minutes in recorded.items():
        assert minutes == set(CALENDAR.session(day, F_AND_O_STOCK).minutes())


def three_minute_candles(path: Path, day: str) -> list[time]:
    """The starts of candles that are not flat; flat ones are stale or the price of an auction."""
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["datetime"].startswith(day)]
    return [
        datetime.fromisoformat(row["datetime"]).time()
        for row in rows
        if float(row["high"]) > float(row["low"])
    ]


@pytest.mark.parametrize(
    ("name", "group", "day"),
    [
        pytest.param("NIFTY", INDEX, "2025-10-20", id="an ordinary day"),
        pytest.param("NIFTY", INDEX, "2026-02-01", id="Budget Sunday"),
        pytest.param("NIFTY", INDEX, "2026-07-31", id="before the auction"),
        pytest.param("NIFTY", INDEX, "2026-08-03", id="the index frozen by the auction"),
        pytest.param("NIFTY", INDEX, "2026-08-04", id="and on the day after"),
        pytest.param("INDIA_VIX", INDIA_VIX, "2026-08-03", id="INDIA VIX without auction"),
    ],
)
def test_prices_moved_in_the_windows_of_the_calendar(
    shared_data: Path, name: str, group: TradingGroup, day: str
) -> None:
    candles = three_minute_candles(
        shared_data / "candles_3min_special" / f"{name}_3m_special_days.csv", day
    )
    (window,) = CALENDAR.session(date.fromisoformat(day), group).windows

    assert candles[0] == window.start
    last = datetime.combine(date.fromisoformat(day), candles[-1], IST) + timedelta(minutes=3)
    assert last.time() == window.end
