"""What the provider's holidays and timings teach the calendar, and what stays on disk."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from data_fetch.core.clock import IST, VirtualClock
from data_fetch.core.errors import SetupError, Unreachable
from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    MarketCalendar,
    ProviderCalendar,
    Segment,
)
from data_fetch.core.market.provider import PublishedCalendar
from data_fetch.core.ports import Lane
from data_fetch.core.world import World
from data_fetch.services.calendar_refresh import Refresh, refresh_calendar
from data_fetch.sources.calendar_files import (
    calendar_file,
    load_calendar,
    read_calendar,
    save_calendar,
)
from data_fetch.sources.transport.retrying import RequestContext
from data_fetch.sources.upstox.market_info import MarketInfo, UpstoxCalendar

TODAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 8, 15, tzinfo=IST)
CASH, FO = Segment.CASH, Segment.FO


@dataclass
class Provider:
    """Answers like Upstox, without the wire."""

    rows: list[Any] = field(default_factory=list)
    hours: Mapping[str, list[Any]] = field(default_factory=dict)
    requested: list[date] = field(default_factory=list)

    def context(self, lane: Lane, stop: Event | None = None) -> RequestContext:
        return RequestContext.begin(lane, NOW, stop)

    def holidays(self, context: RequestContext) -> list[Any]:
        return self.rows

    def timings(self, day: date, context: RequestContext) -> list[Any]:
        self.requested.append(day)
        return self.hours.get(day.isoformat(), [])


def ms(day: str, moment: str) -> int:
    return int(datetime.fromisoformat(f"{day} {moment}").replace(tzinfo=IST).timestamp() * 1000)


def opens(day: str, exchange: str, start: str = "09:15", end: str = "15:30") -> dict[str, Any]:
    return {"exchange": exchange, "start_time": ms(day, start), "end_time": ms(day, end)}


def holiday(
    day: str,
    kind: str = "TRADING_HOLIDAY",
    *,
    closed: list[Any] | None = None,
    open_: list[Any] | None = None,
) -> dict[str, Any]:
    return {
        "date": day,
        "description": "A feast",
        "holiday_type": kind,
        "closed_exchanges": ["NSE", "NFO", "BSE"] if closed is None else closed,
        "open_exchanges": open_ or [],
    }


def published(provider: MarketInfo, *days: date) -> PublishedCalendar:
    return UpstoxCalendar(provider, VirtualClock(NOW)).published(days, Event())


def learnt(provider: Provider, day: str, *requested: str) -> dict[str, list[str]]:
    """Windows by segment, as reported for *day*."""
    given = published(provider, *map(date.fromisoformat, requested)).calendar
    return {
        str(segment): [str(window) for window in hours.windows]
        for on, segment, hours in given.days()
        if on == date.fromisoformat(day)
    }


ALL_CLOSED: dict[str, list[str]] = {"cash": [], "fo": [], "index": []}
DAY = "2026-12-15"


@pytest.mark.parametrize(
    ("row", "given"),
    [
        pytest.param(holiday(DAY), ALL_CLOSED, id="trading holiday"),
        pytest.param(
            holiday(DAY, closed=["MCX"], open_=[opens(DAY, "NSE"), opens(DAY, "NFO", end="15:40")]),
            {"cash": ["09:15-15:30"], "fo": ["09:15-15:40"], "index": ["09:15-15:30"]},
            id="trading holiday of others: NSE is open",
        ),
        pytest.param(
            holiday(DAY, open_=[opens(DAY, "NSE", "18:00", "19:00")]),
            {"cash": ["18:00-19:00"], "fo": [], "index": ["18:00-19:00"]},
            id="listed open and closed: open counts",
        ),
        pytest.param(holiday(DAY, "SETTLEMENT_HOLIDAY"), {}, id="settlement holiday: no hours"),
        pytest.param(
            holiday(DAY, "SETTLEMENT_HOLIDAY", closed=["CDS"], open_=[opens(DAY, "NSE")]),
            {"cash": ["09:15-15:30"], "index": ["09:15-15:30"]},
            id="settlement holiday: the market is open",
        ),
        pytest.param(
            holiday(
                DAY,
                "SPECIAL_TIMING",
                closed=[],
                open_=[
                    opens(DAY, "NFO", "11:30", "12:30"),
                    opens(DAY, "NFO", "09:15", "10:00"),
                    opens(DAY, "NFO", "09:15", "10:00"),
                ],
            ),
            {"fo": ["09:15-10:00", "11:30-12:30"]},
            id="special timing in two windows, one of them twice",
        ),
        pytest.param(
            holiday(
                DAY,
                closed=["NFO"],
                open_=[{"exchange": "MCX", "start_time": "?", "end_time": None}],
            ),
            {"fo": []},
            id="rows of other exchanges are not read",
        ),
    ],
)
def test_holidays_decide_by_exchange(row: dict[str, Any], given: dict[str, list[str]]) -> None:
    assert learnt(Provider([row]), DAY) == given


def test_timings_of_the_day_count_more_than_the_list() -> None:
    provider = Provider([holiday(DAY)], {DAY: [opens(DAY, "NSE", "13:45", "14:45")]})

    assert learnt(provider, DAY, DAY) == {
        "cash": ["13:45-14:45"],
        "fo": [],
        "index": ["13:45-14:45"],
    }


def test_no_timings_say_nothing() -> None:
    assert learnt(Provider(), DAY, DAY) == {}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        pytest.param("closed", "not an object", id="text"),
        pytest.param(None, "not an object", id="null"),
        pytest.param(holiday("15/12/2026"), "15/12/2026", id="another date format"),
        pytest.param({**holiday(DAY), "date": None}, "not a date", id="no date"),
        pytest.param({**holiday(DAY), "closed_exchanges": "NSE"}, "not a list", id="no list"),
        pytest.param(holiday(DAY, open_=["NSE"]), "not an object", id="hours as text"),
        pytest.param(
            holiday(DAY, open_=[{"exchange": "NSE", "start_time": "9 am", "end_time": 0}]),
            "9 am",
            id="no epoch",
        ),
        pytest.param(
            holiday(DAY, open_=[{"exchange": "NSE", "start_time": float("nan"), "end_time": 0}]),
            "nan",
            id="NaN",
        ),
        pytest.param(
            holiday(DAY, open_=[{"exchange": "NSE", "start_time": 1e30, "end_time": 0}]),
            "1e+30",
            id="beyond all time",
        ),
        pytest.param(
            holiday(DAY, open_=[opens("2026-12-16", "NSE")]), "another day", id="another day"
        ),
        pytest.param(
            holiday(DAY, open_=[opens(DAY, "NSE", "15:30", "09:15")]), "end after", id="backwards"
        ),
        pytest.param(
            holiday(DAY, open_=[opens(DAY, "NSE"), opens(DAY, "NSE", "10:00", "16:00")]),
            "overlap",
            id="overlapping",
        ),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason(row: object, reason: str) -> None:
    received = published(Provider([row, holiday("2026-12-16")]))

    assert {day for day, _, _ in received.calendar.days()} == {date(2026, 12, 16)}
    assert len(received.rejected) == 1
    assert reason in received.rejected[0]


def test_timings_with_a_bad_row_are_rejected_as_a_whole() -> None:
    provider = Provider(hours={DAY: [opens(DAY, "NSE"), {"exchange": "NFO"}]})
    received = published(provider, date.fromisoformat(DAY))

    assert list(received.calendar.days()) == []
    assert DAY in received.rejected[0]


def test_times_may_come_as_text() -> None:
    row = {
        "exchange": "NSE",
        "start_time": str(ms(DAY, "09:15")),
        "end_time": str(ms(DAY, "15:30")),
    }

    assert learnt(Provider(hours={DAY: [row]}), DAY, DAY)["cash"] == ["09:15-15:30"]


def test_the_list_is_for_one_year() -> None:
    """A row that looks ahead does not make next year's holidays known."""
    rows = [holiday("2026-01-26"), holiday("2026-12-25"), holiday("2027-01-01")]

    assert published(Provider(rows)).calendar.years == {2026}
    assert published(Provider()).calendar.years == frozenset()


