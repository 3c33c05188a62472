"""The products that streams are about."""

from data_fetch.core.settings import Settings
from data_fetch.reading.records import listed_instruments, store_of
from data_fetch.reading.underlyings import polled_symbols, underlying_named

INDICES = "NSE_INDEX"


def product_named(settings: Settings, name: str) -> str:
    """The present symbol of the product of that name.

    Raises UnknownSymbol with the nearest symbols, StoreUnreachable.
    """
    with store_of(settings) as store, store.reading() as connection:
        return underlying_named(connection, name).symbol


def general_products(settings: Settings) -> frozenset[str]:
    """The products that every client is sent: listed indices, and pinned symbols.

    Raises SymbolsFileBad, StoreUnreachable.
    """
    with store_of(settings) as store:
        pinned = {each.symbol for each in polled_symbols(settings, store) if each.pinned}
        with store.reading() as connection:
            listed = listed_instruments(connection, settings)
    return frozenset(pinned | {each.symbol for each in listed if each.segment == INDICES})
