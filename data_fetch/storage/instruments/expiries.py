"""The option expiries of an underlying that the exchange moved."""

from collections.abc import Collection
from datetime import date
from typing import Any

from sqlalchemy import Connection, Date, Select, bindparam, func, select

from data_fetch.core.instruments.bearers import Bearing
from data_fetch.core.instruments.contract_moves import LONGEST_MOVE
from data_fetch.core.instruments.expiry_moves import ExpiryFlow, expiry_bearings
from data_fetch.storage.instruments.contracts import options_on
from data_fetch.storage.instruments.instruments import instruments_table
from data_fetch.storage.instruments.masters import masters_table
from data_fetch.storage.instruments.terms import terms_table

DATED = "%d-%m-%Y"
DATE_LENGTH = len("27-10-2026")


def moved_expiries(
    connection: Connection, keys: Collection[str], stored: Collection[date]
) -> tuple[Bearing[date, date], ...]:
    """The expiries of options on the underlying of *keys* that were moved, and what they stand for.

    *stored*: the expiries under which chains of it are stored.
    """
    if not _anything_moved(connection, keys, stored):
        return ()
    terms = terms_table.c
    former = func.lag(terms.expiry, type_=Date()).over(
        partition_by=terms.instrument_key, order_by=terms.effective_from
    )
    dated = (
        select(terms.expiry, terms.effective_from, former.label("former"))
        .join(instruments_table, instruments_table.c.instrument_key == terms.instrument_key)
        .where(options_on(keys), terms.expiry.is_not(None))
        .subquery()
    )
    of = (dated.c.former, dated.c.expiry, dated.c.effective_from)
    changed = dated.c.former.is_(None) | (dated.c.former != dated.c.expiry)
    query = select(*of, func.count()).where(changed).group_by(*of)
    return expiry_bearings([ExpiryFlow(*row) for row in connection.execute(query)])


def _anything_moved(
    connection: Connection, keys: Collection[str], stored: Collection[date]
) -> bool:
    """Whether any expiry was moved: a contract keeps the key it was stored under first, and in it
    the first expiry; of one that was moved and moved back, chains are left under the other."""
    found = connection.execute(LISTED_AND_FIRST, {"keys": sorted(keys)})
    pairs = [(expiry, text) for expiry, text in found if expiry is not None]
    if any(f"{day:{DATED}}" != text for day, text in pairs):
        return True
    # Those that were over before the first master never had a contract.
    known_since = connection.scalar(FIRST_MASTER) or date.min
    over = {day for day in stored if day + LONGEST_MOVE < known_since}
    return bool(pairs) and not set(stored) <= over | {day for day, _ in pairs}


def _listed_and_first() -> Select[Any]:
    """The expiries of the contracts on underlyings, each with the one in its key."""
    columns = instruments_table.c
    key = columns.instrument_key
    first = func.substr(key, func.length(key) - DATE_LENGTH + 1)
    # The index of this query has nothing but these columns, which keeps it cheap.
    of_keys = columns.underlying_key.in_(bindparam("keys", expanding=True))
    return select(columns.expiry, first).distinct().where(of_keys)


# Made once: all underlyings are looked at in turn, and to make a query takes longer than it does.
LISTED_AND_FIRST = _listed_and_first()
FIRST_MASTER = select(func.min(masters_table.c.as_of))
