"""The F&O universe: the symbols file resolved through the instrument master, or derived from it.

Unlike the rest of this package it may download the instrument master of the day.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_fetch.core.errors import MasterUnavailable
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import (
    Underlyings,
    Universe,
    derive_universe,
    resolve,
)
from data_fetch.core.settings import Settings
from data_fetch.reading.records import store_of
from data_fetch.runtime.world import master_for
from data_fetch.sources.instruments.master import MasterFile, read_instruments
from data_fetch.sources.instruments.symbols_file import (
    Changes,
    FoStocksLoader,
    SymbolsFile,
    write_symbols_file,
)
from data_fetch.storage.instruments.instruments import last_keys

__all__ = [
    "DerivedUniverse",
    "MasterFile",
    "ResolvedUniverse",
    "derived_universe",
    "master_of",
    "resolved_universe",
    "symbols_file",
    "write_universe",
]

CONTRACTS = "NSE_FO"

# Wraps the instruments while they are read, for a progress bar; takes their number too.
Watch = Callable[[Iterator[Instrument], int], AbstractContextManager[Iterator[Instrument]]]


@dataclass(frozen=True, slots=True)
class ResolvedUniverse:
    """A symbols file, and what its symbols are in an instrument master."""

    listed: SymbolsFile
    universe: Universe
    master: MasterFile

    def document(self) -> dict[str, Any]:
        return {
            "listed": self.universe.listed,
            "resolved": len(self.universe.members),
            "unresolved": [
                {"symbol": one.symbol, "near": list(one.near)} for one in self.universe.unresolved
            ],
            "followed": [
                {"symbol": one.symbol, "now": one.instrument.symbol}
                for one in self.universe.followed
            ],
        }


@dataclass(frozen=True, slots=True)
class DerivedUniverse:
    """The underlyings of the futures that an instrument master lists."""

    found: Underlyings
    master: MasterFile

    def document(self) -> dict[str, Any]:
        return {
            "stocks": len(self.found.stocks),
            "indices": len(self.found.indices),
            "symbols": list(self.found.symbols),
        }


def symbols_file(settings: Settings) -> SymbolsFile:
    """The symbols file and its malformed entries. Raises SymbolsFileBad."""
    return FoStocksLoader(lambda: settings).load_fo_stocks_from_file()


def master_of(settings: Settings) -> MasterFile:
    """The instrument master of the day, downloaded unless it is on disk.

    Raises MasterUnavailable.
    """
    with master_for(settings) as instrument_master:
        return instrument_master.today()


def resolved_universe(
    settings: Settings, listed: SymbolsFile, master: MasterFile, watch: Watch
) -> ResolvedUniverse:
    """What the symbols of *listed* are in *master*.

    The store has the former symbols; it is opened when *master* lacks a symbol. Raises
    StoreUnreachable.
    """
    with watch(read_instruments(master.path), master.instruments) as instruments:
        named = [one for one in instruments if one.segment != CONTRACTS or one.strike is None]
    universe = resolve(listed.entries, named)
    if universe.unresolved:
        missing = [one.symbol for one in universe.unresolved]
        with store_of(settings) as store, store.reading() as connection:
            keys = last_keys(connection, missing)
        by_key = {one.instrument_key: one for one in named}
        bearers = {symbol: by_key[key] for symbol, key in keys.items() if key in by_key}
        universe = resolve(listed.entries, named, bearers)
    return ResolvedUniverse(listed, universe, master)


def derived_universe(master: MasterFile, watch: Watch) -> DerivedUniverse:
    """The universe that *master* itself lists. Raises MasterUnavailable without any futures."""
    with watch(read_instruments(master.path), master.instruments) as instruments:
        found = derive_universe(instruments)
    if not found.symbols:
        raise MasterUnavailable(
            f"the instrument master of {master.as_of} lists no futures at all",
            hint="Check UPSTOX_INSTRUMENTS_URL: the universe consists of the underlyings of the "
            "futures of NSE_FO.",
        )
    return DerivedUniverse(found, master)


def write_universe(settings: Settings, of: DerivedUniverse) -> tuple[Path, Changes]:
    """Write the universe to the user's symbols file; its path, and the symbols that changed."""
    path = FoStocksLoader(lambda: settings).path_to_write()
    return path, write_symbols_file(path, of.found, of.master.as_of)
