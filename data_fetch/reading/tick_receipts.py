"""When the streaming feed last brought something, by symbol: as its collector has stored it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from data_fetch.core.feed.tick_ages import LastTick, last_ticks
from data_fetch.core.freshness import Freshness
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.reading.instants import ist_text, midnight_before
from data_fetch.storage.database.store import Store
from data_fetch.storage.feed import feed_report
from data_fetch.storage.instruments.instruments import present_instruments
from data_fetch.storage.live_prices import last_candle_receipts, last_leg_receipts


def product_ticks(
    store: Store, instruments: Sequence[Instrument], states: Mapping[str, Freshness], now: datetime
) -> dict[str, LastTick]:
    """The newest tick of each symbol of *states*, which are those of *instruments*, as of *now*;
    none without a running feed."""
    if not _feed_runs(store, now):
        return {}
    symbols = {each.instrument_key: each.symbol for each in instruments}
    with store.reading() as connection:
        found = last_candle_receipts(connection, symbols, midnight_before(now))
    return last_ticks(states, {symbols[key]: at for key, at in found.items()}, now)


def option_ticks(
    store: Store, states: Mapping[str, Freshness], now: datetime
) -> dict[str, LastTick]:
    """The newest tick of any option of each underlying of *states*, as of *now*; none without a
    running feed."""
    if not _feed_runs(store, now):
        return {}
    with store.reading() as connection:
        found = last_leg_receipts(connection, midnight_before(now))
        underlyings = present_instruments(connection, found)
    received = {underlyings[key].symbol: at for key, at in found.items() if key in underlyings}
    return last_ticks(states, received, now)


def tick_document(tick: LastTick) -> dict[str, Any]:
    """When *tick* was received, in IST, and its age."""
    return {"last_tick": ist_text(tick.received_at), "tick_age_seconds": tick.age_seconds}


def _feed_runs(store: Store, now: datetime) -> bool:
    report = feed_report(store)
    return report is not None and report.runs(now)
