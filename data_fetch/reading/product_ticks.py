"""The prices of an underlying in the shape of the older streaming backend."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from shlex import quote
from typing import Any

from data_fetch.core.archive.days import bounds_of
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import IST, MINUTE, minute_of, utc_text
from data_fetch.core.errors import NothingStored
from data_fetch.core.settings import Settings
from data_fetch.reading.candle_ranges import Candles, candles
from data_fetch.reading.instants import DAY
from data_fetch.reading.records import clock_of, store_of
from data_fetch.reading.seam import question
from data_fetch.reading.underlyings import underlying_named
from data_fetch.runtime.calendars import calendar_for
from data_fetch.storage.instruments.instruments import instruments_named
from data_fetch.storage.quotes import ltp_data, recent_quotes

# Over a weekend with a holiday before and after it.
LOOKED_BACK = 6 * DAY
LARGEST_WINDOW = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class TickQuery:
    """The last *limit* quotes of *symbol* in [*begin*, *end*), as of *at*; None: no limit."""

    symbol: str
    limit: int
    begin: datetime | None = None
    end: datetime | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticks:
    """The quotes of *product*, newest first, and whether there are *more* before them.

    *slots_due* are the minutes of trading from the oldest of them to the end of the range or
    now; None for an underlying that no instrument master has listed.
    """

    product: str
    ticks: Sequence[dict[str, Any]]
    more: bool
    oldest: datetime | None
    newest: datetime | None
    slots_due: int | None
    sources: tuple[str, ...]


def ticks(settings: Settings, of: TickQuery) -> Ticks:
    """The quotes that *of* asks for. Raises UnknownSymbol, CalendarUnknown, StoreUnreachable."""
    slot, received = ltp_data.c.timestamp, ltp_data.c.received_at
    conditions = [
        *([slot >= of.begin] if of.begin else []),
        *([slot < of.end] if of.end else []),
        *([received <= of.at] if of.at else []),
    ]
    with question(settings) as asked:
        connection = asked.connection
        lineage = underlying_named(connection, of.symbol)
        names = [each.label for each in lineage.names]
        found = recent_quotes(connection, names, of.limit + 1, *conditions)
        days = asked.earlier_quote_days(of.begin, of.end) if len(found) <= of.limit else []
        while len(found) <= of.limit and days:
            day = bounds_of(days.pop())
            asked.recall_quotes([each for each in names if "|" not in each], *day)
            found = recent_quotes(connection, names, of.limit + 1, *conditions)
        instruments = instruments_named(connection, [lineage.symbol]).members
    shown = found[: of.limit]
    oldest = shown[-1].timestamp if shown else None
    due = None
    if instruments and oldest is not None:
        expectation = Expectation(calendar_for(settings), clock_of(settings).now())
        until = min(filter(None, (of.end, of.at, minute_of(expectation.now))))
        sessions = expectation.sessions(instruments[0], _day_of(oldest), _day_of(until))
        due = sum(
            oldest <= slot and slot + MINUTE <= until
            for session in sessions
            for slot in session.slot_instants
        )
    return Ticks(
        product=lineage.symbol,
        ticks=[
            {
                "product": lineage.symbol,
                "price": row.ltp,
                "timestamp": utc_text(row.timestamp),
                "tick_id": int(row.timestamp.timestamp()),
                "processed_at": utc_text(row.received_at),
            }
            for row in shown
        ],
        more=len(found) > len(shown),
        oldest=oldest,
        newest=max((row.received_at for row in shown), default=None),
        slots_due=due,
        sources=tuple(sorted({row.source for row in shown})),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LastBar:
    """One bar as a *document*, of so many one-minute *candles*; *newest* is the end of the last
    of them."""

    document: dict[str, Any]
    candles: int
    newest: datetime
    sources: tuple[str, ...]


def last_bar(settings: Settings, symbol: str, minutes: int, at: datetime | None) -> LastBar:
    """One bar of the last *minutes* minutes, up to the newest one-minute candle.

    Raises UnknownSymbol, NothingStored without a candle in the last days, CalendarUnknown,
    StoreUnreachable.
    """
    with store_of(settings) as store, store.reading() as connection:
        product = underlying_named(connection, symbol).symbol
    found = _last_candles(settings, product, at)
    rows = found.table.slice(max(0, len(found.table) - LARGEST_WINDOW)).to_pylist()
    if not rows:
        raise NothingStored(
            f"no one-minute candle of {product} of the last days is stored",
            hint=f"Fetch them: data-fetch backfill --days 5 --symbols {quote(product)}",
        )
    end = rows[-1]["timestamp"] + MINUTE
    bars = [row for row in rows if row["timestamp"] >= end - minutes * MINUTE]
    document = {
        "product": product,
        "window_minutes": minutes,
        "open": bars[0]["open"],
        "high": max(row["high"] for row in bars),
        "low": min(row["low"] for row in bars),
        "close": bars[-1]["close"],
        "start_time": utc_text(end - minutes * MINUTE),
        "end_time": utc_text(end),
        "num_ticks": len(bars),
    }
    sources = tuple(sorted({row["source"] for row in bars}))
    return LastBar(document=document, candles=len(bars), newest=end, sources=sources)


def _last_candles(settings: Settings, symbol: str, at: datetime | None) -> Candles:
    """The one-minute candles of the present day; without any, of the last days."""
    today = _day_of(at or clock_of(settings).now())
    found = candles(symbol, today, today, as_of=at, settings=settings)
    if len(found.table):
        return found
    return candles(symbol, today - LOOKED_BACK, today, as_of=at, settings=settings)


def _day_of(at: datetime) -> date:
    return at.astimezone(IST).date()
