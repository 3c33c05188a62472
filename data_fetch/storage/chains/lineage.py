"""Resolves the name of an underlying to everything its chains are stored under."""

from collections.abc import Iterable

from sqlalchemy import Connection

from data_fetch.core.chains.chain_lineage import ChainLineage, literally
from data_fetch.core.instruments.bearers import Stretch
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import every_key
from data_fetch.core.text import in_capitals
from data_fetch.storage.chains.archived import expiries_in_files
from data_fetch.storage.chains.heads import expiries
from data_fetch.storage.instruments.expiries import moved_expiries
from data_fetch.storage.instruments.instruments import (
    instruments_named,
    key_changes,
    present_instruments,
)
from data_fetch.storage.instruments.names import bearers_of, names_of


def chain_lineage(connection: Connection, underlying: str) -> ChainLineage:
    """The lineage of *underlying*, which is named as `instruments_named` accepts it.

    A name that the store knows no instrument of stands for itself: a symbol in capitals.
    """
    found = _of_instruments(connection, instruments_named(connection, [underlying]).members)
    return found[0] if found else literally(_unknown(underlying))


def chain_lineages(connection: Connection, stored: Iterable[str]) -> list[ChainLineage]:
    """The lineages of all underlyings to which anything stored under these names may belong."""
    names = list(stored)
    named = instruments_named(connection, names)
    instruments = {one.instrument_key: one for one in named.members}
    before = present_instruments(connection, bearers_of(connection, names))
    instruments |= {one.instrument_key: one for one in before.values()}
    return [
        *_of_instruments(connection, instruments.values()),
        *(literally(each.symbol) for each in named.unresolved),
    ]


def _unknown(name: str) -> str:
    return name if "|" in name else in_capitals(name)


def _of_instruments(
    connection: Connection, instruments: Iterable[Instrument]
) -> list[ChainLineage]:
    known = list(instruments)
    names = names_of(connection, known)
    return [_lineage(connection, one, names[one.instrument_key]) for one in known]


def _lineage(
    connection: Connection, underlying: Instrument, names: tuple[Stretch[str], ...]
) -> ChainLineage:
    keys = every_key(underlying.instrument_key, key_changes(connection))
    labels = [name.label for name in names]
    stored = {day for label in labels for day in expiries(connection, label)}
    stored |= {day for label in labels for day in expiries_in_files(connection, label)}
    return ChainLineage(underlying.symbol, names, moved_expiries(connection, keys, stored))
