"""Precedence of the override file, the reviewed table and the provider."""

from datetime import date, datetime

import pytest

from data_fetch.core.clock import IST
from data_fetch.core.errors import CalendarUnknown, SetupError
from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    INDIA_VIX,
    OTHER_STOCK,
    LocalOverride,
    MarketCalendar,
    ProviderCalendar,
    ProviderHours,
    Segment,
    TradingGroup,
    TradingWindow,
    parse_override,
)

REVIEWED = MarketCalendar.reviewed()
STOCK, OTHER, FO = F_AND_O_STOCK, OTHER_STOCK, FUTURES_AND_OPTIONS
CASH = Segment.CASH
NO_YEAR: frozenset[int] = frozenset()


def windows(*texts: str) -> tuple[TradingWindow, ...]:
    return tuple(map(TradingWindow.parse, texts))


def published(day: str, segment: Segment, *texts: str, note: str = "published") -> ProviderCalendar:
    given = ProviderHours(windows(*texts), note)
    return ProviderCalendar(timings={(date.fromisoformat(day), segment): given})


def at(instant: str) -> datetime:
    return datetime.fromisoformat(instant).replace(tzinfo=IST)


def listed(*holidays: str, since: str, years: frozenset[int] = NO_YEAR) -> ProviderCalendar:
    """A list of *holidays* of the cash market as received at *since*."""
    closed = ProviderHours((), "listed", at(since))
    days = {(date.fromisoformat(day), CASH): closed for day in holidays}
    named = {day.year for day, _ in days}
    return ProviderCalendar(listed=days, years=years or frozenset(named))


def timed(day: str, *texts: str, since: str) -> ProviderCalendar:
    """The timings of *day* as received at *since*."""
    given = ProviderHours(windows(*texts), "timed", at(since))
    return ProviderCalendar(timings={(date.fromisoformat(day), CASH): given})


def override(text: str) -> LocalOverride:
    return LocalOverride(parse_override(text, "calendar_override.toml"))


@pytest.mark.parametrize(
    ("day", "group", "given", "hours", "auction", "provisional"),
    [
        pytest.param(
            "2026-09-16",
            STOCK,
            ["09:15-15:30"],
            ["09:15-15:15"],
            "15:15-15:35",
            False,
            id="ordinary NSE timings do not change the auction",
        ),
        pytest.param(
            "2026-09-16",
            INDIA_VIX,
            ["09:15-15:30"],
            ["09:15-15:30"],
            None,
            False,
            id="and INDIA VIX as it is",
        ),
        pytest.param(
            "2026-09-16",
            STOCK,
            ["09:00-15:15"],
            ["09:15-15:15"],
            "15:15-15:35",
            False,
            id="pre-open counted in, auction left out",
        ),
        pytest.param(
            "2026-09-16",
            OTHER,
            ["09:15-15:35"],
            ["09:15-15:30"],
            None,
            False,
            id="auction counted in",
        ),
        pytest.param(
            "2026-09-16",
            FO,
            ["09:15-15:30"],
            ["09:15-15:40"],
            None,
            False,
            id="an old close does not change F&O",
        ),
        pytest.param(
            "2026-09-16",
            FO,
            ["09:15-15:55"],
            ["09:15-15:55"],
            None,
            True,
            id="a later close of F&O applies",
        ),
        pytest.param(
            "2026-09-16",
            STOCK,
            ["09:15-16:00"],
            ["09:15-15:15"],
            "15:15-15:35",
            True,
            id="a later close of cash does not change the auction",
        ),
        pytest.param(
            "2026-09-16",
            STOCK,
            ["09:15-12:30"],
            ["09:15-12:30"],
            None,
            True,
            id="a short day has no auction",
        ),
        pytest.param(
            "2026-09-16", STOCK, [], [], None, True, id="a holiday added late closes the day"
        ),
        pytest.param(
            "2026-09-14",
            STOCK,
            ["09:15-15:30"],
            ["09:15-15:15"],
            "15:15-15:35",
            True,
            id="a holiday that was moved trades a full day",
        ),
        pytest.param(
            "2026-09-19",
            STOCK,
            ["09:15-10:00", "11:30-12:30"],
            ["09:15-10:00", "11:30-12:30"],
            None,
            True,
            id="a drill on a Saturday",
        ),
        pytest.param(
            "2026-11-08",
            STOCK,
            ["18:00-19:00"],
            ["18:00-19:00"],
            None,
            True,
            id="the hours of the announced Muhurat",
        ),
        pytest.param(
            "2024-01-20",
            STOCK,
            ["09:15-12:30"],
            ["09:15-15:30"],
            None,
            False,
            id="a reviewed special day stays",
        ),
        pytest.param(
            "2025-10-21", STOCK, [], ["13:45-14:45"], None, False, id="a reviewed Muhurat stays"
        ),
        pytest.param(
            "2027-01-04",
            STOCK,
            ["09:15-15:30"],
            ["09:15-15:15"],
            "15:15-15:35",
            True,
            id="a day beyond the table",
        ),
    ],
)
def test_sessions_with_hours_of_the_provider(
    day: str,
    group: TradingGroup,
    given: list[str],
    hours: list[str],
    auction: str | None,
    provisional: bool,
) -> None:
    calendar = REVIEWED.with_amendments(published(day, group.segment, *given))
    session = calendar.session(date.fromisoformat(day), group)

    assert [str(window) for window in session.windows] == hours
    assert (session.auction and str(session.auction)) == auction
    assert session.provisional is provisional


