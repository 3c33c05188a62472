"""The collector of a rehearsal: a virtual clock, an exchange and a store of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from threading import Event

from pydantic import SecretStr

from data_fetch.core.clock import IST, MINUTE, VirtualClock
from data_fetch.core.errors import SetupError
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.settings import Settings
from data_fetch.runtime.collector import Collector, collector_at
from data_fetch.runtime.context import CollectorContext
from data_fetch.runtime.lead import LeadKeeper
from data_fetch.runtime.reporting import ProgressReporter
from data_fetch.runtime.stores import store_for
from data_fetch.runtime.world import exchange_at, provider_at
from data_fetch.sources.instruments.symbols_file import FoStocksLoader
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.storage.database.leadership import Leadership

# Before the morning's first job; a rehearsal ends after the evening's last one.
REHEARSAL_STARTS, REHEARSAL_LASTS = time(8, 0), timedelta(hours=15)


@contextmanager
def rehearsal_for(
    settings: Settings,
    first: date,
    last: date,
    reporter: ProgressReporter,
    exchange_calendar: MarketCalendar | None = None,
) -> Iterator[tuple[Collector, datetime]]:
    """A collector on a virtual clock with its own exchange, on the morning of *first*, and the
    end of *last*.

    The exchange trades by *exchange_calendar*, else by the reviewed one. Raises SetupError when
    the market is closed on all these days, WrongWorld when the named store is a live one.
    """
    calendar = exchange_calendar or MarketCalendar.reviewed()
    starts = datetime.combine(first, REHEARSAL_STARTS, IST)
    with ExitStack() as stack:
        # Windows deletes no file that is still open.
        temporary = tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        paper = _rehearsal_settings(settings, folder)
        clock = VirtualClock(starts)
        exchange = stack.enter_context(exchange_at(paper, clock, calendar))
        store = store_for(paper)
        stack.callback(store.close)
        leadership = Leadership(store)
        fence = leadership.try_acquire()
        if fence is None:
            raise SetupError(
                f"a scheduler collects into {store.name}",
                hint="Stop it, or rehearse in another store.",
            )
        stop = Event()
        lead = stack.enter_context(LeadKeeper(leadership, store.name, reporter.message, lost=stop))
        windows = stack.enter_context(closing(FileWindows(folder, clock)))
        # Waits differ by chance; those of a rehearsal are the same each time.
        chance = Random(0)  # noqa: S311
        provider = provider_at(paper, clock, exchange.url, calendar, windows, random=chance)
        context = CollectorContext(
            settings=paper,
            provider=provider,
            store=store,
            guard=fence,
            leads=lead.leads,
            running_since=starts,
            stop=stop,
        )
        collector = collector_at(context, reporter, last_recorded_slot=starts - MINUTE)
        if not collector.quotes.slots_on(first, last):
            raise SetupError(
                f"the market is closed on {first}" + (f" to {last}" if last > first else ""),
                hint="Choose a trading day: data-fetch calendar next",
            )
        yield collector, datetime.combine(last, REHEARSAL_STARTS, IST) + REHEARSAL_LASTS


def _rehearsal_settings(settings: Settings, folder: Path) -> Settings:
    """Settings of the paper world with all files in *folder*; a configured database is used."""
    symbols = FoStocksLoader(lambda: settings).load_fo_stocks_from_file()
    temporary = SecretStr(f"sqlite:///{folder / 'rehearsal.db'}")
    return settings.model_copy(
        update={
            "data_source": "paper",
            "base_url": None,
            "folder": folder,
            "symbols_file": symbols.path.resolve(),
            "database_url": settings.database_url or temporary,
            # Subscribers expect the prices of the run and not of a rehearsal.
            "redis_url": None,
        }
    )
