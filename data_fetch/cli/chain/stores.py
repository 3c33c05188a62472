"""How the chain commands come to what is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from data_fetch.cli.shared.output import ist_text
from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.errors import SetupError
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import store_to_look_at
from data_fetch.storage.chains.snapshots import ChainStore, StoredSnapshot
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.database.store import Store


@contextmanager
def store_for_looking() -> Iterator[Store]:
    """The configured store; no provider is asked."""
    store = store_to_look_at(process_settings())
    try:
        yield store
    finally:
        store.close()


@contextmanager
def chains_to_look_at() -> Iterator[ChainStore]:
    """The chains of the configured store."""
    with store_for_looking() as store:
        yield ChainStore(store)


def wanted_strikes(store: Store, symbol: str) -> int | None:
    """How many strikes on each side of the money somebody wants of *symbol*, if anybody said."""
    configs = SymbolConfigs(store).all()
    return next((each.strikes for each in configs if each.symbol == symbol.upper()), None)


def the_snapshot(
    chains: ChainStore,
    symbol: str,
    expiry: datetime | None,
    at: datetime | None,
    source: str | None,
) -> StoredSnapshot:
    """The newest snapshot as of *at*. Raises SetupError when there is none."""
    found = chains.snapshot_at(
        symbol.upper(),
        expiry.date() if expiry else None,
        at,
        ChainSource(source) if source else None,
    )
    if found is None:
        raise nothing_stored(chains, symbol.upper(), at)
    return found


def nothing_stored(chains: ChainStore, symbol: str, at: datetime | None) -> SetupError:
    """What to say when there is no snapshot: which expiries there are, or what to do."""
    held = chains.expiries_at(symbol, at)
    when = f" as of {ist_text(at)}" if at else ""
    if held:
        days = ", ".join(day.isoformat() for day in held)
        return SetupError(f"no such chain of {symbol} is stored{when}", hint=f"There are: {days}.")
    return SetupError(
        f"no chain of {symbol} is stored{when}",
        hint=f"Collect one: data-fetch chain collect --once --symbols '{symbol}'",
    )
