"""Stores every instrument that a master has listed, and its changes of name. None is deleted."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    not_,
    or_,
    select,
    update,
)

from data_fetch.core.instruments.contract_moves import (
    LONGEST_MOVE,
    as_stored,
    by_token,
    renamed_contracts,
)
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import (
    KeyChange,
    detect_lineage,
    last_bearers,
    present_key,
    recorded_once,
    renamed_text,
)
from data_fetch.core.instruments.universe import Universe, is_equity, resolve
from data_fetch.core.text import in_capitals
from data_fetch.core.world import World
from data_fetch.storage.database.dialects import is_among
from data_fetch.storage.database.store import Guard, Store, refuse_invented
from data_fetch.storage.database.tables import (
    InstrumentLineage,
    InstrumentMasterRow,
    InstrumentRow,
    LineageRevisionRow,
    StoreMeta,
    table,
)
from data_fetch.storage.database.upsert import (
    Rule,
    bulk_write,
    earliest,
    latest,
    unchanged,
    upsert,
)
from data_fetch.storage.instruments.auction import with_auction_history
from data_fetch.storage.instruments.masters import master_before, master_dates
from data_fetch.storage.instruments.terms import record_terms

instruments_table = table(InstrumentRow)
lineage_table = table(InstrumentLineage)
revisions_table = table(LineageRevisionRow)
masters_table = table(InstrumentMasterRow)
meta = table(StoreMeta)
MASTER = "master"
CONTRACTS = "NSE_FO|"
# Made once: nearly every query of candles begins with one of them.
CHANGES_OF_CONTRACTS = select(lineage_table).where(lineage_table.c.old_key.startswith(CONTRACTS))
CHANGES_OF_STOCKS = select(lineage_table).where(not_(lineage_table.c.old_key.startswith(CONTRACTS)))
LINEAGE = ("old_key", "valid_from", "new_key", "reason", "recorded")
REVISION_COLUMNS = tuple(column.name for column in revisions_table.columns)
FIRST_STAYS = Rule(combined={"valid_from": unchanged})
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
    are recorded in `instrument_lineage` before the new names are, lots, ticks, strikes and expiries
    that differ from those before in `instrument_terms`. A contract under another expiry keeps the
    key it was stored under first. Saving a master again changes nothing. *digest* identifies
    date and content to the caller; it is stored after everything else, so that `saved_digest`
    shows whether a master is complete. *guard* is checked in every write.
    Raises WrongWorld for invented instruments in a live store.
    """
    begin = partial(store.writing, guard)
    cash: list[Instrument] = []
    known = _known_contracts(store, seen_on)
    contracts = [
        as_stored(one, known, seen_on)
        for one in _contracts(_admitted(store.world, begin, instruments), cash=cash)
    ]
    _record_contract_names(store, begin, contracts, known, seen_on, now)
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


def see_again(
    store: Store, before: date, seen_on: date, digest: str, guard: Guard | None = None
) -> bool:
    """As `save_master`, for a master with the content of that of *before*: only dates change.

    False, and nothing is stored, when a newer one than that of *before* was stored since.
    """
    seen = instruments_table.c.last_seen
    with store.writing(guard) as connection:
        if last_master_date(connection) != before:
            return False
        connection.execute(
            update(instruments_table).where(seen == before).values(last_seen=seen_on)
        )
        upsert(connection, masters_table, ("as_of",), [(seen_on,)])
        upsert(connection, meta, ("name", "value"), [(MASTER, digest)])
    return True


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
    """The instruments of *symbols*, as the newest master that lists them has them.

    A symbol may be a stock's, an index's, a contract's ("NIFTY FUT 27 OCT 26") or an instrument
    key. One that the newest master does not list, a former key as well, stands for what its last
    bearer has become.
    """
    newest = last_master_date(connection)
    rows = _rows_named(connection, symbols)
    listed = [instrument_of(row) for row in rows if newest is not None and row.last_seen >= newest]
    bearers = {
        symbol: instrument_of(row) for symbol, row in _last_bearers(connection, symbols, rows)
    }
    return _with_auction_history(connection, resolve(symbols, listed, bearers))


def listed_instruments(connection: Connection, symbols: Sequence[str]) -> Universe:
    """The same among the instruments of the newest master that was stored.

    A symbol whose instrument this master does not list is unresolved, with the nearest symbols
    it lists.
    """
    newest = last_master_date(connection)
    if newest is None:
        return resolve(symbols, ())
    rows = _rows_named(connection, symbols)
    bearers = {
        symbol: instrument_of(row)
        for symbol, row in _last_bearers(connection, symbols, rows)
        if row.last_seen >= newest
    }
    listed = [instrument_of(row) for row in rows if row.last_seen >= newest]
    universe = resolve(symbols, listed, bearers)
    if universe.unresolved:
        # The nearest symbols are looked for among all of them.
        everything = select(instruments_table).where(
            instruments_table.c.last_seen >= newest,
            or_(
                instruments_table.c.segment.in_(("NSE_EQ", "NSE_INDEX")),
                instruments_table.c.instrument_type == "FUT",
            ),
        )
        universe = resolve(symbols, map(instrument_of, connection.execute(everything)), bearers)
    return _with_auction_history(connection, universe)


