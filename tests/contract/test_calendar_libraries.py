"""The reviewed table compared with two library calendars: every difference has a reason.

A difference without a reason fails, and so does a reason without a difference, so that the
lists stay true when the table or a library changes.
"""

from collections.abc import Callable
from datetime import date, time, timedelta
from functools import cache

import exchange_calendars
import pandas_market_calendars
import pytest

from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    OTHER_STOCK,
    MarketCalendar,
    TradingGroup,
)

CALENDAR = MarketCalendar.reviewed()
FIRST, LAST = CALENDAR.reviewed_from, CALENDAR.reviewed_until

# The open and the close of a day; breaks within it are not compared.
Hours = tuple[time, time]
Schedule = dict[date, Hours]

WEEKEND_SESSIONS = {
    date(2023, 11, 12): "the libraries trade Monday to Friday only; Muhurat was on a Sunday",
    date(2024, 1, 20): "the libraries trade Monday to Friday only; a whole Saturday",
    date(2024, 3, 2): "the libraries trade Monday to Friday only; a drill on a Saturday",
    date(2024, 5, 18): "the libraries trade Monday to Friday only; a drill on a Saturday",
    date(2025, 2, 1): "the libraries trade Monday to Friday only; Budget on a Saturday",
    date(2026, 2, 1): "the libraries trade Monday to Friday only; Budget on a Sunday",
}
XBOM_DIFFERENCES = {
    **WEEKEND_SESSIONS,
    date(2021, 2, 24): "XBOM has no late session after NSE's outage",
    date(2021, 11, 4): "XBOM counts a Muhurat day as closed",
    date(2022, 10, 24): "XBOM counts a Muhurat day as closed",
    date(2024, 11, 1): "XBOM counts a Muhurat day as closed",
    date(2025, 10, 21): "XBOM counts a Muhurat day as closed",
}
# No library has the hours since then: neither the auction nor F&O to 15:40.
NEW_HOURS = date(2026, 8, 3)
NEW_HOURS_REASON = {
    OTHER_STOCK: None,
    F_AND_O_STOCK: "continuous trading ends at 15:15, the closing auction follows",
    FUTURES_AND_OPTIONS: "F&O trades until 15:40",
}


@cache
def nse() -> Schedule:
    schedule = pandas_market_calendars.get_calendar("NSE").schedule(FIRST, LAST, tz=IST)
    return {
        day.date(): (row.market_open.time(), row.market_close.time())
        for day, row in schedule.iterrows()
    }


@cache
def xbom() -> Schedule:
    schedule = exchange_calendars.get_calendar("XBOM", start=FIRST, end=LAST).schedule
    return {
        day.date(): (row.open.tz_convert(IST).time(), row.close.tz_convert(IST).time())
        for day, row in schedule.iterrows()
    }


def ours(day: date, group: TradingGroup) -> Hours | None:
    windows = CALENDAR.session(day, group).windows
    return (windows[0].start, windows[-1].end) if windows else None


def all_days() -> list[date]:
    return [FIRST + timedelta(days=ahead) for ahead in range((LAST - FIRST).days + 1)]


@pytest.mark.parametrize("group", [OTHER_STOCK, F_AND_O_STOCK, FUTURES_AND_OPTIONS], ids=str)
@pytest.mark.parametrize(
    ("library", "known"),
    [
        pytest.param(nse, WEEKEND_SESSIONS, id="pandas_market_calendars NSE"),
        pytest.param(xbom, XBOM_DIFFERENCES, id="exchange_calendars XBOM"),
    ],
)
def test_every_difference_is_explained(
    library: Callable[[], Schedule], known: dict[date, str], group: TradingGroup
) -> None:
    theirs = library()
    differences = {day for day in all_days() if ours(day, group) != theirs.get(day)}
    explained = set(known)
    if NEW_HOURS_REASON[group]:
        explained |= {day for day in theirs if day >= NEW_HOURS}

    assert sorted(differences - explained) == [], "differences without a reason"
    assert sorted(explained - differences) == [], "reasons without a difference"


def test_the_libraries_do_not_have_the_announced_muhurat_either() -> None:
    """When one of them has its hours, the reviewed table needs them too."""
    assert date(2026, 11, 8) not in nse()
    assert date(2026, 11, 8) not in xbom()
