"""Lots, ticks, strikes, expiries and eligibility for the closing auction over time."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    select,
)

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.storage.database.dialects import is_among
from data_fetch.storage.database.tables import InstrumentRow, InstrumentTerms, table
from data_fetch.storage.database.upsert import upsert

terms_table = table(InstrumentTerms)
instruments_table = table(InstrumentRow)
COLUMNS = tuple(column.name for column in terms_table.columns)

REMOVE = delete(terms_table).where(
    terms_table.c.instrument_key == bindparam("key"),
    terms_table.c.effective_from == bindparam("day"),
)

# Lot, tick, whether the closing auction includes it, strike and expiry.
Terms = tuple[int | None, Decimal | None, bool, Decimal | None, date | None]
History = dict[date, Terms]


@dataclass(frozen=True, slots=True)
class _Change:
    """The row of that day: its new terms, or None if it has to be deleted."""

    instrument_key: str
    day: date
    terms: Terms | None


def record_terms(connection: Connection, instruments: Sequence[Instrument], seen_on: date) -> None:
    """Store the terms of the master of *seen_on*, whose instruments are stored already.

    A master may be read late: the terms of an older one are put in order of time.
    """
    known = _histories(connection, [one.instrument_key for one in instruments])
    changes: list[_Change] = []
    differing: list[Instrument] = []
    for one in instruments:
        history = known.get(one.instrument_key)
        if history is None:
            changes.append(_Change(one.instrument_key, seen_on, _terms(one)))
        elif _in_force(history, seen_on) != _terms(one):
            differing.append(one)
    newest = _as_last_seen(connection, differing, seen_on) if differing else {}
    for one in differing:
        key = one.instrument_key
        # A newer master may have had the same terms as the stored ones, so that it has no row.
        reported = {seen_on: _terms(one)} | newest.get(key, {})
        changes += _changes(key, known[key], reported)
    _write(connection, changes)


def merge_terms(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    """Add the rows of another store, which win on equal days; returns how many rows changed."""
    reported: dict[str, History] = defaultdict(dict)
    for key, since, *terms in rows:
        reported[key][since] = _as_terms(terms)
    known = _histories(connection, list(reported))
    changes = [
        change
        for key, history in reported.items()
        for change in _changes(key, known.get(key, {}), history)
    ]
    _write(connection, changes)
    return len(changes)


def _changes(instrument_key: str, history: History, reported: History) -> Iterable[_Change]:
    """The changes of rows after *reported* is added to *history*: there is a row where the terms
    differ from those before, and nowhere else."""
    merged = history | reported
    before: Terms | None = None
    for day in sorted(merged):
        wanted = merged[day] if merged[day] != before else None
        if wanted != history.get(day):
            yield _Change(instrument_key, day, wanted)
        before = merged[day]


def _terms(instrument: Instrument) -> Terms:
    one = instrument
    return one.lot_size, one.tick_size, one.cas_eligible, one.strike, one.expiry


def _as_terms(values: Sequence[Any]) -> Terms:
    lot_size, tick_size, eligible, strike, expiry = values
    return lot_size, tick_size, eligible, strike, expiry


def _in_force(history: History, day: date) -> Terms | None:
    begun = max((since for since in history if since <= day), default=None)
    return None if begun is None else history[begun]


def _histories(connection: Connection, keys: Sequence[str]) -> dict[str, History]:
    found: dict[str, History] = defaultdict(dict)
    query = select(*terms_table.columns).where(
        is_among(connection, terms_table.c.instrument_key, keys)
    )
    for key, since, *terms in connection.execute(query):
        found[key][since] = _as_terms(terms)
    return dict(found)


def _as_last_seen(
    connection: Connection, instruments: Sequence[Instrument], after: date
) -> dict[str, History]:
    """The terms by the newest master, of the instruments in a master after *after*."""
    columns = instruments_table.c
    keys = [one.instrument_key for one in instruments]
    query = select(
        columns.instrument_key,
        columns.last_seen,
        columns.lot_size,
        columns.tick_size,
        columns.cas_eligible,
        columns.strike,
        columns.expiry,
    ).where(is_among(connection, columns.instrument_key, keys), columns.last_seen > after)
    return {
        key: {last_seen: _as_terms(terms)} for key, last_seen, *terms in connection.execute(query)
    }


def _write(connection: Connection, changes: Iterable[_Change]) -> None:
    rows: list[tuple[Any, ...]] = []
    gone: list[dict[str, Any]] = []
    for change in changes:
        if change.terms is None:
            gone.append({"key": change.instrument_key, "day": change.day})
        else:
            rows.append((change.instrument_key, change.day, *change.terms))
    upsert(connection, terms_table, COLUMNS, rows)
    if gone:
        connection.execute(REMOVE, gone)
