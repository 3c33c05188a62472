"""The contracts on an underlying: its nearest future, and the expiries, keys and lots of options.

Contracts refer to their underlying by its key, of which a stock has several after a new ISIN:
`underlying_keys` returns all of them.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import date
from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, func, select

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import present_key
from data_fetch.core.world import World
from data_fetch.storage.database.store import INVENTED_KEY, refuse_invented
from data_fetch.storage.instruments.instruments import (
    instrument_of,
    instruments_named,
    instruments_table,
    key_changes,
    last_master_date,
)
from data_fetch.storage.instruments.terms import terms_table

OPTIONS = tuple(each.value for each in OptionType)


def underlying_keys(
    connection: Connection, underlyings: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Every key that each of *underlyings* has or had; none for an unknown one.

    An underlying is named as `instruments_named` accepts it.
    """
    recorded = key_changes(connection)
    found = {}
    for underlying in underlyings:
        present = {
            one.instrument_key for one in instruments_named(connection, [underlying]).members
        }
        before = {
            each.old_key for each in recorded if present_key(each.new_key, recorded) in present
        }
        found[underlying] = tuple(sorted(present | before))
    return found


def refuse_invented_underlyings(
    connection: Connection, world: World, underlyings: Collection[str]
) -> None:
    """Raise WrongWorld for chains of an invented underlying in a live store.

    *underlyings* are symbols, and the keys of those whose symbol is unknown.
    """
    if world is not World.LIVE or not underlyings:
        return
    instruments = instruments_table.c
    invented = select(instruments.instrument_key).where(
        instruments.symbol.in_(underlyings), instruments.instrument_key.startswith(INVENTED_KEY)
    )
    refuse_invented(connection, [*underlyings, *connection.scalars(invented)])


def options_on(keys: Collection[str]) -> ColumnElement[bool]:
    """The option contracts on the underlying of *keys*."""
    contracts = instruments_table.c
    return contracts.underlying_key.in_(keys) & contracts.instrument_type.in_(OPTIONS)


def lots_at(
    connection: Connection, keys: Collection[str], expiries: Collection[date], day: date
) -> dict[date, int]:
    """How many shares one contract on the underlying of *keys* was on *day*, by expiry.

    An expiry is left out if its lot is unknown, or if the contracts that were listed then differ
    in it.
    """
    contracts, terms = instruments_table.c, terms_table.c
    newest = terms_table.alias("newest")
    in_force = (
        select(func.max(newest.c.effective_from))
        .where(newest.c.instrument_key == terms.instrument_key, newest.c.effective_from <= day)
        .scalar_subquery()
    )
    query = (
        select(contracts.expiry, contracts.last_seen, terms.lot_size)
        .distinct()
        .join(terms_table, terms.instrument_key == contracts.instrument_key)
        .where(
            options_on(keys),
            contracts.expiry.in_(expiries),
            terms.effective_from == in_force,
        )
    )
    seen: dict[date, dict[date, set[int | None]]] = defaultdict(lambda: defaultdict(set))
    for expiry, last_seen, lot_size in connection.execute(query):
        # Contracts that were delisted before that day do not count.
        seen[expiry][min(last_seen, day)].add(lot_size)
    agreed = {expiry: _only(lots[max(lots)]) for expiry, lots in seen.items()}
    return {expiry: lot for expiry, lot in agreed.items() if lot is not None}


def _only(lots: set[int | None]) -> int | None:
    return next(iter(lots)) if len(lots) == 1 else None


def contract_keys(
    connection: Connection, keys: Collection[str], expiry: date
) -> dict[tuple[Decimal, OptionType], str]:
    """The dated key of each option contract of that expiry on the underlying of *keys*, by
    strike and type."""
    contracts = instruments_table.c
    query = (
        select(contracts.strike, contracts.instrument_type, contracts.instrument_key)
        .where(options_on(keys), contracts.expiry == expiry)
        # Of two with one strike, such as an adjusted one, the one listed last is meant.
        .order_by(contracts.last_seen, contracts.instrument_key)
    )
    return {(strike, OptionType(side)): key for strike, side, key in connection.execute(query)}


def listed_options(connection: Connection, keys: Collection[str], day: date) -> list[Instrument]:
    """The options that expire from *day* on and that the newest master lists for the underlying
    of *keys*."""
    newest = last_master_date(connection)
    if newest is None:
        return []
    contracts = instruments_table.c
    query = select(instruments_table).where(
        options_on(keys), contracts.expiry >= day, contracts.last_seen >= newest
    )
    return [instrument_of(row) for row in connection.execute(query)]


def nearest_future(connection: Connection, keys: Collection[str], day: date) -> Instrument | None:
    """The future on the underlying of *keys* that expires first after *day*, by the newest master;
    None when it lists none."""
    newest = last_master_date(connection)
    if newest is None:
        return None
    contracts = instruments_table.c
    query = (
        select(instruments_table)
        .where(
            contracts.underlying_key.in_(keys),
            contracts.instrument_type == "FUT",
            contracts.expiry > day,
            contracts.last_seen >= newest,
        )
        .order_by(contracts.expiry)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else instrument_of(row)


def listed_expiries(connection: Connection, keys: Collection[str], day: date) -> list[date]:
    """The option expiries from *day* on that the newest master lists for the underlying of
    *keys*, nearest first."""
    newest = last_master_date(connection)
    if newest is None:
        return []
    contracts = instruments_table.c
    query = (
        select(contracts.expiry)
        .distinct()
        .where(
            options_on(keys),
            contracts.expiry >= day,
            # Not equal: a newer master may be stored partly.
            contracts.last_seen >= newest,
        )
        .order_by(contracts.expiry)
    )
    return [expiry for expiry in connection.scalars(query) if expiry is not None]
