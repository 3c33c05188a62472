"""Underlyings by name: what a name stands for, and which underlyings there are."""

from datetime import date, datetime

from sqlalchemy import Connection

from data_fetch.core.chains.chain_lineage import ChainLineage
from data_fetch.core.chains.symbol_config import SymbolConfig
from data_fetch.core.clock import IST
from data_fetch.core.errors import UnknownSymbol
from data_fetch.core.instruments.near_symbols import NearSymbols
from data_fetch.core.settings import Settings
from data_fetch.core.text import presentable
from data_fetch.reading.records import clock_of, kept_open, listed_instruments, store_of
from data_fetch.reading.seam import question
from data_fetch.runtime.stores import named_instruments
from data_fetch.services.polling import Polling
from data_fetch.storage.chains.archived import expiries_in_files, underlyings_in_files
from data_fetch.storage.chains.heads import expiries, underlyings
from data_fetch.storage.chains.lineage import chain_lineage, chain_lineages
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.contracts import listed_expiries, underlying_keys

# The longest names of the exchange are those of contracts; they have half as many letters.
LONGEST_NAME = 60
EXCHANGE = "NSE_"


def underlying_named(connection: Connection, name: str) -> ChainLineage:
    """The underlying of that name, in any case: a symbol, a former one, the name of an index, an
    instrument key, or what chains are stored under.

    Raises UnknownSymbol with the nearest symbols.
    """
    if len(name) > LONGEST_NAME or not name.isprintable() or not name.strip():
        raise UnknownSymbol(
            f"{presentable(name)!r} is no symbol", hint="Write it like NIFTY or RELIANCE."
        )
    kept = kept_open()
    if kept is None:
        return _known(connection, name)
    return kept.lineages.get((connection.engine.pool, name), lambda: _known(connection, name))


def _known(connection: Connection, name: str) -> ChainLineage:
    lineage = chain_lineage(connection, name)
    if not any(_is_stored(connection, each.label) for each in lineage.names):
        _refuse_unknown(connection, name)
    return lineage


def _is_stored(connection: Connection, label: str) -> bool:
    return bool(expiries(connection, label) or expiries_in_files(connection, label))


def stored_underlyings(connection: Connection) -> list[str]:
    """Every underlying of which there is a chain, in the store or in files, by name."""
    return sorted({*underlyings(connection), *underlyings_in_files(connection)})


def products(settings: Settings, at: datetime | None = None) -> list[str]:
    """The underlyings of the NSE whose chains are polled, or were stored by *at*, by name.

    Raises SymbolsFileBad, StoreUnreachable.
    """
    with question(settings) as asked:
        connection = asked.connection
        stored = [
            each
            for each in chain_lineages(connection, stored_underlyings(connection))
            if at is None or asked.expiries(each, at)
        ]
        polled = polled_symbols(settings, asked.store)
    symbols = {each.symbol for each in stored if _is_of_the_exchange(each)}
    symbols |= {each.symbol for each in polled if each.instrument_key.startswith(EXCHANGE)}
    return sorted(symbols)


def polled_symbols(settings: Settings, store: Store) -> list[SymbolConfig]:
    """The symbols whose chains are polled into *store*, and how often.

    Raises SymbolsFileBad, StoreUnreachable.
    """
    with store.reading() as connection:
        polling = Polling(settings, store, listed_instruments(connection, settings))
    return [each for each in polling.configs() if each.active]


def listed_underlyings(settings: Settings) -> list[str]:
    """The symbols of the symbols file that the store knows, by name.

    Raises SymbolsFileBad, StoreUnreachable.
    """
    with store_of(settings) as store, store.reading() as connection:
        return sorted(each.symbol for each in listed_instruments(connection, settings))


def expiries_to_come(settings: Settings, symbol: str) -> list[date]:
    """The expiries of options on *symbol* that the newest instrument master lists and that are
    not over, nearest first; none for an underlying that the store does not know.

    Raises StoreUnreachable.
    """
    today = clock_of(settings).now().astimezone(IST).date()
    with store_of(settings) as store, store.reading() as connection:
        return listed_expiries(connection, underlying_keys(connection, [symbol])[symbol], today)


def _refuse_unknown(connection: Connection, name: str) -> None:
    """Raises UnknownSymbol for a name of no instrument."""
    try:
        named_instruments(connection, [name])
    except UnknownSymbol as unknown:
        if unknown.near:
            raise
        stored = NearSymbols((each, each, True) for each in underlyings(connection))
        raise UnknownSymbol(unknown.message, near=stored.near(name), hint=unknown.hint) from unknown


def _is_of_the_exchange(underlying: ChainLineage) -> bool:
    keys = [each.label for each in underlying.names if "|" in each.label]
    return all(key.startswith(EXCHANGE) for key in keys)
