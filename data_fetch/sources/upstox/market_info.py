"""Upstox's holidays and timings, and the refreshed calendar on disk.

Raw rows are parsed into frozen records, and the records into the provider's hours of a segment
on a day. `core.market` decides how the calendar uses them.

Upstox decides by exchange, not by the type of the row: a ``TRADING_HOLIDAY`` may list NSE
among `open_exchanges`, and a ``SETTLEMENT_HOLIDAY`` is a day on which the market is open.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from data_fetch.core.clock import IST
from data_fetch.core.errors import BadRecord, SetupError
from data_fetch.core.market.calendar import (
    LocalOverride,
    MarketCalendar,
    ProviderCalendar,
    ProviderHours,
    Segment,
    TradingWindow,
    parse_override,
)
from data_fetch.core.market.session import EPOCH
from data_fetch.core.market.table import in_order
from data_fetch.core.world import World

# NSE is the cash market and with it the indices; NFO its futures and options.
SEGMENTS = {"NSE": (Segment.CASH, Segment.INDEX), "NFO": (Segment.FO,)}
SETTLEMENT_HOLIDAY = "SETTLEMENT_HOLIDAY"
OVERRIDE_NAME = "calendar_override.toml"

HoursByDay = dict[tuple[date, Segment], ProviderHours]


class MarketInfo(Protocol):
    """A source of holidays and timings, as raw rows."""

    def holidays(self) -> list[Any]: ...

    def timings(self, day: date) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class OpenHours:
    """The windows of each exchange that opens on one date. Only NSE and NFO are kept."""

    day: date
    windows: Mapping[str, tuple[TradingWindow, ...]]


@dataclass(frozen=True, slots=True)
class HolidayRow:
    """A date with special hours or none for some exchange. Only NSE and NFO are kept."""

    day: date
    description: str
    kind: str
    closed: frozenset[str]
    opens: OpenHours


@dataclass(frozen=True, slots=True)
class Amendments:
    """The provider's calendar, and the reasons of rejected rows."""

    calendar: ProviderCalendar
    rejected: tuple[str, ...]


def fetch_amendments(api: MarketInfo, days: Iterable[date]) -> Amendments:
    """Request the year's holidays and the timings of *days*.

    Bad rows are rejected with a reason. Raises what *api* raises.
    """
    rejected: list[str] = []
    holidays: list[HolidayRow] = []
    timings: list[OpenHours] = []
    for raw in api.holidays():
        try:
            holidays.append(read_holiday(raw))
        except BadRecord as bad:
            rejected.append(bad.message)
    for day in days:
        try:
            timings.append(read_open_hours(api.timings(day), day))
        except BadRecord as bad:
            rejected.append(bad.message)
    return Amendments(provider_calendar(holidays, timings), tuple(rejected))


def provider_calendar(
    holidays: Sequence[HolidayRow], timings: Sequence[OpenHours]
) -> ProviderCalendar:
    """The hours of each segment and day; timings, requested for the day, win."""
    hours: HoursByDay = {}
    for row in holidays:
        # Banks are closed on a settlement holiday; the market is open.
        closed = frozenset() if row.kind == SETTLEMENT_HOLIDAY else row.closed
        for exchange in closed:
            hours |= _hours_of(row.day, exchange, (), row.description)
    descriptions = {row.day: row.description for row in holidays}
    for opens in (*(row.opens for row in holidays), *timings):
        for exchange, windows in opens.windows.items():
            hours |= _hours_of(opens.day, exchange, windows, descriptions.get(opens.day, ""))
    return ProviderCalendar(hours, _year_of(holidays))


def read_holiday(raw: object) -> HolidayRow:
    """One row of the holiday list. Raises BadRecord."""
    row = _mapping(raw)
    day = _date(row.get("date"))
    return HolidayRow(
        day=day,
        description=str(row.get("description") or ""),
        kind=str(row.get("holiday_type") or ""),
        closed=frozenset(map(str, _list(row, "closed_exchanges"))) & SEGMENTS.keys(),
        opens=read_open_hours(_list(row, "open_exchanges"), day),
    )


