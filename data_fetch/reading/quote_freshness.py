"""Freshness of quotes: trading minutes since the last quote of each symbol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from data_fetch.core.clock import VirtualClock
from data_fetch.core.feed.tick_ages import NO_TICK, LastTick
from data_fetch.core.freshness import STALE, USUAL, FreshnessRules, count_states
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import F_AND_O_STOCK, MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.quotes.freshness import Judgement, judge
from data_fetch.core.settings import Settings
from data_fetch.reading.frames import DataAge, converted, form_named, rows_table
from data_fetch.reading.instants import ist_text
from data_fetch.reading.records import (
    Symbols,
    clock_of,
    listed_instruments,
    listed_symbols,
    several,
    store_of,
)
from data_fetch.reading.tick_receipts import product_ticks, tick_document
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import named_instruments
from data_fetch.services.freshness import FreshnessMonitor
from data_fetch.storage.database.store import Store
from data_fetch.storage.quotes import QuoteStore

COLUMNS = {
    "symbol": "text",
    "state": "text",
    "last_quote": "instant",
    "trading_minutes": "int",
    "last_tick": "instant",
    "tick_age_seconds": "float",
}


@dataclass(frozen=True, slots=True)
class QuoteFreshness:
    """The judgements of symbols, made at the instant *at*, and beside them their newest *ticks*: of
    each symbol while a feed runs, else of none."""

    at: datetime
    judgements: Sequence[Judgement]
    ticks: Mapping[str, LastTick] = field(default_factory=dict)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many symbols are in each state."""
        return count_states(each.state for each in self.judgements)

    @property
    def stale(self) -> bool:
        """Whether a symbol has no recent quote although its market is open."""
        return any(each.state in STALE for each in self.judgements)

    @property
    def notable(self) -> list[Judgement]:
        """The judgements of symbols that are neither fresh nor out of trading hours."""
        return [each for each in self.judgements if each.state not in USUAL]

    @property
    def last_quote(self) -> datetime | None:
        """The newest quote of all."""
        return max((each.last_quote for each in self.judgements if each.last_quote), default=None)

    def tick(self, symbol: str) -> LastTick:
        """The newest tick of *symbol*."""
        return self.ticks.get(symbol, NO_TICK)

    def document(self) -> dict[str, Any]:
        return {
            "at": ist_text(self.at),
            "counts": self.counts,
            "symbols": [
                {**judgement_document(each), **tick_document(self.tick(each.symbol))}
                for each in self.judgements
            ],
        }


@dataclass(frozen=True, slots=True)
class FreshnessTotals:
    """How many symbols are in each state, and whether every symbol that trades has a quote."""

    counts: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """No symbol is without a recent quote while its market is open."""
        return not any(self.counts[state] for state in STALE)

    def document(self) -> dict[str, Any]:
        return {"complete": self.complete, **self.counts}


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessTable:
    """A *table* with a row per symbol, and how many symbols are in each state.

    Columns: symbol, state ("fresh", "never_seen", "stopped", "frozen", "market_closed"),
    last_quote (when it was received) and trading_minutes since then; last_tick (when the streaming
    feed last brought it, today) and tick_age_seconds since then. Both are null without a running
    feed, the age also while the market is closed. *freshness* has the newest quote of all.
    """

    table: Any
    completeness: FreshnessTotals
    freshness: DataAge


def freshness(
    symbols: Symbols = (), *, form: str = "arrow", settings: Settings | None = None
) -> FreshnessTable:
    """How fresh the quotes of *symbols* (none named: of every listed one) are now.

    The other arguments are those of `candles`. Raises SetupError for an invalid argument or a
    symbol that the store does not know, CalendarUnknown, StoreUnreachable.
    """
    convert = form_named(form)
    report = _freshness_now(settings or process_settings(), several(symbols))
    rows = [
        {
            "symbol": each.symbol,
            "state": each.state.value,
            "last_quote": each.last_quote,
            "trading_minutes": each.minutes,
            "last_tick": report.tick(each.symbol).received_at,
            "tick_age_seconds": report.tick(each.symbol).age_seconds,
        }
        for each in report.judgements
    ]
    totals = FreshnessTotals(report.counts)
    age = DataAge(as_of=report.at, newest=report.last_quote)
    return FreshnessTable(
        table=converted(convert, rows_table(rows, COLUMNS), totals, age),
        completeness=totals,
        freshness=age,
    )


def _freshness_now(settings: Settings, symbols: Sequence[str]) -> QuoteFreshness:
    clock = clock_of(settings)
    with store_of(settings) as store:
        with store.reading() as connection:
            instruments = (
                named_instruments(connection, symbols).members
                if symbols
                else listed_instruments(connection, settings)
            )
        return quote_freshness(settings, store, calendar_for(settings), clock.now(), instruments)


def quote_freshness(
    settings: Settings,
    store: Store,
    calendar: MarketCalendar,
    now: datetime,
    instruments: Sequence[Instrument],
) -> QuoteFreshness:
    """The freshness at *now* of the quotes of *instruments*; without any, of the listed symbols,
    none of which the store knows.

    Raises as `freshness` does.
    """
    if instruments:
        found = judgements(settings, store, instruments, calendar, now)
    else:
        found = [_never_seen(symbol, calendar, now) for symbol in listed_symbols(settings)]
    states = {each.symbol: each.state for each in found}
    return QuoteFreshness(now, found, product_ticks(store, instruments, states, now))


def _never_seen(symbol: str, calendar: MarketCalendar, now: datetime) -> Judgement:
    """The judgement of a symbol in a store without instruments: it has no quote.

    The trading hours are those of stocks, because the store does not know the indices either.
    """
    return judge(
        symbol,
        now=now,
        group=F_AND_O_STOCK,
        calendar=calendar,
        rules=FreshnessRules(),
        last_quote=None,
        movement=None,
        index_moved=False,
    )


def judgements(
    settings: Settings,
    store: Store,
    instruments: Sequence[Instrument],
    calendar: MarketCalendar,
    now: datetime,
) -> list[Judgement]:
    """The freshness of each of *instruments* at the instant *now*."""
    monitor = FreshnessMonitor(
        quotes_repository=QuoteStore(store),
        members=Members.as_of(instruments, now),
        calendar=calendar,
        clock=VirtualClock(now),
        rules=settings.freshness_rules,
        repair=lambda _: None,
        chains=list,
    )
    return monitor.judge_all()


def judgement_document(judgement: Judgement) -> dict[str, Any]:
    return {
        "symbol": judgement.symbol,
        "state": str(judgement.state),
        "last_quote": ist_text(judgement.last_quote),
        "trading_minutes": judgement.minutes,
    }