def last_keys(connection: Connection, symbols: Sequence[str]) -> dict[str, str]:
    """The present key of the instrument that had each of *symbols* last, by symbol in capitals."""
    return _last_keys(connection, symbols, _rows_named(connection, symbols))


def instruments_with(connection: Connection, instrument_keys: Iterable[str]) -> list[Instrument]:
    """The instruments of these keys, by the last master that listed them."""
    wanted = instruments_table.c.instrument_key.in_(list(instrument_keys))
    rows = connection.execute(select(instruments_table).where(wanted))
    return with_auction_history(connection, map(instrument_of, rows))


def present_instruments(
    connection: Connection, instrument_keys: Collection[str]
) -> dict[str, Instrument]:
    """What the instrument of each of these keys has become; none for an unknown one."""
    recorded = key_changes(connection)
    keys = {key: present_key(key, recorded) for key in instrument_keys}
    found = {one.instrument_key: one for one in instruments_with(connection, keys.values())}
    return {key: found[present] for key, present in keys.items() if present in found}


def first_seen_days(connection: Connection, instrument_keys: Sequence[str]) -> dict[str, date]:
    """The date on which each of these instruments was in a master for the first time."""
    query = select(instruments_table).where(instruments_table.c.instrument_key.in_(instrument_keys))
    return {row.instrument_key: row.first_seen for row in connection.execute(query)}


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


def is_listed(connection: Connection, instrument_key: str) -> bool:
    """Whether the newest master lists the instrument."""
    row = instruments_table.c
    last_seen = connection.scalar(select(row.last_seen).where(row.instrument_key == instrument_key))
    newest = last_master_date(connection)
    return last_seen is not None and newest is not None and last_seen >= newest


def lineage_of(connection: Connection, instrument_key: str) -> list[KeyChange]:
    """The changes in which *instrument_key* is the old or the new key, oldest first."""
    return [
        each for each in key_changes(connection) if instrument_key in (each.old_key, each.new_key)
    ]


def key_changes(connection: Connection) -> list[KeyChange]:
    """Every stored change of a stock's name or ISIN, oldest first: a few hundred at most."""
    return recorded_once(_changes(connection, CHANGES_OF_STOCKS))


def key_changes_as_of(connection: Connection, as_of: datetime) -> list[KeyChange]:
    """The changes of `key_changes` that were recorded by an instant, as they were known then."""
    row = revisions_table.c
    query = select(revisions_table).where(row.superseded_at > as_of)
    # The oldest of them was in force, so it is put in last.
    then = {
        (one.old_key, one.new_key): one.valid_from
        for one in connection.execute(query.order_by(row.superseded_at.desc()))
    }
    known = {
        (one.old_key, one.new_key)
        for one in connection.execute(
            select(lineage_table.c.old_key, lineage_table.c.new_key).where(
                lineage_table.c.recorded <= as_of
            )
        )
    }
    found = []
    for change in key_changes(connection):
        keys = (change.old_key, change.new_key)
        if keys in known:
            valid_from = change.valid_from if change.is_rename else then.get(keys)
            found.append(replace(change, valid_from=valid_from or change.valid_from))
    return found


def contract_names(connection: Connection) -> list[KeyChange]:
    """Every stored change of a contract's symbol, oldest first."""
    return recorded_once(_changes(connection, CHANGES_OF_CONTRACTS))


def _changes(connection: Connection, query: Select[Any]) -> Iterator[KeyChange]:
    for row in connection.execute(query):
        yield KeyChange(row.old_key, row.new_key, row.valid_from, row.reason)


def has_predecessor(connection: Connection, instrument_key: str) -> bool:
    """Whether the instrument had another key before."""
    row = lineage_table.c
    query = select(row.old_key).where(row.new_key == instrument_key, row.old_key != instrument_key)
    return connection.execute(query.limit(1)).first() is not None


