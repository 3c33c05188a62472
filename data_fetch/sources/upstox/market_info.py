"""Upstox's holidays and timings as the provider's hours of a segment on a day.

Upstox decides by exchange, not by the type of the row: a ``TRADING_HOLIDAY`` may list NSE
among `open_exchanges`, and a ``SETTLEMENT_HOLIDAY`` is a day on which the market is open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from threading import Event
from typing import Any, Protocol

from data_fetch.core.clock import IST
from data_fetch.core.errors import BadRecord
from data_fetch.core.market.provider import (
    ProviderCalendar,
    ProviderHours,
    PublishedCalendar,
    year_of,
)
from data_fetch.core.market.session import EPOCH
from data_fetch.core.market.table import Segment, TradingWindow, in_order
from data_fetch.core.ports import Clock, Lane
from data_fetch.sources.transport.retrying import RequestContext

# NSE is the cash market and with it the indices; NFO its futures and options.
SEGMENTS = {"NSE": (Segment.CASH, Segment.INDEX), "NFO": (Segment.FO,)}
SETTLEMENT_HOLIDAY = "SETTLEMENT_HOLIDAY"

HoursByDay = dict[tuple[date, Segment], ProviderHours]


class MarketInfo(Protocol):
    """A source of holidays and timings, as raw rows."""

    def context(self, lane: Lane, stop: Event | None = None) -> RequestContext: ...

    def holidays(self, context: RequestContext) -> list[Any]: ...

    def timings(self, day: date, context: RequestContext) -> list[Any]: ...


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


class UpstoxCalendar:
    """Upstox's holidays and timings (satisfies core.ports.CalendarSource)."""

    name = "Upstox"

    def __init__(self, api: MarketInfo, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    def published(self, days: Sequence[date], stop: Event) -> PublishedCalendar:
        """The holidays of the current year, and the timings of *days*.

        Bad rows are rejected with a reason. All requests together have the time limit of the
        live lane. Raises OutsideError.
        """
        context = self._api.context(Lane.LIVE, stop)
        rejected: list[str] = []
        holidays: list[HolidayRow] = []
        timings: list[OpenHours] = []
        for raw in self._api.holidays(context):
            try:
                holidays.append(read_holiday(raw))
            except BadRecord as bad:
                rejected.append(bad.message)
        for day in days:
            try:
                timings.append(read_open_hours(self._api.timings(day, context), day))
            except BadRecord as bad:
                rejected.append(bad.message)
        calendar = provider_calendar(holidays, timings, self._clock.now())
        return PublishedCalendar(self.name, calendar, tuple(rejected))


def provider_calendar(
    holidays: Sequence[HolidayRow], timings: Sequence[OpenHours], at: datetime
) -> ProviderCalendar:
    """The hours of each segment and day, as published *at* that instant."""
    listed: HoursByDay = {}
    for row in holidays:
        # Banks are closed on a settlement holiday; the market is open.
        closed = frozenset() if row.kind == SETTLEMENT_HOLIDAY else row.closed
        for exchange in closed:
            listed |= _hours_of(row.day, exchange, (), row.description, at)
    descriptions = {row.day: row.description for row in holidays}
    for opens in (row.opens for row in holidays):
        listed |= _opening(opens, descriptions, at)
    timed: HoursByDay = {}
    for opens in timings:
        timed |= _opening(opens, descriptions, at)
    return ProviderCalendar(listed, timed, year_of(row.day for row in holidays), at)


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


def _opening(opens: OpenHours, descriptions: Mapping[date, str], at: datetime) -> HoursByDay:
    hours: HoursByDay = {}
    for exchange, windows in opens.windows.items():
        hours |= _hours_of(opens.day, exchange, windows, descriptions.get(opens.day, ""), at)
    return hours


def _hours_of(
    day: date, exchange: str, windows: tuple[TradingWindow, ...], note: str, at: datetime
) -> HoursByDay:
    return {(day, segment): ProviderHours(windows, note, at) for segment in SEGMENTS[exchange]}


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