@pytest.mark.parametrize(
    ("day", "segment", "given", "kept"),
    [
        pytest.param("2024-01-20", CASH, ["09:15-12:30"], ["09:15-15:30"], id="special day"),
        pytest.param("2026-09-16", Segment.FO, ["09:15-15:30"], ["09:15-15:40"], id="old close"),
        pytest.param("2026-09-16", CASH, ["09:15-15:30"], None, id="the same hours"),
        pytest.param("2026-09-16", CASH, ["09:15-12:30"], None, id="followed"),
        pytest.param("2019-01-01", CASH, [], None, id="older than the calendar"),
    ],
)
def test_conflicts_are_the_sessions_that_differ_from_the_provider(
    day: str, segment: Segment, given: list[str], kept: list[str] | None
) -> None:
    provider = published(day, segment, *given)
    conflicts = REVIEWED.with_amendments(provider).conflicts_with(provider)

    assert [[str(w) for w in session.windows] for session in conflicts] == ([kept] if kept else [])


def test_an_empty_provider_calendar_removes_nothing() -> None:
    closed = REVIEWED.with_amendments(published("2026-09-16", CASH), ProviderCalendar())

    assert not closed.session(date(2026, 9, 16), STOCK).open


def test_of_two_provider_calendars_the_newer_one_counts() -> None:
    opened = REVIEWED.with_amendments(
        published("2026-09-16", CASH), published("2026-09-16", CASH, "10:00-11:00")
    )

    assert opened.session(date(2026, 9, 16), STOCK).expected_minutes == 60


def test_hours_of_one_segment_do_not_change_the_others() -> None:
    calendar = REVIEWED.with_amendments(published("2026-09-16", CASH))

    assert not calendar.session(date(2026, 9, 16), STOCK).open
    assert calendar.session(date(2026, 9, 16), FO).open


def test_a_listed_year_is_known_and_provisional() -> None:
    calendar = REVIEWED.with_amendments(listed("2027-01-26", since="2027-01-04 08:15"))
    republic_day, wednesday, saturday = (
        calendar.session(date(2027, 1, day), STOCK) for day in (26, 27, 30)
    )

    assert (republic_day.open, republic_day.note) == (False, "listed")
    assert (wednesday.expected_minutes, str(wednesday.auction)) == (360, "15:15-15:35")
    assert not saturday.open
    assert republic_day.provisional
    assert wednesday.provisional
    assert saturday.provisional


def open_days(calendar: MarketCalendar, *days: str) -> list[bool]:
    return [calendar.session(date.fromisoformat(day), STOCK).open for day in days]


def test_a_list_replaces_the_holidays_of_fixed_date() -> None:
    moved = REVIEWED.with_amendments(listed("2027-01-25", since="2027-01-04 08:15"))

    assert open_days(REVIEWED, "2027-01-25", "2027-01-26") == [True, False]
    assert open_days(moved, "2027-01-25", "2027-01-26") == [False, True]
    assert open_days(moved, "2028-01-26") == [False]


def test_a_newer_list_moves_a_holiday_and_an_empty_one_removes_nothing() -> None:
    first = listed("2027-01-14", "2027-01-26", since="2027-01-04 08:15")
    moved = first.with_newer(listed("2027-01-15", "2027-01-26", since="2027-01-11 08:15"))
    calendar = REVIEWED.with_amendments(moved.with_newer(ProviderCalendar()))

    assert open_days(calendar, "2027-01-14", "2027-01-15", "2027-01-26") == [True, False, False]


