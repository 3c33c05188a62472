"""Coverage: instruments by trading days, the minutes of each day counted by state."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, select

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.day_counts import DayCounts, summed
from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.settings import Settings
from data_fetch.reading.frames import DataAge, converted, form_named, one_of, rows_table
from data_fetch.reading.instants import date_of
from data_fetch.reading.records import Records, Symbols, records_for, several
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.candles.coverage import coverage_table
from data_fetch.storage.candles.coverage_counts import CoverageQuery, day_counts
from data_fetch.storage.candles.histories import histories

DEFAULT_DAYS = 60
# In the order of documents and legends.
STATES = (
    State.PRESENT,
    State.MISSED,
    State.UNKNOWN_INSTRUMENT,
    State.SOURCE_EMPTY,
    State.PENDING,
    State.NOT_EXPECTED,
)
COLUMNS = {
    "symbol": "text",
    "instrument_key": "text",
    "date": "date",
    "state": "text",
    **dict.fromkeys(DayCounts._fields, "int"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRange:
    """Which days of which candles a query covers; no *symbols* stands for every listed one.

    *first* and *last* are IST trading dates, both included. Without them the range is the last
    *days* days up to the present one.
    """

    symbols: tuple[str, ...] = ()
    interval: CandleInterval = CandleInterval.MINUTE
    first: date | None = None
    last: date | None = None
    days: int = DEFAULT_DAYS

    def dates(self, today: date) -> tuple[date, date]:
        """The first and the last date, as of *today*; later days are left out.

        Raises SetupError when the first one is later than the last one.
        """
        last = min(self.last or today, today)
        first = self.first or last - timedelta(days=self.days - 1)
        if first > last:
            present = "" if self.last and self.last <= today else ", the present day"
            raise SetupError(f"{first} is later than {last}{present}", hint="Name an earlier date.")
        return first, last


@dataclass(frozen=True, slots=True)
class CountedDay:
    """The counts of a trading day, which belongs to *instrument_key*."""

    date: date
    instrument_key: str
    counts: DayCounts


@dataclass(frozen=True, slots=True)
class InstrumentDays:
    """The counts of an instrument's trading days, under whichever key, oldest first."""

    instrument: Instrument
    days: Sequence[CountedDay]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageGrid:
    """The coverage of *rows* of instruments from *first* to *last*, as of *now*.

    *changed* is when a row of the ledger last changed; None for a ledger without rows. The hours
    of *provisional_sessions* are not reviewed.
    """

    interval: CandleInterval
    first: date
    last: date
    now: datetime
    changed: datetime | None
    rows: Sequence[InstrumentDays]
    provisional_sessions: Sequence[date]
    totals: DayCounts
    states: Counter[State]

    def document(self) -> dict[str, Any]:
        return {
            "interval": self.interval.value,
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            "instruments": [
                {
                    "symbol": row.instrument.symbol,
                    "instrument_key": row.instrument.instrument_key,
                    "days": [
                        {
                            "date": day.date.isoformat(),
                            "instrument_key": day.instrument_key,
                            "state": day.counts.state.value,
                            **day.counts._asdict(),
                        }
                        for day in row.days
                    ],
                }
                for row in self.rows
            ],
            "provisional_sessions": [day.isoformat() for day in self.provisional_sessions],
            "totals": {
                **self.totals._asdict(),
                "days": {state.value: self.states[state] for state in STATES},
            },
        }


