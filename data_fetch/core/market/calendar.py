"""The market calendar: trading hours of the exchange by date and segment.

The reviewed table (`market_table.toml`) is the base. A refresh from the provider extends and
amends it, and the user's override file takes precedence. For each date the first of these that
has hours for it is used:

1. the override file;
2. the table's entry for a special day (a day with hours of its own);
3. the provider's hours;
4. the table's holidays and ordinary hours;
5. after the table's end the rule in force: weekdays have the ordinary hours, except, in a year
   whose holidays no provider has listed yet, the holidays of fixed date.

The calendar begins with the table and has no end; what is not reviewed is provisional.

The provider does not publish the closing auction, and is wrong about some drills and outages. So
its hours never change a reviewed special day, except one that the table marks as provisional.
One window from the ordinary opening to the start of the closing auction, or later, means a full
day: the segment has its ordinary hours and the auction, and only an end later than both replaces
the ordinary end. All other hours are used as published, without an auction. `conflicts_with`
lists where the calendar differs from the provider.

Instants are aware UTC, windows are IST. A slot is the minute it is named after.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.errors import CalendarUnknown
from data_fetch.core.market.provider import ProviderCalendar, ProviderHours
from data_fetch.core.market.session import (
    EPOCH,
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    INDEX,
    INDIA_VIX,
    OTHER_STOCK,
    Session,
    TradingGroup,
    group_of,
    minute_number,
    session_of,
)
from data_fetch.core.market.table import (
    DayHours,
    MarketTable,
    OrdinaryHours,
    Segment,
    SegmentHours,
    TradingWindow,
    parse_override,
    reviewed_table,
)

__all__ = [
    "FUTURES_AND_OPTIONS",
    "F_AND_O_STOCK",
    "INDEX",
    "INDIA_VIX",
    "OTHER_STOCK",
    "ExpiryClose",
    "LocalOverride",
    "MarketCalendar",
    "ProviderCalendar",
    "ProviderHours",
    "Segment",
    "Session",
    "TradingGroup",
    "TradingWindow",
    "group_of",
    "parse_override",
    "unlisted_warning",
]

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LocalOverride:
    """The hours of the user's override file. They take precedence over everything else."""

    days: DayHours = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExpiryClose:
    """The instant (UTC) at which an expiry ends; *provisional*: that date is not reviewed."""

    at: datetime
    provisional: bool


