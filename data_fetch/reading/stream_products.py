"""The products and option contracts that streams are about."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection

from data_fetch.core.chains.contract_names import Contract
from data_fetch.core.clock import IST
from data_fetch.core.errors import UnknownSymbol
from data_fetch.core.settings import Settings
from data_fetch.reading.records import clock_of, listed_instruments, store_of
from data_fetch.reading.underlyings import polled_symbols, underlying_named
from data_fetch.storage.instruments.contracts import contract_keys, listed_expiries, underlying_keys

INDICES = "NSE_INDEX"
MOST_NEAR = 4


def product_named(settings: Settings, name: str) -> str:
    """The present symbol of the product of that name.

    Raises UnknownSymbol with the nearest symbols, StoreUnreachable.
    """
    with store_of(settings) as store, store.reading() as connection:
        return underlying_named(connection, name).symbol


def contract_known(settings: Settings, contract: Contract) -> Contract:
    """*contract* with the present symbol of its product.

    Raises UnknownSymbol with the names of the nearest strikes for one that has expired, or that no
    instrument master has; StoreUnreachable.
    """
    today = clock_of(settings).now().astimezone(IST).date()
    with store_of(settings) as store, store.reading() as connection:
        product = underlying_named(connection, contract.product).symbol
        present = contract._replace(product=product)
        keys = underlying_keys(connection, [product])[product]
        if present.expiry >= today and present.strike in _strikes(connection, keys, present):
            return present
        to_come = listed_expiries(connection, keys, max(present.expiry, today))
        nearest = [
            meant._replace(strike=strike).name
            for meant in (present._replace(expiry=expiry) for expiry in to_come[:1])
            for strike in _nearest(_strikes(connection, keys, meant), present.strike)
        ]
    raise UnknownSymbol(f"{present.name} is no option that is listed", near=nearest)


def _strikes(connection: Connection, keys: Collection[str], like: Contract) -> list[float]:
    """The strikes of the contracts with the expiry and type of *like*."""
    found = contract_keys(connection, keys, like.expiry)
    return [float(strike) for strike, side in found if side is like.option_type]


def _nearest(strikes: Iterable[float], to: float) -> list[float]:
    return sorted(strikes, key=lambda strike: (abs(strike - to), strike))[:MOST_NEAR]


def general_products(settings: Settings) -> frozenset[str]:
    """The products that every client is sent: listed indices, and pinned symbols.

    Raises SymbolsFileBad, StoreUnreachable.
    """
    with store_of(settings) as store:
        pinned = {each.symbol for each in polled_symbols(settings, store) if each.pinned}
        with store.reading() as connection:
            listed = listed_instruments(connection, settings)
    return frozenset(pinned | {each.symbol for each in listed if each.segment == INDICES})