@dataclass(frozen=True, slots=True)
class CoverageTotals:
    """The minutes (days for the interval `day`) of all instruments together, by state."""

    counts: DayCounts

    @property
    def complete(self) -> bool:
        """No candle is missed and none is still to come."""
        return not (self.counts.missed or self.counts.pending)

    def document(self) -> dict[str, Any]:
        return {"complete": self.complete, **self.counts._asdict()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """A *table* with a row per instrument and trading day, and its totals.

    Columns: symbol, instrument_key, date, state (the gravest of the day) and the day's minutes
    by state: expected, present, no_trade, source_empty, unknown_instrument, missed,
    pending, not_expected, provisional. *freshness* has the newest change of the ledger.
    """

    interval: CandleInterval
    first: date
    last: date
    table: Any
    completeness: CoverageTotals
    freshness: DataAge


def coverage(
    symbols: Symbols = (),
    first: date | str | None = None,
    last: date | str | None = None,
    *,
    interval: str = "1minute",
    form: str = "arrow",
    settings: Settings | None = None,
) -> Coverage:
    """Which days of *symbols* (none named: every listed one) are complete.

    From the trading date *first* to *last*, both included; the last 60 days by default. The
    other arguments are those of `candles`. Raises SetupError for an invalid argument or a symbol
    that the store does not know, CalendarUnknown, StoreUnreachable.
    """
    convert = form_named(form)
    grid = coverage_grid(settings or process_settings(), day_range(symbols, first, last, interval))
    rows = [
        {
            "symbol": row.instrument.symbol,
            "instrument_key": day.instrument_key,
            "date": day.date,
            "state": day.counts.state.value,
            **day.counts._asdict(),
        }
        for row in grid.rows
        for day in row.days
    ]
    totals, freshness = CoverageTotals(grid.totals), DataAge(as_of=grid.now, newest=grid.changed)
    return Coverage(
        interval=grid.interval,
        first=grid.first,
        last=grid.last,
        table=converted(convert, rows_table(rows, COLUMNS), totals, freshness),
        completeness=totals,
        freshness=freshness,
    )


def day_range(
    symbols: Symbols, first: date | str | None, last: date | str | None, interval: str
) -> DayRange:
    """The range that these arguments name. Raises SetupError when they are invalid."""
    found = DayRange(
        symbols=several(symbols),
        interval=CandleInterval(one_of(interval, [*CandleInterval], "interval")),
        first=None if first is None else date_of(first),
        last=None if last is None else date_of(last),
    )
    if found.first and found.last and found.first > found.last:
        raise SetupError(f"{first} is later than {last}", hint="Name the earlier date first.")
    return found


def coverage_query(records: Records, of: DayRange) -> CoverageQuery:
    """The query for the days that *of* names, over the histories of *records*."""
    first, last = of.dates(records.expectation.today)
    with records.store.reading() as connection:
        found = histories(connection, records.instruments, of.interval, first, last)
    return CoverageQuery(
        instruments=found.instruments,
        interval=of.interval,
        first=first,
        last=last,
        expectation=replace(records.expectation, periods=found.periods),
    )


def ledger_changed(connection: Connection, query: CoverageQuery) -> datetime | None:
    """When the newest of the ledger's rows of *query* was written; None without a row."""
    newest: datetime | None = connection.scalar(
        select(func.max(coverage_table.c.changed_at)).where(_rows_of(query))
    )
    return newest


def _rows_of(query: CoverageQuery) -> ColumnElement[bool]:
    keys = [instrument.instrument_key for instrument in query.instruments]
    return and_(
        coverage_table.c.instrument_key.in_(keys),
        coverage_table.c.interval == query.interval.value,
        coverage_table.c.trading_date.between(query.first, query.last),
    )


class LedgerHead(NamedTuple):
    """By what a change of a part of the ledger is seen without a look at its rows: when it
    was *changed* last (None without a row), the sums of its rows, and the *minute* that it is.

    Clocks can be set back, and several changes can have one instant: hence the sums.
    """

    changed: datetime | None
    rows: int
    attempts: int
    present: int
    provisional: int
    minute: datetime


def ledger_head(settings: Settings, of: DayRange) -> LedgerHead:
    """The head of the days that *of* names: with the same one their grid is the same. Raises as
    `coverage` does."""
    row = coverage_table.c
    attempts, present, provisional = (
        func.coalesce(func.sum(each), 0) for each in (row.attempts, row.present, row.provisional)
    )
    sums = select(func.max(row.changed_at), func.count(), attempts, present, provisional)
    with records_for(settings, of.symbols) as records:
        query = coverage_query(records, of)
        with records.store.reading() as connection:
            found = connection.execute(sums.where(_rows_of(query))).one()
    now = query.expectation.now
    return LedgerHead._make((*found, now.replace(second=0, microsecond=0)))


def coverage_grid(settings: Settings, of: DayRange) -> CoverageGrid:
    """The coverage of the days that *of* names. Raises as `coverage` does."""
    with records_for(settings, of.symbols) as records:
        query = coverage_query(records, of)
        with records.store.reading() as connection:
            rows = _by_symbol(day_counts(connection, query))
            changed = ledger_changed(connection, query)
    counted = [day.counts for row in rows for day in row.days]
    return CoverageGrid(
        interval=query.interval,
        first=query.first,
        last=query.last,
        now=query.expectation.now,
        changed=changed,
        rows=rows,
        provisional_sessions=query.provisional_sessions,
        totals=summed([DayCounts(), *counted]),
        states=Counter(counts.state for counts in counted),
    )


def _by_symbol(
    counted: Iterable[tuple[Instrument, list[tuple[date, DayCounts]]]],
) -> list[InstrumentDays]:
    """One row per symbol, with the days of all its keys; the present key comes first."""
    rows: dict[str, InstrumentDays] = {}
    for instrument, days in counted:
        row = rows.setdefault(instrument.symbol, InstrumentDays(instrument, []))
        own = [CountedDay(day, instrument.instrument_key, counts) for day, counts in days]
        together = sorted((*row.days, *own), key=attrgetter("date"))
        rows[instrument.symbol] = replace(row, days=together)
    return list(rows.values())
