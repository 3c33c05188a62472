"""The products that can be streamed: NSE stocks and indices, under their present symbols."""

from collections.abc import Iterable

from sqlalchemy import Connection

from data_fetch.core.errors import UnknownSymbol
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.settings import Settings
from data_fetch.reading.records import listed_symbols, store_of
from data_fetch.runtime.stores import named_instruments
from data_fetch.storage.chains.heads import underlyings
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.instruments.instruments import instruments_named

INDICES, UNDERLYINGS = "NSE_INDEX", ("NSE_EQ", "NSE_INDEX")


def product_named(settings: Settings, symbol: str) -> str:
    """The present symbol of a product. Raises UnknownSymbol with the nearest ones."""
    name = symbol.strip().upper()
    with store_of(settings) as store, store.reading() as connection:
        found = _underlyings(instruments_named(connection, [name]).members)
        if found:
            return found[0].symbol
        # Chains may be imported into a store that knows no instruments.
        if name in underlyings(connection):
            return name
        for contract in named_instruments(connection, [name]).members:
            raise UnknownSymbol(
                f"{contract.symbol} is a contract, no product",
                near=[contract.underlying_symbol] if contract.underlying_symbol else (),
                hint="Name its underlying.",
            )
        raise UnknownSymbol(f"the store knows no instrument named {name}")


def products(settings: Settings) -> list[str]:
    """Every listed product that the store knows, and those with chains, by name."""
    with store_of(settings) as store, store.reading() as connection:
        return sorted({each.symbol for each in _listed(connection, settings)})


def general_products(settings: Settings) -> frozenset[str]:
    """The listed indices, and the symbols that are pinned."""
    with store_of(settings) as store:
        pinned = {each.symbol for each in SymbolConfigs(store).all() if each.pinned}
        with store.reading() as connection:
            listed = _listed(connection, settings)
    return frozenset(pinned | {each.symbol for each in listed if each.segment == INDICES})


def _listed(connection: Connection, settings: Settings) -> list[Instrument]:
    names = {*listed_symbols(settings), *underlyings(connection)}
    return _underlyings(instruments_named(connection, sorted(names)).members)


def _underlyings(instruments: Iterable[Instrument]) -> list[Instrument]:
    return [each for each in instruments if each.segment in UNDERLYINGS]
