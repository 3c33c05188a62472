"""When the exchange trades, for every date and everything that is traded there.

The reviewed table (`market_table.toml`) is the ground. A refresh from the provider extends and
amends it, a person's override file has the last word:

1. the override file;
2. what the table says of a special day (a day with hours of its own);
3. what the provider said;
4. the table's holidays and ordinary hours.

The provider knows no closing auction, and is wrong about some drills and outages. So its word
never changes a reviewed special day, except one that the table itself calls provisional. And
one window that lasts from the ordinary opening to the start of the closing auction, or longer,
means a full day: the segment keeps its ordinary hours and the auction, and only an end later
than both is taken over. Anything else is taken as told, without an
auction. `conflicts_with` says where the calendar did not follow.

Instants are aware UTC, windows are IST. A slot is the minute it is named after.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.errors import CalendarUnknown
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
    Hours,
    MarketTable,
    OrdinaryHours,
    Segment,
    Window,
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
    "Window",
    "end_warning",
    "group_of",
    "parse_override",
]

DAY = timedelta(days=1)
WARN_AHEAD = timedelta(days=30)
CURE = "Run 'data-fetch calendar refresh', or name the day in the calendar override file."


@dataclass(frozen=True, slots=True)
class ProviderHours:
    """What the provider said of one segment on one day. No windows: it is closed."""

    windows: tuple[Window, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class ProviderCalendar:
    """All the provider said so far. *years* are those whose list of holidays it gave."""

    days: Mapping[tuple[date, Segment], ProviderHours] = field(default_factory=dict)
    years: frozenset[int] = frozenset()

    def with_newer(self, newer: "ProviderCalendar") -> "ProviderCalendar":
        """Both, *newer* winning. What *newer* does not mention stays: silence removes nothing."""
        return ProviderCalendar({**self.days, **newer.days}, self.years | newer.years)


@dataclass(frozen=True, slots=True)
class LocalOverride:
    """What a person here decided; nothing beats it."""

    days: DayHours = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExpiryClose:
    """The instant (UTC) at which an expiry ends; *provisional*: nobody reviewed that date."""

    at: datetime
    provisional: bool


class MarketCalendar:
    """Answers when a venue trades. Unchangeable; `with_amendments` gives another one."""

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
        """This calendar with *amendments*; of two of a kind the later one wins."""
        provider, override = self._provider, self._override
        for amendment in amendments:
            if isinstance(amendment, ProviderCalendar):
                provider = provider.with_newer(amendment)
            else:
                override = LocalOverride({**override.days, **amendment.days})
        return MarketCalendar(self._table, provider, override)

    @property
    def reviewed_from(self) -> date:
        return self._table.reviewed_from

    @property
    def reviewed_until(self) -> date:
        return self._table.reviewed_until

    def session(self, day: date, group: TradingGroup) -> Session:
        """The session of *day*, an IST date, closed or not.

        Raises CalendarUnknown for a date outside the table that no amendment speaks of.
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
        """When continuous trading begins next, later than *at*.

        Raises CalendarUnknown when the calendar ends before that.
        """
        day = _trading_date(at)
        while True:
            for first, _ in self.session(day, group).spans:
                opening = EPOCH + first * MINUTE
                if opening > at:
                    return opening
            day += DAY

    def last_completed_slot(self, at: datetime, group: TradingGroup) -> datetime | None:
        """The newest slot whose minute is over at *at*; None before the calendar's first."""
        day = _trading_date(at)
        while day >= self.reviewed_from:
            slots = self.session(day, group).slot_instants
            over = bisect_right(slots, at - MINUTE)
            if over:
                return slots[over - 1]
            day -= DAY
        return None

    def slots_between(self, after: datetime, upto: datetime, group: TradingGroup) -> list[datetime]:
        """The slots with after < slot <= upto, oldest first."""
        found: list[datetime] = []
        for session in self._sessions_between(after, upto, group):
            slots = session.slot_instants
            found += slots[bisect_right(slots, after) : bisect_right(slots, upto)]
        return found

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
        """Where this calendar does not follow *provider*: the sessions it keeps to instead.

        Sessions are given as the segment has them, without the closing auction's part.
        """
        kept = [
            session_of(day, TradingGroup(segment, auction=False), hours)
            for (day, segment), told in provider.days.items()
            if day >= self.reviewed_from
            and (hours := self._hours(day, segment)).windows != told.windows
        ]
        return sorted(kept, key=lambda session: (session.day, session.group.segment))

    def expiry_close(self, expiry: date) -> ExpiryClose:
        """When contracts of that expiry cease to trade; answers for any date.

        A date that the calendar does not know, or on which it knows of no trading, takes the
        close of the rule in force and is provisional.
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
        """The dates of announced sessions whose hours nobody has named yet."""
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

    def _hours(self, day: date, segment: Segment) -> Hours:
        overridden = self._override.days.get((day, segment))
        if overridden is not None:
            return overridden
        if self._is_settled(day, segment):
            return self._table.special[day, segment]
        told = self._provider.days.get((day, segment))
        if told is not None and day >= self.reviewed_from:
            return self._as_told(day, segment, told)
        return self._by_the_rules(day, segment)

    def _is_settled(self, day: date, segment: Segment) -> bool:
        special = self._table.special.get((day, segment))
        return special is not None and not special.provisional

    def _as_told(self, day: date, segment: Segment, told: ProviderHours) -> Hours:
        hours = _in_our_words(self._table.ordinary(day), segment, told)
        if day <= self.reviewed_until:
            reviewed = self._by_the_rules(day, segment)
            if (hours.windows, hours.auction) == (reviewed.windows, reviewed.auction):
                return reviewed
        return hours

    def _by_the_rules(self, day: date, segment: Segment) -> Hours:
        if not self._is_known(day):
            raise CalendarUnknown(
                f"the market calendar knows {self.reviewed_from} to {self.reviewed_until}, "
                f"not {day}",
                hint=CURE,
            )
        announced = self._table.special.get((day, segment))
        if announced is not None:
            return announced
        provisional = day > self.reviewed_until
        if day in self._table.holidays:
            return Hours((), note=self._table.holidays[day])
        if day.weekday() >= 5:
            return Hours((), note=f"{day:%A}", provisional=provisional)
        return replace(self._table.ordinary(day).of(segment), provisional=provisional)

    def _is_known(self, day: date) -> bool:
        reviewed = self.reviewed_from <= day <= self.reviewed_until
        return reviewed or (day > self.reviewed_until and day.year in self._provider.years)


def end_warning(calendar: MarketCalendar, today: date) -> str | None:
    """What to tell a person when the reviewed table ends within 30 days of *today*."""
    if calendar.reviewed_until - today > WARN_AHEAD:
        return None
    ends = "ends" if today <= calendar.reviewed_until else "ended"
    return f"the reviewed market calendar {ends} on {calendar.reviewed_until}. {CURE}"


@cache
def _reviewed() -> MarketCalendar:
    return MarketCalendar(reviewed_table())


def _in_our_words(ordinary: OrdinaryHours, segment: Segment, told: ProviderHours) -> Hours:
    """Read an answer that knows no closing auction and may count the pre-open in."""
    full = ordinary.of(segment)
    opens, closes = full.windows[0].start, full.windows[0].end
    auction = ordinary.closing_auction
    enough = auction.start if auction else closes
    match told.windows:
        case [window] if window.start <= opens and window.end >= enough:
            last = max(closes, auction.end) if auction else closes
            end = window.end if window.end > last else closes
            return Hours((Window(opens, end),), full.auction, told.note, provisional=True)
        case windows:
            return Hours(windows, note=told.note, provisional=True)


def _ist(day: date, at: time) -> datetime:
    return datetime.combine(day, at, IST).astimezone(UTC)


def _trading_date(at: datetime) -> date:
    return at.astimezone(IST).date()
