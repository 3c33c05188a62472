"""The option contracts of an underlying: which expiries, which keys, in which lots.

An underlying is named by its symbol, one that was given up in a rename perhaps, or by its
instrument key.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, func, or_, select

from data_fetch.core.chains import OptionType
from data_fetch.core.lineage import present_key
from data_fetch.storage.instrument_terms import terms_table
from data_fetch.storage.instruments import instruments_table, last_master_date, successions

OPTIONS = tuple(each.value for each in OptionType)


def lots_at(
    connection: Connection, underlying: str, expiries: Sequence[date], day: date
) -> dict[date, int]:
    """How many shares one contract of each expiry was on *day*.

    An expiry is left out when nobody knows, or when the contracts that were listed then do not
    agree.
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
            _options_of(connection, underlying),
            contracts.expiry.in_(expiries),
            terms.effective_from == in_force,
        )
    )
    seen: dict[date, dict[date, set[int | None]]] = defaultdict(lambda: defaultdict(set))
    for expiry, last_seen, lot_size in connection.execute(query):
        # Contracts that were taken off the list before that day have no say.
        seen[expiry][min(last_seen, day)].add(lot_size)
    agreed = {expiry: _only(lots[max(lots)]) for expiry, lots in seen.items()}
    return {expiry: lot for expiry, lot in agreed.items() if lot is not None}


def _only(lots: set[int | None]) -> int | None:
    return next(iter(lots)) if len(lots) == 1 else None


def contract_keys(
    connection: Connection, underlying: str, expiry: date
) -> dict[tuple[Decimal, OptionType], str]:
    """The dated key of each option contract of that expiry, by strike and type."""
    contracts = instruments_table.c
    query = (
        select(contracts.strike, contracts.instrument_type, contracts.instrument_key)
        .where(_options_of(connection, underlying), contracts.expiry == expiry)
        # Of two with one strike, an adjusted one perhaps, the one listed last is meant.
        .order_by(contracts.last_seen, contracts.instrument_key)
    )
    return {(strike, OptionType(side)): key for strike, side, key in connection.execute(query)}


def listed_expiries(connection: Connection, underlying: str, day: date) -> list[date]:
    """The option expiries from *day* on that the newest master lists, nearest first."""
    newest = last_master_date(connection)
    if newest is None:
        return []
    contracts = instruments_table.c
    query = (
        select(contracts.expiry)
        .distinct()
        .where(
            _options_of(connection, underlying),
            contracts.expiry >= day,
            # Not equal: a newer master may be stored half.
            contracts.last_seen >= newest,
        )
        .order_by(contracts.expiry)
    )
    return [expiry for expiry in connection.scalars(query) if expiry is not None]


def _options_of(connection: Connection, underlying: str) -> ColumnElement[bool]:
    contracts = instruments_table.c
    keys = _underlying_keys(connection, underlying)
    return contracts.underlying_key.in_(keys) & contracts.instrument_type.in_(OPTIONS)


def _underlying_keys(connection: Connection, underlying: str) -> list[str]:
    """Every key that the underlying has, or had before a new ISIN."""
    instruments = instruments_table.c
    named = or_(instruments.symbol == underlying, instruments.instrument_key == underlying)
    query = select(instruments.instrument_key).where(named, instruments.segment != "NSE_FO")
    recorded = successions(connection)
    former = {each.new_key for each in recorded if each.former_symbol == underlying}
    present = {
        present_key(key, recorded) for key in connection.scalars(query).all() or sorted(former)
    }
    before = {each.old_key for each in recorded if present_key(each.new_key, recorded) in present}
    return sorted(present | before)
