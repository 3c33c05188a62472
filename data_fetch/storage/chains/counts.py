"""How many legs of option chains are stored: by underlying, and by option type."""

from collections import Counter
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, select

from data_fetch.core.chains.chains import OptionType
from data_fetch.storage.archive_ledger import chains_in_files
from data_fetch.storage.chains.records import KEY
from data_fetch.storage.chains.rows import legs_table, snapshots


class TypeCount(NamedTuple):
    """The legs of one type: those *stored*, and those *confirmed* because they were received
    again unchanged."""

    stored: int
    confirmed: int


def legs_by_underlying(connection: Connection) -> dict[str, int]:
    """The stored legs, those in files included, by the name that they are stored under.

    Reads a row for each snapshot in the database.
    """
    query = select(snapshots.c.underlying, func.sum(snapshots.c.legs)).group_by(
        snapshots.c.underlying
    )
    counted = Counter({name: int(legs) for name, legs in connection.execute(query)})
    counted.update({name: legs for name, (_, legs) in chains_in_files(connection).items()})
    return dict(counted)


def legs_by_type(connection: Connection) -> dict[OptionType, TypeCount]:
    """The legs of each type in the database. Reads every one."""
    again = func.sum(snapshots.c.confirmations - 1)
    query = (
        select(legs_table.c.option_type, func.count(), again)
        .join(snapshots, and_(*(snapshots.c[name] == legs_table.c[name] for name in KEY)))
        .group_by(legs_table.c.option_type)
    )
    counted = {
        OptionType(kind): TypeCount(stored, int(confirmed))
        for kind, stored, confirmed in connection.execute(query)
    }
    return {kind: counted.get(kind, TypeCount(0, 0)) for kind in OptionType}