def read_open_hours(rows: Sequence[object], day: date) -> OpenHours:
    """The opening hours of exchanges on *day*, a row for each window.

    Raises BadRecord for the whole day: a part of its hours would be worse than none.
    """
    windows: dict[str, set[TradingWindow]] = {}
    try:
        for row in map(_mapping, rows):
            exchange = str(row.get("exchange"))
            if exchange in SEGMENTS:
                start = _instant(row.get("start_time"), day)
                end = _instant(row.get("end_time"), day)
                windows.setdefault(exchange, set()).add(TradingWindow(start.time(), end.time()))
        return OpenHours(day, {exchange: in_order(*each) for exchange, each in windows.items()})
    except ValueError as problem:
        raise BadRecord(f"{day}: {problem}") from None


def load_calendar(data_folder: Path, world: World, override: Path | None) -> MarketCalendar:
    """The reviewed calendar with what was refreshed in *world* and what is overridden here.

    Without *override* the file `calendar_override.toml` in the working folder (beside the data
    folder) is taken if there is one. Raises SetupError, with the file and a hint.
    """
    refreshed = read_calendar(calendar_file(data_folder, world))
    return MarketCalendar.reviewed().with_amendments(
        refreshed, read_override(data_folder, override)
    )


def read_override(data_folder: Path, named: Path | None) -> LocalOverride:
    """The override file's days. Raises SetupError if it is malformed, or named and not there."""
    path = named or data_folder.parent / OVERRIDE_NAME
    if named is None and not path.exists():
        return LocalOverride()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise SetupError(
            f"the calendar override {path} cannot be read ({type(problem).__name__})",
            hint="Fix the file, or correct CALENDAR_OVERRIDE.",
        ) from None
    return LocalOverride(parse_override(text, str(path)))


def calendar_file(data_folder: Path, world: World) -> Path:
    return data_folder / f"calendar_{world}.json"


def read_calendar(path: Path) -> ProviderCalendar:
    """The refreshed calendar on disk, empty if there is none. Raises SetupError."""
    if not path.exists():
        return ProviderCalendar()
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        days = {
            (date.fromisoformat(row["date"]), Segment(row["segment"])): ProviderHours(
                in_order(*map(TradingWindow.parse, row["windows"])), str(row["note"])
            )
            for row in stored["days"]
        }
        return ProviderCalendar(days, frozenset(map(int, stored["years"])))
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise SetupError(
            f"the refreshed calendar {path} cannot be read ({type(problem).__name__}: {problem})",
            hint="Delete the file, then run 'data-fetch calendar refresh'.",
        ) from None


def save_calendar(path: Path, calendar: ProviderCalendar) -> None:
    """Write the file atomically: a reader never sees a part of a calendar."""
    rows = [
        {
            "date": day.isoformat(),
            "segment": str(segment),
            "windows": [str(window) for window in hours.windows],
            "note": hours.note,
        }
        for (day, segment), hours in sorted(calendar.days.items())
    ]
    text = json.dumps({"years": sorted(calendar.years), "days": rows}, indent=1, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _hours_of(
    day: date, exchange: str, windows: tuple[TradingWindow, ...], note: str
) -> HoursByDay:
    return {(day, segment): ProviderHours(windows, note) for segment in SEGMENTS[exchange]}


def _year_of(holidays: Sequence[HolidayRow]) -> frozenset[int]:
    """The year of the list. One row of another year does not make that year known."""
    years = Counter(row.day.year for row in holidays)
    return frozenset(year for year, _ in years.most_common(1))


def _mapping(raw: object) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise BadRecord(f"a calendar row is {type(raw).__name__}, not an object")
    return raw


def _list(row: Mapping[str, Any], name: str) -> list[Any]:
    items = row.get(name) or []
    if not isinstance(items, list):
        raise BadRecord(f"{row.get('date')}: {name} is not a list")
    return items


def _date(raw: object) -> date:
    try:
        return date.fromisoformat(str(raw))
    except ValueError:
        raise BadRecord(f"{str(raw)[:40]!r} is not a date") from None


def _instant(raw: object, day: date) -> datetime:
    """Epoch milliseconds, also as text, as IST time on *day*."""
    try:
        at = (EPOCH + timedelta(milliseconds=float(str(raw)))).astimezone(IST)
    except (ValueError, OverflowError):
        raise BadRecord(f"{day}: {str(raw)[:40]!r} is not a time") from None
    if at.date() != day:
        raise BadRecord(f"{day}: a time of another day ({at:%Y-%m-%d %H:%M})")
    return at