def move_change(
    connection: Connection, change: KeyChange, valid_from: date, moved_at: datetime
) -> None:
    """Record that *change* is valid from another day on; inside a writing transaction.

    The day that was known before goes to `lineage_revisions`.
    """
    row = lineage_table.c
    same = and_(row.old_key == change.old_key, row.new_key == change.new_key)
    later = update(lineage_table).where(same, row.valid_from == change.valid_from)
    # Another store may have noticed it on that very day.
    connection.execute(delete(lineage_table).where(same, row.valid_from == valid_from))
    connection.execute(later.values(valid_from=valid_from))
    before = (change.old_key, change.new_key, moved_at, change.valid_from)
    # Of one instant the first counts: the others were seen by no reader.
    upsert(connection, revisions_table, REVISION_COLUMNS, [before], FIRST_STAYS)


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
        with begin() as connection:
            upsert(connection, lineage_table, LINEAGE, rows)
    return fresh


def _known_contracts(store: Store, seen_on: date) -> dict[str, Instrument]:
    """The contracts that may go on under another date, by their live keys."""
    columns = instruments_table.c
    query = select(instruments_table).where(
        columns.segment == "NSE_FO", columns.expiry >= seen_on - LONGEST_MOVE
    )
    with store.reading() as connection:
        return by_token(map(instrument_of, connection.execute(query)))


def _record_contract_names(
    store: Store,
    begin: Begin,
    contracts: Sequence[Instrument],
    known: Mapping[str, Instrument],
    seen_on: date,
    now: datetime,
) -> None:
    renamed = list(renamed_contracts(contracts, known))
    with store.reading() as connection:
        newest = last_master_date(connection)
    if not renamed or newest is None or seen_on < newest:
        return
    rows = [
        (one.instrument_key, seen_on, one.instrument_key, renamed_text(before, one), now)
        for before, one in renamed
    ]
    with begin() as connection:
        upsert(connection, lineage_table, LINEAGE, rows)


def _known_stocks(connection: Connection, newest: date) -> list[Instrument]:
    rows = connection.execute(
        select(instruments_table).where(
            instruments_table.c.segment == "NSE_EQ",
            instruments_table.c.last_seen >= newest - STILL_KNOWN,
        )
    )
    return [instrument_of(row) for row in rows]


def _is_recorded(connection: Connection, found: KeyChange) -> bool:
    """Whether a run recorded it that was stopped before the new name was stored."""
    return any(
        (each.old_key, each.new_key, each.reason) == (found.old_key, found.new_key, found.reason)
        for each in lineage_of(connection, found.old_key)[-1:]
    )


def _with_auction_history(connection: Connection, universe: Universe) -> Universe:
    members = tuple(with_auction_history(connection, universe.members))
    return replace(universe, members=members)


def _rows_named(connection: Connection, symbols: Sequence[str]) -> Sequence[Row[Any]]:
    """The rows of these symbols and keys, and those of all indices, which have other spellings."""
    query = select(instruments_table).where(
        or_(
            instruments_table.c.segment == "NSE_INDEX",
            instruments_table.c.symbol.in_(set(map(in_capitals, symbols))),
            instruments_table.c.instrument_key.in_(symbols),
        )
    )
    return connection.execute(query).all()


def _last_keys(
    connection: Connection, symbols: Sequence[str], rows: Sequence[Row[Any]]
) -> dict[str, str]:
    seen = [
        (name, row.instrument_key, row.last_seen)
        for row in rows
        for name in _names(instrument_of(row))
    ]
    wanted = set(map(in_capitals, symbols))
    found = last_bearers(wanted, seen, key_changes(connection))
    if wanted <= found.keys():
        return found
    return last_bearers(wanted - found.keys(), (), contract_names(connection)) | found


def _last_bearers(
    connection: Connection, symbols: Sequence[str], rows: Sequence[Row[Any]]
) -> Iterator[tuple[str, Row[Any]]]:
    """Each of *symbols*, in capitals, with the row of what its last bearer has become."""
    keys = _last_keys(connection, symbols, rows)
    query = select(instruments_table).where(
        is_among(connection, instruments_table.c.instrument_key, set(keys.values()))
    )
    by_key = {row.instrument_key: row for row in connection.execute(query)}
    return ((symbol, by_key[key]) for symbol, key in keys.items() if key in by_key)


def _names(instrument: Instrument) -> Iterator[str]:
    """What an instrument can be called, in capitals; a bond not by its company's symbol."""
    yield instrument.instrument_key.upper()
    if instrument.segment != "NSE_EQ" or is_equity(instrument):
        yield instrument.symbol.upper()
    if instrument.segment == "NSE_INDEX":
        yield instrument.name.upper()


def _row(instrument: Instrument, seen_on: date) -> tuple[Any, ...]:
    return (*VALUES(instrument), seen_on, seen_on)


def instrument_of(row: Row[Any]) -> Instrument:
    return Instrument(**{name: getattr(row, name) for name in FIELDS})
