"""Stores every instrument that a master has listed, and its changes of name. None is deleted."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import KeyChange, detect_lineage, present_key
from data_fetch.core.instruments.universe import Universe, resolve
from data_fetch.core.world import World
from data_fetch.storage.database.store import Guard, Store, refuse_invented
from data_fetch.storage.database.tables import (
    InstrumentLineage,
    InstrumentMasterRow,
    InstrumentRow,
    StoreMeta,
    table,
)
from data_fetch.storage.database.upsert import Rule, bulk_write, earliest, latest, upsert
from data_fetch.storage.instruments.auction import with_auction_history
from data_fetch.storage.instruments.masters import master_before, master_dates
from data_fetch.storage.instruments.terms import record_terms

instruments_table = table(InstrumentRow)
lineage_table = table(InstrumentLineage)
masters_table = table(InstrumentMasterRow)
meta = table(StoreMeta)
MASTER = "master"
COLUMNS = tuple(column.name for column in instruments_table.columns)
FIELDS = tuple(name for name in COLUMNS if name not in {"first_seen", "last_seen"})
VALUES = attrgetter(*FIELDS)

Begin = Callable[[], AbstractContextManager[Connection]]

# An older master, read late, adds what is missing and does not overwrite newer values.
SEEN = Rule(ranking=("last_seen",), combined={"first_seen": earliest, "last_seen": latest})
# A symbol that has been free for longer than this may belong to another company.
STILL_KNOWN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SavedMaster:
    """How many instruments were new or different, and the changes of name and ISIN found."""

    changed: int
    lineage: tuple[KeyChange, ...]


def save_master(
    store: Store,
    instruments: Iterable[Instrument],
    seen_on: date,
    now: datetime,
    *,
    digest: str | None = None,
    guard: Guard | None = None,
) -> SavedMaster:
    """Store every instrument of the master of *seen_on*; streamed, in short transactions.

    For stored instruments `first_seen` remains and `last_seen` is updated. Renames and new ISINs
    are recorded in `instrument_lineage` before the new names are, lots and ticks that differ from
    those before in `instrument_terms`. Saving a master again changes nothing. *digest* identifies
    date and content to the caller; it is stored after everything else, so that `saved_digest`
    shows whether a master is complete. *guard* is checked in every write.
    Raises WrongWorld for invented instruments in a live store.
    """
    begin = partial(store.writing, guard)
    cash: list[Instrument] = []
    contracts = _contracts(_admitted(store.world, begin, instruments), cash=cash)
    changed = _save(begin, contracts, seen_on)
    # The cash segment can be compared only when all of it has been read, and must be compared
    # before its new names replace the old ones.
    lineage = _record_lineage(store, begin, cash, seen_on, now)
    changed += _save(begin, cash, seen_on)
    with begin() as connection:
        upsert(connection, masters_table, ("as_of",), [(seen_on,)])
        if digest is not None:
            upsert(connection, meta, ("name", "value"), [(MASTER, digest)])
    return SavedMaster(changed, lineage)


def saved_digest(store: Store) -> str | None:
    """The digest given with the master that was last stored as a whole."""
    with store.reading() as connection:
        digest: str | None = connection.scalar(select(meta.c.value).where(meta.c.name == MASTER))
        return digest


def last_master_date(connection: Connection) -> date | None:
    """The date of the newest master stored; None when there is none."""
    # A save that was stopped half way has stored contracts but no cash segment.
    cash = instruments_table.c.segment != "NSE_FO"
    newest: date | None = connection.scalar(
        select(func.max(instruments_table.c.last_seen)).where(cash)
    )
    return newest


def instruments_named(connection: Connection, symbols: Sequence[str]) -> Universe:
    """The instruments of *symbols*, by the newest stored master.

    Beside stocks and indices a symbol may be a contract's ("NIFTY FUT 27 OCT 26"), one that
    was given up in a rename and not taken by another company, or an instrument key, current or
    former.
    """
    in_capitals = {symbol.upper() for symbol in symbols}
    query = select(instruments_table).where(
        or_(
            instruments_table.c.segment == "NSE_INDEX",
            instruments_table.c.symbol.in_(in_capitals),
            instruments_table.c.instrument_key.in_(symbols),
        )
    )
    # Of several with one symbol, such as two ISINs, the one seen last is meant.
    rows = connection.execute(query.order_by(instruments_table.c.last_seen.desc())).all()
    found = [_instrument(row) for row in rows]
    universe = resolve(symbols, found)
    others = {one.symbol: one for one in found if one.segment == "NSE_FO"}
    others |= {one.instrument_key.upper(): one for one in found}
    lost = {missing.symbol.upper() for missing in universe.unresolved} - others.keys()
    others |= _renamed(connection, lost) if lost else {}
    named = [others[u.symbol.upper()] for u in universe.unresolved if u.symbol.upper() in others]
    members = {one.instrument_key: one for one in (*universe.members, *named)}
    return replace(
        universe,
        members=tuple(with_auction_history(connection, members.values())),
        unresolved=tuple(u for u in universe.unresolved if u.symbol.upper() not in others),
    )


def listed_instruments(connection: Connection, symbols: Sequence[str]) -> Universe:
    """The stocks and indices that *symbols* stand for in the newest master that was stored.

    A symbol that this master does not list is unresolved, with the nearest symbols it lists.
    """
    listed = select(instruments_table).where(
        instruments_table.c.last_seen == last_master_date(connection),
        or_(
            instruments_table.c.segment.in_(("NSE_EQ", "NSE_INDEX")),
            instruments_table.c.instrument_type == "FUT",
        ),
    )
    named = listed.where(
        or_(
            instruments_table.c.segment == "NSE_INDEX",
            instruments_table.c.symbol.in_({symbol.upper() for symbol in symbols}),
        )
    )
    universe = resolve(symbols, map(_instrument, connection.execute(named)))
    if universe.unresolved:
        # The nearest symbols are looked for among all of them.
        universe = resolve(symbols, map(_instrument, connection.execute(listed)))
    members = tuple(with_auction_history(connection, universe.members))
    return replace(universe, members=members)


def instruments_with(connection: Connection, instrument_keys: Iterable[str]) -> list[Instrument]:
    """The instruments of these keys, by the last master that listed them."""
    wanted = instruments_table.c.instrument_key.in_(list(instrument_keys))
    rows = connection.execute(select(instruments_table).where(wanted))
    return with_auction_history(connection, map(_instrument, rows))


def earliest_listings(connection: Connection, instrument_keys: Sequence[str]) -> dict[str, date]:
    """The first day on which each of these instruments may have been listed: the day after the
    last master that lacked it.

    An instrument that no stored master lacked is left out: it may have been listed on any day.
    """
    columns = instruments_table.c
    query = select(columns.instrument_key, columns.first_seen).where(
        columns.instrument_key.in_(instrument_keys)
    )
    dates = master_dates(connection)
    lacked = {
        key: master_before(dates, first_seen) for key, first_seen in connection.execute(query)
    }
    return {key: last + timedelta(days=1) for key, last in lacked.items() if last is not None}


def lineage_of(connection: Connection, instrument_key: str) -> list[KeyChange]:
    """The changes in which *instrument_key* is the old or the new key, oldest first."""
    return [
        each for each in key_changes(connection) if instrument_key in (each.old_key, each.new_key)
    ]


def key_changes(connection: Connection) -> list[KeyChange]:
    """Every stored change of name or ISIN, oldest first: a few hundred at most."""
    rows = connection.execute(select(lineage_table).order_by(lineage_table.c.valid_from))
    return [KeyChange(row.old_key, row.new_key, row.valid_from, row.reason) for row in rows]


def _admitted(
    world: World, begin: Begin, instruments: Iterable[Instrument]
) -> Iterator[Instrument]:
    for instrument in instruments:
        if instrument.world is World.PAPER and world is World.LIVE:
            with begin() as connection:
                refuse_invented(connection, (instrument.instrument_key, instrument.underlying_key))
        yield instrument


def _contracts(instruments: Iterable[Instrument], cash: list[Instrument]) -> Iterator[Instrument]:
    """The derivative contracts; what is not one goes to *cash*."""
    for instrument in instruments:
        if instrument.segment == "NSE_FO":
            yield instrument
        else:
            cash.append(instrument)


def _save(begin: Begin, instruments: Iterable[Instrument], seen_on: date) -> int:
    def write(connection: Connection, several: Sequence[Instrument]) -> int:
        rows = [_row(instrument, seen_on) for instrument in several]
        changed = upsert(connection, instruments_table, COLUMNS, rows, SEEN)
        record_terms(connection, several, seen_on)
        return changed

    return bulk_write(begin, instruments, write)


def _record_lineage(
    store: Store, begin: Begin, cash: list[Instrument], seen_on: date, now: datetime
) -> tuple[KeyChange, ...]:
    with store.reading() as connection:
        newest = last_master_date(connection)
        if newest is None or seen_on < newest:
            return ()
        found = detect_lineage(_known_stocks(connection, newest), cash, seen_on)
        fresh = tuple(each for each in found if not _is_recorded(connection, each))
    if fresh:
        rows = [(each.old_key, each.valid_from, each.new_key, each.reason, now) for each in fresh]
        columns = ("old_key", "valid_from", "new_key", "reason", "recorded")
        with begin() as connection:
            upsert(connection, lineage_table, columns, rows)
    return fresh


def _known_stocks(connection: Connection, newest: date) -> list[Instrument]:
    rows = connection.execute(
        select(instruments_table).where(
            instruments_table.c.segment == "NSE_EQ",
            instruments_table.c.last_seen >= newest - STILL_KNOWN,
        )
    )
    return [_instrument(row) for row in rows]


def _is_recorded(connection: Connection, found: KeyChange) -> bool:
    """Whether a run recorded it that was stopped before the new name was stored."""
    return any(
        (each.old_key, each.new_key, each.reason) == (found.old_key, found.new_key, found.reason)
        for each in lineage_of(connection, found.old_key)
    )


def _renamed(connection: Connection, symbols: Collection[str]) -> dict[str, Instrument]:
    """The current instruments of the *symbols* that were given up in a rename."""
    recorded = key_changes(connection)
    # Of several stocks that once had the symbol, the last one is meant.
    keys = {
        each.former_symbol: present_key(each.new_key, recorded)
        for each in recorded
        if each.former_symbol in symbols
    }
    by_key = {one.instrument_key: one for one in instruments_with(connection, keys.values())}
    return {symbol: by_key[key] for symbol, key in keys.items() if symbol and key in by_key}


def _row(instrument: Instrument, seen_on: date) -> tuple[Any, ...]:
    return (*VALUES(instrument), seen_on, seen_on)


def _instrument(row: Row[Any]) -> Instrument:
    return Instrument(**{name: getattr(row, name) for name in FIELDS})
