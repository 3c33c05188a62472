"""What the page Today says: records of `reading` as words and rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pyarrow as pa

from data_fetch.core.clock import IST
from data_fetch.core.feed.tick_ages import TickAges
from data_fetch.core.freshness import Freshness
from data_fetch.core.world import World
from data_fetch.dashboard.numbers import clock_time, day_and_time, grouped, span_text
from data_fetch.dashboard.page import Rows
from data_fetch.reading.collector_facts import ProviderFigures
from data_fetch.reading.feed_status import FeedSummary
from data_fetch.reading.frames import rows_table
from data_fetch.reading.freshness_classes import ClassFreshness
from data_fetch.reading.last_errors import LastError
from data_fetch.reading.market_day import DaySlot, MarketDay, SlotState

SLOT_COLUMNS = {
    "slot": "instant", "state": "text", "requested": "int", "stored": "int",
    "lag_seconds": "float", "reason": "text",
}  # fmt: skip
STATE_WORDS: Mapping[str, str] = {
    Freshness.FRESH: "fresh",
    Freshness.STOPPED: "stopped",
    Freshness.FROZEN: "frozen",
    Freshness.NEVER_SEEN: "never seen",
    Freshness.CLOSED: "market closed",
}
NO_LIMITS = {
    World.PAPER: "The limits of the paper exchange are those of the collector that it answers; the "
    "budget of a provider is shown for real prices.",
    World.LIVE: "No request was sent to a provider from this machine yet.",
}


def completeness(day: MarketDay) -> str:
    """How complete the slots of *day* are, for the line under the title."""
    counts = day.counts
    collected = counts[SlotState.COLLECTED]
    text = f"{grouped(collected)} of {grouped(day.due)} slots of {day.day:%d %b} collected"
    rest = [
        f"{grouped(counts[state])} {state}"
        for state in (SlotState.INCOMPLETE, SlotState.MISSED, SlotState.UNRECORDED)
        if counts[state]
    ]
    return ", ".join([text, *rest])


def market_words(day: MarketDay) -> str:
    """Open, or closed and until when."""
    if day.is_open:
        return "open"
    return f"closed until {day.next_open.astimezone(IST):%a %d %b %H:%M}"


def freshness_rows(classes: Sequence[ClassFreshness], now: datetime) -> Rows:
    """A column for each class: its symbols by state, its newest datum and how old that is; while
    ticks of a feed are expected, how old these are."""
    rows = [
        {"symbols": word, **{each.name: grouped(each.counts[state]) for each in classes}}
        for state, word in STATE_WORDS.items()
    ]
    newest = {each.name: clock_time(each.newest) for each in classes}
    ages = {
        each.name: span_text(max(now - each.newest, timedelta(0)) if each.newest else None)
        for each in classes
    }
    return [
        *rows,
        {"symbols": "newest", **newest},
        {"symbols": "age", **ages},
        *(_tick_rows(classes) if any(each.ticks.expected for each in classes) else []),
    ]


def _tick_rows(classes: Sequence[ClassFreshness]) -> Rows:
    return [
        {
            "symbols": "tick age, median",
            **{each.name: span_text(each.ticks.median) for each in classes},
        },
        {
            "symbols": "oldest tick",
            **{each.name: _oldest_tick(each.ticks) for each in classes},
        },
        {
            "symbols": "without a tick today",
            **{each.name: grouped(len(each.ticks.without)) for each in classes},
        },
    ]


def _oldest_tick(ages: TickAges) -> str:
    """Its age and its symbol."""
    return f"{span_text(ages.oldest)} {ages.oldest_symbol}".rstrip()


def feed_line(feed: FeedSummary) -> str:
    """The state of the streaming feed, its cause, its keys, and how often it was away today."""
    away = len(feed.disconnects)
    often = f", disconnects today: {grouped(away)}" if away else ""
    return f"Feed {feed.state}: {feed.cause} · {feed.keys_line}{often}"


def budget_rows(provider: ProviderFigures) -> Rows:
    """A row for each limit of a provider: requests used in the window, and left."""
    return [
        {
            "API": each.api,
            "window": span_text(each.window),
            "used": grouped(each.used),
            "left": grouped(each.limit - each.used),
            "limit": grouped(each.limit),
        }
        for each in provider.windows
    ]


def pause_lines(pauses: Mapping[str, datetime]) -> list[str]:
    """The pauses that providers require, and that nothing is to be done."""
    return [
        f"{api} wants no request until {day_and_time(until)}. The collector waits by itself."
        for api, until in pauses.items()
    ]


def error_line(error: LastError) -> str:
    """When an error came last, of which job, how often, and what it says."""
    often = "" if error.times == 1 else f", {grouped(error.times)} times in 8 days"
    return (
        f"**{day_and_time(error.last_ended)}** · {error.job} {error.outcome}{often}: {error.error}"
    )


def slot_table(slots: Sequence[DaySlot]) -> pa.Table:
    """The slots for a file, a row each; instants with their zone."""
    rows = [
        {
            "slot": each.slot,
            "state": each.state.value,
            "requested": each.requested,
            "stored": each.stored,
            "lag_seconds": each.lag.total_seconds() if each.lag is not None else None,
            "reason": each.reason,
        }
        for each in slots
    ]
    return rows_table(rows, SLOT_COLUMNS)
