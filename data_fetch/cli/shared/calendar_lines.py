"""The age of the market calendar and its provisional sessions, for people."""

from collections.abc import Sequence
from datetime import date, timedelta

from data_fetch.cli.shared.output import counted, remark
from data_fetch.reading.calendar_status import CalendarStatus
from data_fetch.reading.instants import ist_text

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def calendar_line(calendar: CalendarStatus) -> str:
    """How far the calendar is reviewed, and when it was refreshed."""
    reviewed = f"reviewed until {calendar.reviewed_until}"
    if calendar.refreshed_at is None:
        return f"{reviewed}, not refreshed yet"
    ago = "" if calendar.age is None else f" ({_ago(calendar.age)})"
    return f"{reviewed}, refreshed {ist_text(calendar.refreshed_at)}{ago}"


def remark_on_provisional(sessions: Sequence[date]) -> None:
    """Remark that the hours of *sessions* are not reviewed, if there are any."""
    if sessions:
        remark(
            f"{counted(len(sessions), 'session')} from {sessions[0]} to {sessions[-1]}: "
            "provisional, the hours are not reviewed."
        )


def _ago(age: timedelta) -> str:
    if age < HOUR:
        return "less than an hour ago"
    if age < 2 * DAY:
        return f"{age // HOUR} h ago"
    return f"{age // DAY} days ago"
