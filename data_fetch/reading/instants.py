"""Dates and instants: as users write them, and as ISO text in documents."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError
from data_fetch.core.market.session import EPOCH, instant_of, midnight_number
from data_fetch.core.text import presentable

EXAMPLE = "2026-09-16T15:30:00+05:30"
# English, whatever the locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
EXCHANGE_DATE = re.compile(r"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")
YEARS = range(1900, 3000)
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)

DayOrInstant = TypeVar("DayOrInstant", date, datetime)


@dataclass(frozen=True, slots=True)
class Period:
    """From *begin* to *end*, both included; aware instants, UTC."""

    begin: datetime
    end: datetime

    @property
    def first(self) -> date:
        """The IST date on which it begins."""
        return self.begin.astimezone(IST).date()

    @property
    def last(self) -> date:
        """The IST date on which it ends."""
        return self.end.astimezone(IST).date()


def midnight_before(now: datetime) -> datetime:
    """The beginning (UTC) of the IST date of *now*."""
    return instant_of(midnight_number(now.astimezone(IST).date()))


def period(first: date | str, last: date | str) -> Period:
    """The time from *first* to *last*, each an IST date or an aware instant, both included.

    A last date ends with its last microsecond. Raises SetupError for anything else, and when
    *first* is later than *last*.
    """
    begin, end = _begin(first), _end(last)
    if begin > end:
        raise SetupError(f"{first} is later than {last}", hint="Name the earlier one first.")
    return Period(begin, end)


def date_of(day: date | str) -> date:
    """A date from one or from text: 2026-09-01, or 01-Sep-2026 as the exchange writes it.

    Raises SetupError for anything else.
    """
    if not isinstance(day, str):
        return day
    try:
        parts = EXCHANGE_DATE.fullmatch(day)
        if parts is None:
            return _within_reach(date.fromisoformat(day))
        number, month, year = parts.groups()
        return _within_reach(date(int(year), MONTHS.index(month.capitalize()) + 1, int(number)))
    except ValueError:
        raise SetupError(
            f"{presentable(day)!r} is not a date", hint="Write it like 2026-09-01 or 01-Sep-2026."
        ) from None


def instant(at: datetime | str | None) -> datetime | None:
    """An aware instant, UTC, from one or from ISO text. Raises SetupError without an offset."""
    if at is None:
        return None
    try:
        given = datetime.fromisoformat(at) if isinstance(at, str) else at
        _within_reach(given)
    except ValueError:
        raise SetupError(
            f"{presentable(str(at))!r} is not an instant", hint=f"Write it like {EXAMPLE}."
        ) from None
    if given.utcoffset() is None:
        raise SetupError(f"{at} has no time zone", hint=f"Write it like {EXAMPLE}.")
    return given.astimezone(UTC)


def half_open(
    first: date | str | None, last: date | str | None
) -> tuple[datetime | None, datetime | None]:
    """The instants at which a range begins and before which it ends; None for an open end.

    A last date is part of the range, a last instant is not. Raises as `period` does.
    """
    begin = None if first is None else _begin(first)
    if last is None:
        return begin, None
    day = _plain_date(last)
    end = _exact(last) if day is None else _midnight(day + DAY)
    if begin is not None and begin >= end:
        raise SetupError(
            f"nothing lies between {first} and {last}",
            hint="Name the earlier one first; an instant at the end is not part of the range.",
        )
    return begin, end


def ist_text(at: datetime | None) -> str | None:
    """An instant as ISO text in IST, to the second."""
    return None if at is None else at.astimezone(IST).isoformat(timespec="seconds")


def exact_text(at: datetime | None) -> str | None:
    """An instant as ISO text in IST with its microseconds, so that it can be queried again."""
    return None if at is None else at.astimezone(IST).isoformat()


def day_text(day: date | None) -> str | None:
    """A date as ISO text."""
    return None if day is None else day.isoformat()


def _within_reach(day: DayOrInstant) -> DayOrInstant:
    """Raises ValueError for what cannot be reckoned with in every time zone."""
    if day.year not in YEARS:
        raise ValueError
    return day


def _begin(first: date | str) -> datetime:
    day = _plain_date(first)
    return _exact(first) if day is None else _midnight(day)


def _end(last: date | str) -> datetime:
    day = _plain_date(last)
    return _exact(last) if day is None else _midnight(day + DAY) - MICROSECOND


def _plain_date(given: date | str) -> date | None:
    """The date that *given* is; None for an instant."""
    if isinstance(given, datetime):
        return None
    if isinstance(given, str):
        # "2026-09-16" is an instant too for `datetime.fromisoformat`.
        if EXCHANGE_DATE.fullmatch(given):
            return date_of(given)
        return None if "T" in given or " " in given or ":" in given else date_of(given)
    return given


def _exact(given: date | str) -> datetime:
    assert isinstance(given, datetime | str)
    found = instant(given)
    assert found is not None
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), IST).astimezone(UTC)


def microseconds(at: datetime) -> int:
    """An instant in microseconds since 1970 UTC."""
    return (at - EPOCH) // MICROSECOND
