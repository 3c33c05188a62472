"""How old the market calendar is: how far it is reviewed, and when it was refreshed."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.market.calendar import MarketCalendar, unlisted_warning
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.instants import day_text, ist_text
from data_fetch.runtime.calendars import calendar_for

# A running collector refreshes it each morning; three of them have passed.
OLD = timedelta(days=3)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarStatus:
    """The calendar in use; *refreshed_at* is None when it never was.

    *age* is the time since then, not known in the paper world: its market has its own clock.
    *warning*: why its sessions may differ from those of the exchange.
    """

    reviewed_until: date
    refreshed_at: datetime | None
    age: timedelta | None
    warning: str | None

    @property
    def line(self) -> str:
        """How far the calendar is reviewed, and when it was refreshed."""
        reviewed = f"reviewed until {self.reviewed_until}"
        if self.refreshed_at is None:
            return f"{reviewed}, not refreshed yet"
        ago = "" if self.age is None else f" ({_ago(self.age)})"
        return f"{reviewed}, refreshed {ist_text(self.refreshed_at)}{ago}"

    def document(self) -> dict[str, Any]:
        return {
            "reviewed_until": day_text(self.reviewed_until),
            "refreshed_at": ist_text(self.refreshed_at),
            "age_seconds": None if self.age is None else round(self.age.total_seconds()),
            "warning": self.warning,
        }


def calendar_status(settings: Settings) -> CalendarStatus:
    """The status of the calendar in use. Raises SetupError for files that cannot be read."""
    calendar = calendar_for(settings)
    live, now = settings.world is World.LIVE, SystemClock().now()
    refreshed = calendar.refreshed_at
    age = now - refreshed if live and refreshed is not None else None
    return CalendarStatus(
        reviewed_until=calendar.reviewed_until,
        refreshed_at=refreshed,
        age=age,
        warning=_warning(calendar, age, now) if live else None,
    )


def _warning(calendar: MarketCalendar, age: timedelta | None, now: datetime) -> str | None:
    unlisted = unlisted_warning(calendar, now.astimezone(IST).date())
    if unlisted is None and age is not None and age > OLD:
        return "holidays and sessions announced since then are not known"
    return unlisted


def _ago(age: timedelta) -> str:
    if age < HOUR:
        return "less than an hour ago"
    if age < 2 * DAY:
        return f"{age // HOUR} h ago"
    return f"{age // DAY} days ago"
