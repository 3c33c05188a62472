"""The store of this process, opened to read: its instruments, calendar and clock."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy import Connection

from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Clock
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.kept_open import KeptOpen, Resolved
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.paper_market import market_clock
from data_fetch.runtime.stores import named_instruments, store_to_look_at
from data_fetch.sources.instruments.symbols_file import FoStocksLoader
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.instruments import earliest_listings, instruments_named

# One symbol or several; none stands for every listed symbol.
Symbols = str | Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """A store to read from: its instruments, and what is expected of them as of now."""

    store: Store
    instruments: tuple[Instrument, ...]
    expectation: Expectation


def several(symbols: Symbols) -> tuple[str, ...]:
    """The symbols that *symbols* names."""
    return (symbols,) if isinstance(symbols, str) else tuple(symbols)


_kept_open: ContextVar[KeptOpen | None] = ContextVar("kept_open", default=None)


@contextmanager
def sharing(kept: KeptOpen) -> Iterator[None]:
    """Until the end, the queries of this context use the stores of *kept*. For a server."""
    reset = _kept_open.set(kept)
    try:
        yield
    finally:
        _kept_open.reset(reset)


def kept_open() -> KeptOpen | None:
    """What the queries of this context share; None outside of a server."""
    return _kept_open.get()


def store_of(settings: Settings) -> AbstractContextManager[Store]:
    """The configured store, or the one that `run` fell back to; closed again at the end."""
    kept = _kept_open.get()
    return (
        closing(store_to_look_at(settings))
        if kept is None
        else kept.store(settings, store_to_look_at)
    )


def clock_of(settings: Settings) -> Clock:
    """The system's clock; in the paper world the paper market's."""
    if settings.world is not World.PAPER:
        return SystemClock()
    kept = _kept_open.get()
    if kept is None:
        return _paper_clock(settings)
    return kept.clocks.get(settings.folder, lambda: _paper_clock(settings))


def _paper_clock(settings: Settings) -> Clock:
    return market_clock(settings, calendar_for(settings))


@contextmanager
def records_for(settings: Settings, symbols: Sequence[str] = ()) -> Iterator[Records]:
    """The store with the instruments of *symbols*; without any with all that are listed.

    Raises SetupError for a symbol that the store does not know, and for a store without
    instruments.
    """
    kept = _kept_open.get()
    with store_of(settings) as store:
        clock = clock_of(settings)

        def resolved() -> Resolved:
            return _resolved(settings, store, symbols)

        of = store.name, tuple(symbols)
        named = resolved() if kept is None else kept.resolved.get(of, resolved)
        yield Records(
            store=store,
            instruments=named.instruments,
            expectation=Expectation(calendar_for(settings), clock.now(), named.first_days),
        )


def _resolved(settings: Settings, store: Store, symbols: Sequence[str]) -> Resolved:
    with store.reading() as connection:
        instruments = (
            named_instruments(connection, symbols).members
            if symbols
            else listed_instruments(connection, settings)
        )
        contracts = [one.instrument_key for one in instruments if one.expiry]
        first_days = earliest_listings(connection, contracts)
    if not instruments:
        raise SetupError(
            f"{store.name} knows no instruments yet",
            hint="Fetch something first: data-fetch backfill --days 5, or data-fetch run.",
        )
    return Resolved(instruments, first_days)


def listed_symbols(settings: Settings) -> tuple[str, ...]:
    """The symbols of the symbols file. Raises SymbolsFileBad."""
    return FoStocksLoader(lambda: settings).load_fo_stocks_from_file().symbols


def listed_instruments(connection: Connection, settings: Settings) -> tuple[Instrument, ...]:
    """The instruments of the symbols file, as far as the store knows them."""
    listed = FoStocksLoader(lambda: settings).load_fo_stocks_from_file()
    return instruments_named(connection, listed.entries).members