# Refreshing ------------------------------------------------------------------------------


def refreshed(provider: MarketInfo, folder: Path, today: date = TODAY) -> Refresh:
    calendar = load_calendar(folder, World.LIVE, None)
    now = datetime.combine(today, time(8, 15), IST)
    sources = [UpstoxCalendar(provider, VirtualClock(now))]
    return refresh_calendar(sources, calendar, folder, World.LIVE, now, Event())


def test_a_refresh_is_kept_for_the_next_process(tmp_path: Path) -> None:
    result = refreshed(Provider([holiday(DAY)]), tmp_path / "data")
    day = date.fromisoformat(DAY)

    assert {(change.day, change.segment, change.after) for change in result.changes} == {
        (day, segment, ()) for segment in Segment
    }
    assert not load_calendar(tmp_path / "data", World.LIVE, None).session(day, F_AND_O_STOCK).open
    assert load_calendar(tmp_path / "data", World.PAPER, None).session(day, F_AND_O_STOCK).open


def test_an_empty_response_removes_nothing(tmp_path: Path) -> None:
    refreshed(Provider([holiday(DAY)]), tmp_path)
    before = read_calendar(calendar_file(tmp_path, World.LIVE))
    result = refreshed(Provider(), tmp_path, date(2026, 11, 22))
    after = read_calendar(calendar_file(tmp_path, World.LIVE))

    assert result.changes == ()
    assert after == replace(before, refreshed_at=datetime(2026, 11, 22, 8, 15, tzinfo=IST))


