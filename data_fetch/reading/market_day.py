"""The trading day that is shown: whether the market is open, and every slot of quotes."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from statistics import median_high
from typing import Any

from sqlalchemy import Row, select

from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar, TradingGroup
from data_fetch.core.market.members import Members
from data_fetch.core.runs import Outcome
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import LONGEST_BREAK, QUOTES
from data_fetch.reading.records import clock_of, listed_instruments, store_of
from data_fetch.runtime.calendars import calendar_for
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import sync_runs

DAY = timedelta(days=1)
# A collector asks for the quotes of a slot when it is over.
RECORDED_WITHIN = timedelta(seconds=15)


class SlotState(StrEnum):
    """What became of a slot, the best first. ``unrecorded``: it has been over for a while,
    and no run is recorded for it."""

    COLLECTED = "collected"
    INCOMPLETE = "incomplete"
    MISSED = "missed"
    UNRECORDED = "unrecorded"
    PENDING = "pending"


_OF_OUTCOME: Mapping[Outcome, SlotState] = {
    Outcome.COMPLETED: SlotState.COLLECTED,
    Outcome.INCOMPLETE: SlotState.INCOMPLETE,
    Outcome.FAILED: SlotState.MISSED,
    Outcome.MISSED: SlotState.MISSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySlot:
    """One minute for which quotes are due, from *slot* on. *lag* is the time from its end until
    its quotes were stored, None when none were; *reason* is why it is not collected."""

    slot: datetime
    state: SlotState
    requested: int = 0
    stored: int = 0
    lag: timedelta | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketDay:
    """The slots of *day*: the IST day of *at* if it trades, else the last one that did.

    *next_open* is when continuous trading begins next.
    """

    at: datetime
    day: date
    is_open: bool
    next_open: datetime
    slots: Sequence[DaySlot]

    @property
    def counts(self) -> Mapping[SlotState, int]:
        """How many slots are in each state."""
        found = Counter(each.state for each in self.slots)
        return {state: found[state] for state in SlotState}

    @property
    def due(self) -> int:
        """How many slots are over and recorded, or should be."""
        return len(self.slots) - self.counts[SlotState.PENDING]

    @property
    def last_lag(self) -> timedelta | None:
        """The lag of the newest slot that was stored."""
        return next((each.lag for each in reversed(self.slots) if each.lag is not None), None)

    @property
    def usual_lag(self) -> timedelta | None:
        """The median lag of the slots that were stored."""
        lags = [each.lag for each in self.slots if each.lag is not None]
        return median_high(lags) if lags else None


def market_day(settings: Settings) -> MarketDay:
    """The trading day at the present instant of the market.

    Raises CalendarUnknown, SymbolsFileBad, StoreUnreachable.
    """
    clock, calendar = clock_of(settings), calendar_for(settings)
    with store_of(settings) as store:
        now = clock.now()
        groups = trading_groups(settings, store, now)
        day = _shown_day(calendar, groups, now.astimezone(IST).date())
        due = sorted({slot for group in groups for slot in _slots_on(calendar, day, group)})
        recorded = _recorded(store, due)
        return MarketDay(
            at=now,
            day=day,
            is_open=any(calendar.is_open(now, group) for group in groups),
            next_open=min(calendar.next_open(now, group) for group in groups),
            slots=[recorded.get(slot) or _not_recorded(slot, now) for slot in due],
        )


def trading_groups(settings: Settings, store: Store, now: datetime) -> Collection[TradingGroup]:
    """The trading hours of the listed instruments; those of futures where none is known yet."""
    with store.reading() as connection:
        listed = Members.as_of(listed_instruments(connection, settings), now).groups
    return listed or {FUTURES_AND_OPTIONS}


def _shown_day(calendar: MarketCalendar, groups: Collection[TradingGroup], today: date) -> date:
    days = (today - count * DAY for count in range(LONGEST_BREAK.days + 1))
    traded = (day for day in days if any(_slots_on(calendar, day, group) for group in groups))
    return next(traded, today)


def _slots_on(calendar: MarketCalendar, day: date, group: TradingGroup) -> Sequence[datetime]:
    return calendar.session(day, group).slot_instants


def _recorded(store: Store, due: Sequence[datetime]) -> dict[datetime, DaySlot]:
    """The slots that a run is recorded for; of several runs of a slot the best one."""
    if not due:
        return {}
    runs = sync_runs.c
    query = select(sync_runs).where(
        runs.job == QUOTES,
        runs.due_slot.between(due[0], due[-1]),
        runs.outcome.in_([outcome.value for outcome in _OF_OUTCOME]),
    )
    with store.reading() as connection:
        found = [_of_run(row) for row in connection.execute(query.order_by(runs.started_at))]
    order = list(SlotState)
    return {each.slot: each for each in sorted(found, key=lambda one: -order.index(one.state))}


def _of_run(row: Row[Any]) -> DaySlot:
    state = _OF_OUTCOME[Outcome(row.outcome)]
    stored = state is not SlotState.MISSED
    return DaySlot(
        slot=row.due_slot,
        state=state,
        requested=row.requested,
        stored=row.stored,
        lag=row.finished_at - row.due_slot - MINUTE if stored else None,
        reason=row.error or _left_out(row) or None,
    )


def _left_out(row: Row[Any]) -> str:
    """Why a slot has fewer quotes than were requested: 2 absent, 1 rejected."""
    counts = {name: getattr(row, name) for name in ("absent", "quarantined", "rejected")}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _not_recorded(slot: datetime, now: datetime) -> DaySlot:
    if slot + MINUTE + RECORDED_WITHIN > now:
        return DaySlot(slot=slot, state=SlotState.PENDING)
    return DaySlot(
        slot=slot,
        state=SlotState.UNRECORDED,
        reason="no run is recorded; a collector records why when it starts: data-fetch run",
    )
