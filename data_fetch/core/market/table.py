"""The market calendar as data: the reviewed table and the user's override file.

Parses the TOML of both; the rules are in `calendar`. All times here are IST.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, TypeVar

from data_fetch.core.errors import SetupError

T = TypeVar("T")


class Segment(StrEnum):
    """A part of the exchange with trading hours of its own."""

    CASH = "cash"
    FO = "fo"
    INDEX = "index"

    # Sessions are looked up by it, for every day of a range: the hash of Enum is slow.
    __hash__ = str.__hash__


@dataclass(frozen=True, slots=True)
class TradingWindow:
    """Trading hours from *start* until *end*, IST; *end* itself is not included."""

    start: time
    end: time

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"{self} does not end after it starts")
        if self.start.second or self.end.second or self.start.microsecond or self.end.microsecond:
            raise ValueError(f"{self} is not made of whole minutes")

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    @classmethod
    def parse(cls, text: str) -> "TradingWindow":
        """The window of ``"09:15-15:30"``. Raises ValueError for anything else."""
        start, dash, end = text.partition("-")
        if not dash:
            raise ValueError(f"{text!r} is not a window like 09:15-15:30")
        return cls(time.fromisoformat(start.strip()), time.fromisoformat(end.strip()))


@dataclass(frozen=True, slots=True)
class SegmentHours:
    """The trading hours of one segment on one day.

    When *auction* begins, the continuous trading of instruments that take part in it ends.
    *provisional*: the hours are not reviewed.
    """

    windows: tuple[TradingWindow, ...]
    auction: TradingWindow | None = None
    note: str = ""
    provisional: bool = False


# The hours of single days.
DayHours = Mapping[tuple[date, Segment], SegmentHours]


@dataclass(frozen=True, slots=True)
class OrdinaryHours:
    """The hours of an ordinary day, from *since* on."""

    since: date
    windows: Mapping[Segment, TradingWindow]
    closing_auction: TradingWindow | None

    def of(self, segment: Segment) -> SegmentHours:
        # Derivatives have no auction of their own and trade during that of the stocks.
        auction = None if segment is Segment.FO else self.closing_auction
        return SegmentHours((self.windows[segment],), auction)


@dataclass(frozen=True, slots=True)
class MarketTable:
    """The reviewed facts: ordinary hours (newest first), special days, holidays.

    *fixed_holidays* are those that return each year on the same month and day.
    """

    reviewed_from: date
    reviewed_until: date
    hours: tuple[OrdinaryHours, ...]
    special: DayHours
    holidays: Mapping[date, str]
    fixed_holidays: Mapping[tuple[int, int], str]

    def ordinary(self, day: date) -> OrdinaryHours:
        """The hours of an ordinary day at that date, which may be after the table's end."""
        return next(hours for hours in self.hours if hours.since <= day)


@cache
def reviewed_table() -> MarketTable:
    """The table that comes with the package."""
    resource = files("data_fetch.core.market") / "market_table.toml"
    return parse_table(tomllib.loads(resource.read_text(encoding="utf-8")))


def parse_table(table: Mapping[str, Any]) -> MarketTable:
    """Parse the reviewed table. Raises ValueError, KeyError or TypeError for other TOML."""
    hours = [_ordinary_hours(row) for row in table["hours"]]
    return MarketTable(
        reviewed_from=table["reviewed_from"],
        reviewed_until=table["reviewed_until"],
        hours=tuple(sorted(hours, key=lambda each: each.since, reverse=True)),
        special=_all_days(table["day"]),
        holidays={row["date"]: row["note"] for group in table["holidays"] for row in group["days"]},
        fixed_holidays={
            (row["month"], row["day"]): row["note"] for row in table["fixed_holidays"]["days"]
        },
    )


def parse_override(text: str, name: str) -> DayHours:
    """Parse the days of an override file; *name* is the file's name for error messages.

    The file is a list of days in the form of the reviewed table::

        [[day]]
        date = 2026-11-08
        hours = ["18:15-19:15"]     # [] for a closed day; or cash, index, fo one by one
        closing_auction = "15:15-15:35"         # only if there is one
        note = "Muhurat, by circular"

    Raises SetupError naming the file and its first problem.
    """
    try:
        table = tomllib.loads(text)
        unknown = set(table) - {"day"}
        if unknown:
            raise ValueError(f"only [[day]] entries are allowed, not {sorted(unknown)}")
        return _all_days(table.get("day", []))
    except (ValueError, TypeError, AttributeError, RecursionError) as problem:
        raise SetupError(
            f"the calendar override {name} cannot be used: {problem}",
            hint="Fix the file, or move it away.",
        ) from None


def _ordinary_hours(row: Mapping[str, Any]) -> OrdinaryHours:
    return OrdinaryHours(
        since=row["since"],
        windows={segment: TradingWindow.parse(row[segment]) for segment in Segment},
        closing_auction=_optional(row, "closing_auction", TradingWindow.parse),
    )


_DAY_KEYS = {"date", "hours", *Segment, "closing_auction", "note", "source", "provisional"}


def _all_days(rows: object) -> DayHours:
    if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        raise ValueError("days are written as [[day]] entries")
    days: dict[tuple[date, Segment], SegmentHours] = {}
    for row in rows:
        for key, hours in _one_day(row).items():
            if key in days:
                raise ValueError(f"{key[0]} is named twice for {key[1]}")
            days[key] = hours
    return days


def _one_day(row: Mapping[str, Any]) -> DayHours:
    day = row.get("date")
    if not isinstance(day, date) or isinstance(day, datetime):
        raise ValueError(f"a [[day]] needs a date like 2026-11-08, not {day!r}")
    unknown = set(row) - _DAY_KEYS
    if unknown:
        raise ValueError(f"{day} has unknown entries {sorted(unknown)}")
    named = {segment: row["hours"] for segment in Segment if "hours" in row}
    named |= {segment: row[segment] for segment in Segment if segment in row}
    if not named:
        raise ValueError(f"{day} names no hours ([] means closed)")
    try:
        auction = _optional(row, "closing_auction", TradingWindow.parse)
        return {
            (day, segment): SegmentHours(
                windows=_windows(texts),
                auction=None if segment is Segment.FO else auction,
                note=str(row.get("note", "")),
                provisional=bool(row.get("provisional", False)),
            )
            for segment, texts in named.items()
        }
    except (ValueError, TypeError, AttributeError) as problem:
        raise ValueError(f"{day}: {problem}") from None


def _windows(texts: object) -> tuple[TradingWindow, ...]:
    if not isinstance(texts, list):
        raise ValueError(f'hours are a list like ["09:15-15:30"], not {texts!r}')
    return in_order(*map(TradingWindow.parse, texts))


def in_order(*windows: TradingWindow) -> tuple[TradingWindow, ...]:
    """Sort *windows* by start. Raises ValueError where two overlap."""
    ordered = tuple(sorted(windows, key=lambda window: window.start))
    for earlier, later in pairwise(ordered):
        if later.start < earlier.end:
            raise ValueError(f"{earlier} and {later} overlap")
    return ordered


def _optional(row: Mapping[str, Any], name: str, parse: Callable[[str], T]) -> T | None:
    return parse(row[name]) if name in row else None
