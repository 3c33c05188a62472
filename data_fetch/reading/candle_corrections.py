"""Candles that were corrected after they were stored: the version before and the one after."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import date
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection

from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.candles.expectation import DAY
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import every_key
from data_fetch.core.market.session import midnight_number
from data_fetch.core.settings import Settings
from data_fetch.reading.candle_days import minutes_of
from data_fetch.reading.candle_ranges import CandleRange
from data_fetch.reading.instants import exact_text
from data_fetch.reading.records import records_for
from data_fetch.reading.seam import pinned
from data_fetch.storage.candles.candles import (
    VALUE_COLUMNS,
    CandleVersion,
    Correction,
    corrected_on,
    revisions_on,
)
from data_fetch.storage.instruments.instruments import instruments_with, key_changes

# Columns that a correction may change; instant and run differ each time.
COMPARED = (*VALUE_COLUMNS, "source", "is_final")

NamedCorrection = tuple[str, Correction]


def candle_corrections(
    settings: Settings, day: date, symbols: Sequence[str], interval: CandleInterval
) -> list[NamedCorrection]:
    """The corrections of candles of *day*, each with its symbol: by symbol, then by time.

    Without *symbols* those of every instrument. Raises SetupError for an unknown symbol.
    """
    with (
        records_for(settings, symbols) as records,
        pinned(settings, records.store) as asked,
    ):
        connection = asked.connection
        keys = _keys_of(connection, records.instruments) if symbols else None
        first, end = midnight_number(day), midnight_number(day + DAY)
        asked.recall_all_candles(day)
        found = revisions_on(connection, interval.value, first, end, keys)
        concerned = instruments_with(connection, {each.instrument_key for each in found})
    by_key = {one.instrument_key: one.symbol for one in concerned}
    return sorted(((by_key[each.instrument_key], each) for each in found), key=itemgetter(0))


def corrected_by_date(of: CandleRange, kinds: Collection[Kind]) -> Counter[date]:
    """How many stored candles of *kinds* in the range were corrected at least once, by date."""
    counts: Counter[date] = Counter()
    for period in of.key_periods:
        key, minutes = period.instrument_key, minutes_of(period)
        with of.reading(key, *minutes) as connection:
            stored = of.interval.stored
            counts.update(corrected_on(connection, key, stored, *minutes, kinds, of.as_of))
    return counts


def corrections_in(of: CandleRange) -> list[Correction]:
    """The corrections of all stored candles in the range, oldest candle first."""
    found: list[Correction] = []
    for period in of.key_periods:
        key, minutes = period.instrument_key, minutes_of(period)
        with of.reading(key, *minutes) as connection:
            found += revisions_on(connection, of.interval.stored.value, *minutes, [key])
    return found


def corrections_document(
    day: date, interval: CandleInterval, found: Sequence[NamedCorrection]
) -> dict[str, Any]:
    return {
        "date": day.isoformat(),
        "interval": interval.value,
        "revisions": [_revision(symbol, each) for symbol, each in found],
    }


def changed_columns(found: Correction) -> list[tuple[str, Any, Any]]:
    """Each column that the correction changed, with its old and its new value."""
    pairs = ((name, getattr(found.old, name), getattr(found.new, name)) for name in COMPARED)
    return [(name, old, new) for name, old, new in pairs if old != new]


def _keys_of(connection: Connection, stocks: Sequence[Instrument]) -> list[str]:
    """Every key that one of *stocks* has had."""
    recorded = key_changes(connection)
    return [key for one in stocks for key in every_key(one.instrument_key, recorded)]


def _revision(symbol: str, found: Correction) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "instrument_key": found.instrument_key,
        "timestamp": exact_text(found.timestamp),
        "revision": found.revision,
        "superseded_at": exact_text(found.superseded_at),
        "old": _version(found.old),
        "new": _version(found.new),
    }


def _version(version: CandleVersion) -> dict[str, Any]:
    return {**asdict(version), "fetched_at": exact_text(version.fetched_at)}
