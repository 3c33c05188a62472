"""Which symbols an instrument had on which days, with those of other bearers left out."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, or_, select

from data_fetch.core.instruments.bearers import Bearing, Stretch, stretches
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import (
    KeyChange,
    every_key,
    former_symbols,
    symbol_bearings,
)
from data_fetch.core.instruments.universe import is_equity
from data_fetch.storage.database.dialects import is_among
from data_fetch.storage.instruments.instruments import instrument_of, instruments_table, key_changes


def names_of(
    connection: Connection, instruments: Iterable[Instrument]
) -> dict[str, tuple[Stretch[str], ...]]:
    """The names under which something is stored of each of *instruments*, by its key: its
    symbols, each with the days on which it was this instrument's, and its keys."""
    recorded = key_changes(connection)
    symbols = {
        one.instrument_key: {one.symbol, *former_symbols(one.instrument_key, recorded)}
        for one in instruments
    }
    bearings = _bearings(connection, set().union(*symbols.values()), recorded)
    return {
        key: (
            *stretches(key, [each for each in bearings if each.label in of]),
            *map(Stretch, every_key(key, recorded)),
        )
        for key, of in symbols.items()
    }


def bearers_of(connection: Connection, symbols: Iterable[str]) -> set[str]:
    """The present keys of all instruments that have or had one of *symbols*."""
    wanted = set(symbols)
    return {each.bearer for each in _bearings(connection, wanted, key_changes(connection))}


def _bearings(
    connection: Connection, symbols: set[str], recorded: Sequence[KeyChange]
) -> list[Bearing[str, str]]:
    renamed = {each.new_key for each in recorded if {each.former_symbol, each.new_symbol} & symbols}
    columns = instruments_table.c
    query = (
        select(instruments_table)
        .where(
            or_(
                is_among(connection, columns.symbol, symbols),
                is_among(connection, columns.instrument_key, renamed),
            )
        )
        .order_by(columns.first_seen, columns.instrument_key)
    )
    rows = [(instrument_of(row), row.first_seen) for row in connection.execute(query)]
    # Bonds have the symbol of their company.
    listed = [row for row in rows if row[0].segment != "NSE_EQ" or is_equity(row[0])]
    return [each for each in symbol_bearings(listed, recorded) if each.label in symbols]
