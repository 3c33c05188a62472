"""NSE's list of holidays: which days it closes, and what is rejected."""

from datetime import date, datetime
from threading import Event
from typing import Any

import pytest
from nse_stub import json, paths, site_for, visiting
from upstox_stub import START, FreePacing, Stub

from data_fetch.core.clock import IST, VirtualClock
from data_fetch.core.errors import BadResponse
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, OTHER_STOCK, MarketCalendar
from data_fetch.core.market.table import Segment
from data_fetch.sources.nse.holidays import NseHolidays, read_holidays

AT = datetime(2027, 1, 4, 8, 15, tzinfo=IST)


def holiday(day: str, description: str = "A feast", **changes: Any) -> dict[str, Any]:
    row = {"tradingDate": day, "weekDay": "Monday", "description": description}
    return {**row, "morning_session": None, "evening_session": None, "Sr_no": 1, **changes}


def test_the_segments_of_the_list_are_ours() -> None:
    body = {
        "CBM": [holiday("01-Apr-2027")],
        "CM": [holiday("15-Jan-2027"), holiday("26-Jan-2027", "Republic Day")],
        "FO": [holiday("26-Jan-2027", "Republic Day")],
    }
    found = read_holidays(body, AT)

    assert [(day, segment, hours.windows) for day, segment, hours in found.calendar.days()] == [
        (date(2027, 1, 15), Segment.CASH, ()),
        (date(2027, 1, 15), Segment.INDEX, ()),
        (date(2027, 1, 26), Segment.CASH, ()),
        (date(2027, 1, 26), Segment.FO, ()),
        (date(2027, 1, 26), Segment.INDEX, ()),
    ]
    assert (found.calendar.years, found.calendar.refreshed_at) == ({2027}, AT)
    assert (found.source, found.rejected) == ("NSE", ())


def test_a_day_with_muhurat_trading_has_no_hours_until_they_are_published() -> None:
    rows = [holiday("29-Oct-2027", "Diwali Laxmi Pujan*")]
    found = read_holidays({"CM": rows, "FO": rows}, AT).calendar
    session = (
        MarketCalendar.reviewed()
        .with_provider(found)
        .session(date(2027, 10, 29), FUTURES_AND_OPTIONS)
    )

    assert not session.open
    assert session.note == "Diwali Laxmi Pujan (Muhurat trading, hours not published yet)"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        pytest.param("closed", "not an object", id="text"),
        pytest.param(holiday("45-Jan-2027"), "no date", id="no such day"),
        pytest.param(holiday("26/01/2027"), "no date", id="another form"),
        pytest.param({"description": "A feast"}, "no date", id="no day at all"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason(row: object, reason: str) -> None:
    found = read_holidays({"CM": [row, holiday("26-Jan-2027")], "FO": [row]}, AT)

    assert {day for day, _, _ in found.calendar.days()} == {date(2027, 1, 26)}
    assert len(found.rejected) == 1
    assert reason in found.rejected[0]


@pytest.mark.parametrize("body", [[], {"CD": []}, {"error": "no visit"}, None, "closed"])
def test_anything_else_is_no_list(body: object) -> None:
    with pytest.raises(BadResponse):
        read_holidays(body, AT)


def test_an_empty_list_has_no_year() -> None:
    assert read_holidays({"CM": [], "FO": []}, AT).calendar.years == frozenset()


def test_the_list_is_requested_as_the_website_does() -> None:
    clock = VirtualClock(START)
    with Stub() as stub:
        visiting(stub, json({"CM": [holiday("20-Oct-2026")], "FO": [holiday("20-Oct-2026")]}))
        source = NseHolidays(site_for(stub.url, clock, FreePacing()), clock)
        found = source.published([date(2026, 9, 16)], Event())

        assert paths(stub) == ["option-chain", "holiday-master"]
        assert stub.seen[-1].query == {"type": ["trading"]}
    closed = MarketCalendar.reviewed().with_provider(found.calendar)
    assert not closed.session(date(2026, 10, 20), OTHER_STOCK).open