class MarketCalendar:
    """The trading hours of all groups. Immutable; `with_amendments` returns another one."""

    def __init__(
        self,
        table: MarketTable,
        provider: ProviderCalendar | None = None,
        override: LocalOverride | None = None,
    ) -> None:
        self._table = table
        self._provider = provider or ProviderCalendar()
        self._override = override or LocalOverride()
        self._sessions: dict[tuple[date, TradingGroup], Session] = {}

    @classmethod
    def reviewed(cls) -> "MarketCalendar":
        """The calendar that comes with the package."""
        return _reviewed()

    def with_amendments(self, *amendments: ProviderCalendar | LocalOverride) -> "MarketCalendar":
        """This calendar with *amendments*; of two of a kind the later one applies."""
        provider, override = self._provider, self._override
        for amendment in amendments:
            if isinstance(amendment, ProviderCalendar):
                provider = provider.with_newer(amendment)
            else:
                override = LocalOverride({**override.days, **amendment.days})
        return MarketCalendar(self._table, provider, override)

    def with_provider(self, provider: ProviderCalendar) -> "MarketCalendar":
        """This calendar with *provider* instead of what was received before."""
        return MarketCalendar(self._table, provider, self._override)

    @property
    def reviewed_from(self) -> date:
        return self._table.reviewed_from

    @property
    def reviewed_until(self) -> date:
        return self._table.reviewed_until

    @property
    def provider(self) -> ProviderCalendar:
        """What was received from providers."""
        return self._provider

    @property
    def refreshed_at(self) -> datetime | None:
        """When the provider's holidays and timings were read last; None: never."""
        return self._provider.refreshed_at

    def lists(self, year: int) -> bool:
        """Whether the holidays of *year* are known: reviewed, or in a provider's list."""
        return year <= self.reviewed_until.year or year in self._provider.years

    def session(self, day: date, group: TradingGroup) -> Session:
        """The session of *day*, an IST date, closed or not.

        Raises CalendarUnknown for a date before the table that no override names.
        """
        known = self._sessions.get((day, group))
        if known is None:
            known = session_of(day, group, self._hours(day, group.segment))
            self._sessions[day, group] = known
        return known

    def is_open(self, at: datetime, group: TradingGroup) -> bool:
        """Whether there is continuous trading at that instant."""
        minute = minute_number(at)
        return any(first <= minute < end for first, end in self._session_at(at, group).spans)

    def is_slot_due(self, slot: datetime, group: TradingGroup) -> bool:
        """Whether a quote is due for the minute that begins at *slot*."""
        minute = minute_number(slot)
        session = self._session_at(slot, group)
        due = (*session.spans, *session.auction_spans)
        return any(first <= minute < end for first, end in due)

    def next_open(self, at: datetime, group: TradingGroup) -> datetime:
        """When continuous trading begins next, later than *at*."""
        day = _trading_date(at)
        while True:
            for first, _ in self.session(day, group).spans:
                opening = EPOCH + first * MINUTE
                if opening > at:
                    return opening
            day += DAY

    def slots_between(self, after: datetime, upto: datetime, group: TradingGroup) -> list[datetime]:
        """The slots with after < slot <= upto, oldest first."""
        found: list[datetime] = []
        for session in self._sessions_between(after, upto, group):
            slots = session.slot_instants
            found += slots[bisect_right(slots, after) : bisect_right(slots, upto)]
        return found

    def slots_on(self, day: date, segment: Segment) -> set[datetime]:
        """Every slot of *day* that is due for some instrument of *segment*."""
        return {
            slot
            for auction in (True, False)
            for slot in self.session(day, TradingGroup(segment, auction)).slot_instants
        }

    def trading_minutes_between(self, start: datetime, end: datetime, group: TradingGroup) -> int:
        """Whole minutes of continuous trading between the two instants.

        Nights, holidays and the closing auction count nothing, and neither does a minute
        that was only partly between them.
        """
        # Floor division of the negative rounds the start up: a minute begun does not count.
        begin, over = -((EPOCH - start) // MINUTE), minute_number(end)
        return sum(
            max(0, min(last, over) - max(first, begin))
            for session in self._sessions_between(start, end, group)
            for first, last in session.spans
        )

    def conflicts_with(self, provider: ProviderCalendar) -> list[Session]:
        """The sessions of this calendar that differ from the hours of *provider*.

        They are the segment's sessions, without the closing auction.
        """
        return [
            session_of(day, TradingGroup(segment, auction=False), hours)
            for day, segment, given in provider.days()
            if day >= self.reviewed_from
            and (hours := self._hours(day, segment)).windows != given.windows
        ]

    def expiry_close(self, expiry: date) -> ExpiryClose:
        """The close at which contracts of that expiry stop trading, for any date.

        For a date before the calendar or without a session it is the ordinary close of that
        time, and provisional.
        """
        try:
            session = self.session(expiry, FUTURES_AND_OPTIONS)
        except CalendarUnknown:
            return self._ordinary_close(expiry)
        if not session.open:
            return self._ordinary_close(expiry)
        return ExpiryClose(_ist(expiry, session.windows[-1].end), session.provisional)

    def _ordinary_close(self, day: date) -> ExpiryClose:
        hours = self._table.ordinary(max(day, self.reviewed_from)).of(Segment.FO)
        return ExpiryClose(_ist(day, hours.windows[-1].end), provisional=True)

    def dates_without_hours(self) -> list[date]:
        """The dates of announced sessions whose hours are not known yet."""
        return sorted(
            {
                day
                for (day, segment), hours in self._table.special.items()
                if hours.provisional and not self._hours(day, segment).windows
            }
        )

    def _session_at(self, at: datetime, group: TradingGroup) -> Session:
        return self.session(_trading_date(at), group)

    def _sessions_between(
        self, start: datetime, end: datetime, group: TradingGroup
    ) -> Iterator[Session]:
        if end < start:
            return
        day, last = _trading_date(start), _trading_date(end)
        while day <= last:
            yield self.session(day, group)
            day += DAY

    def _hours(self, day: date, segment: Segment) -> SegmentHours:
        overridden = self._override.days.get((day, segment))
        if overridden is not None:
            return overridden
        if self._is_reviewed_special_day(day, segment):
            return self._table.special[day, segment]
        given = self._provider.hours(day, segment)
        if given is not None and day >= self.reviewed_from:
            return self._provider_hours(day, segment, given)
        return self._table_hours(day, segment)

    def _is_reviewed_special_day(self, day: date, segment: Segment) -> bool:
        special = self._table.special.get((day, segment))
        return special is not None and not special.provisional

    def _provider_hours(self, day: date, segment: Segment, given: ProviderHours) -> SegmentHours:
        hours = _interpreted(self._table.ordinary(day), segment, given)
        if day <= self.reviewed_until:
            reviewed = self._table_hours(day, segment)
            if (hours.windows, hours.auction) == (reviewed.windows, reviewed.auction):
                return reviewed
        return hours

    def _table_hours(self, day: date, segment: Segment) -> SegmentHours:
        if day < self.reviewed_from:
            raise CalendarUnknown(
                f"the market calendar begins on {self.reviewed_from}, after {day}",
                hint="Name the day in the calendar override file.",
            )
        special = self._table.special.get((day, segment))
        if special is not None:
            return special
        provisional = day > self.reviewed_until
        holiday = self._holiday(day)
        if holiday is not None:
            return SegmentHours((), note=holiday, provisional=provisional)
        if day.weekday() >= 5:
            return SegmentHours((), note=f"{day:%A}", provisional=provisional)
        return replace(self._table.ordinary(day).of(segment), provisional=provisional)

    def _holiday(self, day: date) -> str | None:
        """The name of the holiday on *day*, if it is one by the table."""
        if self.lists(day.year):
            return self._table.holidays.get(day)
        return self._table.fixed_holidays.get((day.month, day.day))


def unlisted_warning(calendar: MarketCalendar, today: date) -> str | None:
    """The warning for users when the holidays of the year of *today* are not known."""
    if calendar.lists(today.year):
        return None
    return (
        f"the holidays of {today.year} are not known yet: its sessions are provisional, "
        "and weekdays are trading days except the holidays of fixed date"
    )


@cache
def _reviewed() -> MarketCalendar:
    return MarketCalendar(reviewed_table())


def _interpreted(ordinary: OrdinaryHours, segment: Segment, given: ProviderHours) -> SegmentHours:
    """The provider's hours with the closing auction, which they lack, and without a pre-open."""
    full = ordinary.of(segment)
    opens, closes = full.windows[0].start, full.windows[0].end
    auction = ordinary.closing_auction
    enough = auction.start if auction else closes
    match given.windows:
        case [window] if window.start <= opens and window.end >= enough:
            last = max(closes, auction.end) if auction else closes
            end = window.end if window.end > last else closes
            return SegmentHours(
                (TradingWindow(opens, end),), full.auction, given.note, provisional=True
            )
        case windows:
            return SegmentHours(windows, note=given.note, provisional=True)


def _ist(day: date, at: time) -> datetime:
    return datetime.combine(day, at, IST).astimezone(UTC)


def _trading_date(at: datetime) -> date:
    return at.astimezone(IST).date()
