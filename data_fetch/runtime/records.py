"""A store opened to read: its instruments, calendar and clock."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Clock
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.runtime.stores import named_instruments, selection_of, store_to_look_at
from data_fetch.runtime.world import calendar_for, provider_for
from data_fetch.sources.instruments.symbols_file import FoStocksLoader
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.instruments import instruments_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """A store to read from: its instruments, and what is expected of them by now."""

    store: Store
    instruments: tuple[Instrument, ...]
    expectation: Expectation


@contextmanager
def records_for(settings: Settings, symbols: Sequence[str] = ()) -> Iterator[Records]:
    """What the store holds of *symbols* (of the listed ones when none are named), to read.

    Asks no provider. Raises SetupError for a symbol that the store does not know.
    """
    with ExitStack() as stack:
        store = store_to_look_at(settings)
        stack.callback(store.close)
        clock: Clock = SystemClock()
        if settings.world is World.PAPER:
            clock = stack.enter_context(provider_for(settings)).clock
        with store.reading() as connection:
            if symbols:
                universe = named_instruments(connection, symbols)
            else:
                listed = FoStocksLoader(lambda: settings).load_fo_stocks_from_file()
                universe = instruments_named(connection, listed.entries)
            chosen = selection_of(connection, universe.members)
        if not chosen.instruments:
            raise SetupError(
                f"{store.name} knows no instruments yet",
                hint="Fetch something first: data-fetch backfill --days 5, or data-fetch run.",
            )
        yield Records(
            store=store,
            instruments=chosen.instruments,
            expectation=Expectation(calendar_for(settings), clock.now(), chosen.listed),
        )