def test_timings_are_requested_for_the_week_and_for_announced_sessions(tmp_path: Path) -> None:
    muhurat = [opens("2026-11-08", each, "18:00", "19:00") for each in ("NSE", "NFO")]
    provider = Provider(hours={"2026-11-08": muhurat})
    refreshed(provider, tmp_path)
    session = load_calendar(tmp_path, World.LIVE, None).session(
        date(2026, 11, 8), FUTURES_AND_OPTIONS
    )

    assert provider.requested == [date(2026, 11, 8), *(date(2026, 11, 21 + n) for n in range(7))]
    assert (session.expected_minutes, session.provisional) == (60, True)


def test_a_second_refresh_does_not_ask_again_for_hours_it_knows(tmp_path: Path) -> None:
    muhurat = [opens("2026-11-08", each, "18:00", "19:00") for each in ("NSE", "NFO")]
    refreshed(Provider(hours={"2026-11-08": muhurat}), tmp_path)
    provider = Provider()
    refreshed(provider, tmp_path)

    assert date(2026, 11, 8) not in provider.requested


def test_next_years_list_makes_next_year_known(tmp_path: Path) -> None:
    before = load_calendar(tmp_path, World.LIVE, None)
    result = refreshed(Provider([holiday("2027-01-14")]), tmp_path, today=date(2027, 1, 4))
    calendar = load_calendar(tmp_path, World.LIVE, None)

    assert (before.lists(2027), calendar.lists(2027), calendar.lists(2028)) == (False, True, False)
    assert calendar.session(date(2027, 1, 4), F_AND_O_STOCK).provisional
    # The list has another holiday than that of fixed date.
    changed = {change.day: bool(change.after) for change in result.changes}
    assert changed == {date(2027, 1, 14): False, date(2027, 1, 26): True}


def test_what_the_table_keeps_to_is_reported(tmp_path: Path) -> None:
    result = refreshed(Provider([holiday("2026-02-01")]), tmp_path)

    assert result.changes == ()
    assert [(kept.session.day, kept.provider_windows) for kept in result.conflicts] == [
        (date(2026, 2, 1), ())
    ] * 3


