"""One service for a command that does one thing beside a running collector.

Each builds only what its command needs: context, instruments, calendar, and that service.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from threading import Event

from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError
from data_fetch.core.ports import Clock
from data_fetch.core.settings import Settings
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.context import CollectorContext, one_off_context
from data_fetch.runtime.reporting import ProgressReporter
from data_fetch.runtime.services import backfill_at, quotes_at, slot_listeners, universe_at
from data_fetch.runtime.stores import Selection, selection_at
from data_fetch.services.backfill import BackfillService
from data_fetch.services.quotes import LtpService
from data_fetch.storage.database.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillParts:
    """The backfill service, the instruments to fetch for, and what ends a run."""

    service: BackfillService
    selection: Selection
    store: Store
    clock: Clock
    stop: Event

    @property
    def today(self) -> date:
        """The provider's date in India."""
        return self.clock.now().astimezone(IST).date()


@contextmanager
def quotes_for(settings: Settings, reporter: ProgressReporter) -> Iterator[LtpService]:
    """The quote service over the configured universe.

    Raises SetupError when the configured source has nothing but chains.
    """
    with _context(settings) as context:
        universe = universe_at(context, reporter)
        listeners = slot_listeners(context, reporter).values()
        yield quotes_at(context, universe, calendar_for(settings), listeners)


@contextmanager
def backfill_for(
    settings: Settings, reporter: ProgressReporter, symbols: Sequence[str] = ()
) -> Iterator[BackfillParts]:
    """The backfill service, for *symbols* (none named: for the whole universe).

    Raises SetupError when none of the symbols is known, and when the configured source has
    nothing but chains.
    """
    with _context(settings) as context:
        universe = universe_at(context, reporter)
        yield BackfillParts(
            service=backfill_at(context, calendar_for(settings)),
            selection=selection_at(context.store, universe, symbols),
            store=context.store,
            clock=context.provider.clock,
            stop=context.stop,
        )


@contextmanager
def _context(settings: Settings) -> Iterator[CollectorContext]:
    if settings.data_source == "nse":
        raise SetupError(
            "DATA_SOURCE=nse has chains only: no quotes, no candles",
            hint="Set DATA_SOURCE to upstox or paper; or: data-fetch chain collect --once",
        )
    with one_off_context(settings) as context:
        yield context
