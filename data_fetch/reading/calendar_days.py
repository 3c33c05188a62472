"""The trading sessions of a range of dates, by segment."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    INDEX,
    Segment,
    Session,
    TradingWindow,
)
from data_fetch.core.settings import Settings
from data_fetch.reading.frames import rows_table
from data_fetch.runtime.calendars import calendar_for

# An F&O stock, its futures and options, an index.
TRADING_GROUPS = {
    Segment.CASH: F_AND_O_STOCK,
    Segment.FO: FUTURES_AND_OPTIONS,
    Segment.INDEX: INDEX,
}
COLUMNS = {
    "date": "date",
    "segment": "text",
    "open": "bool",
    "windows": "text",
    "auction": "text",
    "expected_minutes": "int",
    "note": "text",
    "provisional": "bool",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarDays:
    """A *table* with a row per date and segment, and how far the calendar is reviewed.

    Columns: date, segment ("cash": an F&O stock, "fo": its futures and options, "index"), open,
    windows ("09:15-15:30", several separated by a space, IST), auction, expected_minutes, note,
    provisional (the hours are not reviewed).
    """

    table: Any
    provisional: int
    reviewed_until: date
    refreshed_at: datetime | None


def calendar_days(settings: Settings, first: date, last: date) -> CalendarDays:
    """The sessions from *first* to *last*, both included.

    Raises CalendarUnknown for a date before the calendar, SetupError for files that cannot be
    read.
    """
    calendar = calendar_for(settings)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    sessions = [
        (segment, calendar.session(day, group))
        for day in days
        for segment, group in TRADING_GROUPS.items()
    ]
    rows = [_row(segment, session) for segment, session in sessions]
    return CalendarDays(
        table=rows_table(rows, COLUMNS),
        provisional=sum(session.provisional for _, session in sessions),
        reviewed_until=calendar.reviewed_until,
        refreshed_at=calendar.refreshed_at,
    )


def _row(segment: Segment, session: Session) -> dict[str, Any]:
    return {
        "date": session.day,
        "segment": segment.value,
        "open": session.open,
        "windows": " ".join(map(_text, session.windows)),
        "auction": None if session.auction is None else _text(session.auction),
        "expected_minutes": session.expected_minutes,
        "note": session.note,
        "provisional": session.provisional,
    }


def _text(window: TradingWindow) -> str:
    return f"{window.start:%H:%M}-{window.end:%H:%M}"