def test_a_refused_refresh_leaves_the_kept_calendar(tmp_path: Path) -> None:
    refreshed(Provider([holiday(DAY)]), tmp_path)
    kept = calendar_file(tmp_path, World.LIVE).read_bytes()

    class Silent(Provider):
        def timings(self, day: date, context: RequestContext) -> list[Any]:
            raise Unreachable("no answer")

    with pytest.raises(Unreachable):
        refreshed(Silent([holiday("2026-12-16")]), tmp_path)
    assert calendar_file(tmp_path, World.LIVE).read_bytes() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["calendar_live.json"]


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    muhurat = Provider(
        [holiday(DAY, open_=[opens(DAY, "NSE", "18:00", "19:00")])],
        {DAY: [opens(DAY, "NSE", "18:15", "19:15")]},
    )
    calendar = published(muhurat, date.fromisoformat(DAY)).calendar
    save_calendar(tmp_path / "calendar.json", calendar)

    assert read_calendar(tmp_path / "calendar.json") == calendar
    assert read_calendar(tmp_path / "none.json") == ProviderCalendar()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"years": [2026], "days": [', id="truncated"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b'{"years": [2026]}', id="days missing"),
        pytest.param(
            json.dumps(
                {"years": [], "days": [{"date": DAY, "segment": "x", "windows": [], "note": ""}]}
            ).encode(),
            id="no such segment",
        ),
        pytest.param(
            json.dumps(
                {"years": [], "days": [{"date": DAY, "segment": "fo", "windows": 3, "note": ""}]}
            ).encode(),
            id="no windows",
        ),
    ],
)
def test_a_corrupt_kept_calendar_names_the_file_and_a_hint(tmp_path: Path, content: bytes) -> None:
    calendar_file(tmp_path, World.PAPER).write_bytes(content)

    with pytest.raises(SetupError) as refused:
        load_calendar(tmp_path, World.PAPER, None)

    assert "calendar_paper.json" in str(refused.value)
    assert "data-fetch calendar refresh" in str(refused.value)


# The override file -------------------------------------------------------------------------

NO_SESSION = f"[[day]]\ndate = {DAY}\nhours = []\n"


def test_the_override_in_the_working_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "calendar_override.toml").write_text(NO_SESSION, encoding="utf-8-sig")
    calendar = load_calendar(tmp_path / "data", World.LIVE, None)

    assert not calendar.session(date.fromisoformat(DAY), F_AND_O_STOCK).open


def test_a_named_override_is_taken_instead(tmp_path: Path) -> None:
    (tmp_path / "calendar_override.toml").write_text(NO_SESSION)
    (tmp_path / "mine.toml").write_text("")
    calendar = load_calendar(tmp_path / "data", World.LIVE, tmp_path / "mine.toml")

    assert calendar.session(date.fromisoformat(DAY), F_AND_O_STOCK).open


@pytest.mark.parametrize(
    "content", [pytest.param(None, id="missing"), pytest.param(b"\xff\xfe", id="not UTF-8")]
)
def test_an_override_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    mine = tmp_path / "mine.toml"
    if content is not None:
        mine.write_bytes(content)

    with pytest.raises(SetupError, match=r"mine\.toml"):
        load_calendar(tmp_path / "data", World.LIVE, mine)


def test_with_nothing_on_disk_the_reviewed_calendar_is_used(tmp_path: Path) -> None:
    loaded = load_calendar(tmp_path / "data", World.LIVE, None)
    reviewed = MarketCalendar.reviewed()

    for day in (date(2026, 9, 16), date(2026, 11, 8)):
        assert loaded.session(day, F_AND_O_STOCK) == reviewed.session(day, F_AND_O_STOCK)
    assert list(tmp_path.iterdir()) == []