@pytest.mark.parametrize(
    ("listings", "timings", "hours"),
    [
        pytest.param(
            [listed("2027-10-29", since="2027-01-04 08:15")],
            [timed("2027-10-29", "18:00-19:00", since="2027-10-29 08:15")],
            ["18:00-19:00"],
            id="both in one refresh: the timings",
        ),
        pytest.param(
            [
                listed("2027-10-29", since="2027-01-04 08:15"),
                listed("2027-10-29", since="2027-11-01 08:15"),
            ],
            [timed("2027-10-29", "18:00-19:00", since="2027-10-29 08:15")],
            ["18:00-19:00"],
            id="a list that repeats itself after the day",
        ),
        pytest.param(
            [listed("2027-10-29", since="2027-10-28 20:30")],
            [timed("2027-10-29", "09:15-15:30", since="2027-10-28 08:15")],
            [],
            id="a holiday announced after the timings were read",
        ),
        pytest.param(
            [listed("2027-10-29", since="2027-10-28 20:30")],
            [timed("2027-10-29", "10:00-15:30", since="2027-10-28 20:30")],
            ["10:00-15:30"],
            id="at the same instant: the timings",
        ),
    ],
)
def test_timings_win_over_a_list_unless_it_changed_since(
    listings: list[ProviderCalendar], timings: list[ProviderCalendar], hours: list[str]
) -> None:
    for published in (listings + timings, timings + listings):
        calendar = REVIEWED.with_amendments(*published)
        session = calendar.session(date(2027, 10, 29), OTHER)
        assert [str(window) for window in session.windows] == hours


def test_amending_does_not_change_the_reviewed_calendar() -> None:
    REVIEWED.with_amendments(published("2026-09-16", CASH))

    assert REVIEWED.session(date(2026, 9, 16), STOCK).open


def test_the_override_has_precedence_over_table_and_provider_in_any_order() -> None:
    mine = override('[[day]]\ndate = 2024-01-20\nhours = ["09:15-12:30"]\nnote = "as observed"\n')
    provider = published("2024-01-20", CASH, "10:00-11:00")

    for calendar in (
        REVIEWED.with_amendments(mine, provider),
        REVIEWED.with_amendments(provider, mine),
    ):
        session = calendar.session(date(2024, 1, 20), STOCK)
        assert [str(window) for window in session.windows] == ["09:15-12:30"]
        assert (session.note, session.provisional) == ("as observed", False)


def test_the_override_can_name_an_auction_one_segment_and_a_day_beyond_the_table() -> None:
    calendar = REVIEWED.with_amendments(
        override(
            "[[day]]\ndate = 2027-02-06\n"
            'cash = ["09:15-15:30"]\nclosing_auction = "15:15-15:35"\n'
            "[[day]]\ndate = 2027-02-08\nhours = []\n"
        )
    )
    saturday = calendar.session(date(2027, 2, 6), STOCK)

    assert (saturday.expected_minutes, len(saturday.slots())) == (360, 361)
    assert not calendar.session(date(2027, 2, 8), FO).open
    assert not calendar.session(date(2027, 2, 6), FO).open


def test_the_table_begins_where_it_is_reviewed_whatever_the_provider_says() -> None:
    calendar = REVIEWED.with_amendments(published("2020-12-31", CASH, "09:15-15:30"))

    with pytest.raises(CalendarUnknown):
        calendar.session(date(2020, 12, 31), STOCK)
    assert calendar.conflicts_with(published("2020-12-31", CASH, "09:15-15:30")) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("[[day]\n", "line 1", id="no TOML"),
        pytest.param('[[day]]\nhours = ["09:15-15:30"]\n', "needs a date", id="no date"),
        pytest.param('[[day]]\ndate = "soon"\nhours = []\n', "needs a date", id="no real date"),
        pytest.param("[[day]]\ndate = 2026-11-08\n", "names no hours", id="no hours"),
        pytest.param(
            '[[day]]\ndate = 2026-11-08\nhours = "18:00-19:00"\n', "a list", id="hours not a list"
        ),
        pytest.param(
            '[[day]]\ndate = 2026-11-08\nhours = ["18:00"]\n', "2026-11-08", id="half a window"
        ),
        pytest.param(
            '[[day]]\ndate = 2026-11-08\nhours = ["25:00-26:00"]\n', "2026-11-08", id="no time"
        ),
        pytest.param("[[day]]\ndate = 2026-11-08\nhours = [18]\n", "2026-11-08", id="a number"),
        pytest.param(
            '[[day]]\ndate = 2026-11-08\nhours = ["19:00-18:00"]\n', "end after", id="backwards"
        ),
        pytest.param(
            '[[day]]\ndate = 2026-11-08\nhours = ["18:00-19:00", "18:30-20:00"]\n',
            "overlap",
            id="overlapping",
        ),
        pytest.param(
            '[[day]]\ndate = 2026-11-08\nhour = ["18:00-19:00"]\n', "hour", id="misspelt entry"
        ),
        pytest.param("[[holiday]]\ndate = 2026-11-08\n", "holiday", id="misspelt table"),
        pytest.param("day = 3\n", "[[day]]", id="not a list of days"),
        pytest.param(
            "[[day]]\ndate = 2026-11-08\nhours = []\n" * 2, "named twice", id="the same day twice"
        ),
    ],
)
def test_a_malformed_override_names_the_file_and_the_problem(text: str, problem: str) -> None:
    with pytest.raises(SetupError) as refused:
        override(text)

    assert "calendar_override.toml" in str(refused.value)
    assert problem in str(refused.value)
