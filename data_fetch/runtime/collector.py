"""Joins the parts of a collector: the services, their jobs, and the timetable.

Nothing is read, opened or connected until `collector_at` is called.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from data_fetch.core.instruments.universe import Universe
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.timetable import CANDLES, FRESHNESS, QUOTES, Timetable, standard_timetable
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.chains import chain_context_at, chain_poller_at
from data_fetch.runtime.context import CollectorContext
from data_fetch.runtime.reporting import ProgressReporter
from data_fetch.runtime.services import (
    backfill_at,
    freshness_at,
    minute_candles_at,
    quotes_at,
    universe_at,
)
from data_fetch.runtime.stores import selection_at
from data_fetch.runtime.world import ProviderConnection
from data_fetch.services.backfill_jobs import BackfillJobs
from data_fetch.services.chain_jobs import ChainPoller
from data_fetch.services.quotes import FreshnessMonitor, LtpService, Members
from data_fetch.storage.database.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Everything a scheduler runs, joined anew each morning."""

    context: CollectorContext
    calendar: MarketCalendar
    universe: Universe
    service: LtpService
    monitor: FreshnessMonitor
    backfill_jobs: BackfillJobs
    chain_poller: ChainPoller
    timetable: Timetable
    jobs: Mapping[str, Callable[[], object]]

    @property
    def provider(self) -> ProviderConnection:
        return self.context.provider

    @property
    def store(self) -> Store:
        return self.context.store

    def close(self) -> None:
        """Return when what its jobs have set to work is done."""
        self.chain_poller.close()


def collector_at(
    context: CollectorContext,
    reporter: ProgressReporter,
    last_recorded_slot: datetime | None = None,
) -> Collector:
    """The collector with calendar, symbols list and instrument master as they are now.

    Without *last_recorded_slot* the store has the slot from which on quotes are due.
    """
    settings = context.settings
    calendar = calendar_for(settings)
    universe = universe_at(context, reporter, renew=True)
    service = quotes_at(context, universe, calendar, reporter, last_recorded_slot)
    monitor = freshness_at(context, universe, calendar, service)
    candles = minute_candles_at(context, universe, calendar)
    chosen = selection_at(context.store, universe, ())
    backfill_jobs = BackfillJobs(
        service=backfill_at(context, calendar),
        instruments=chosen.instruments,
        listed=chosen.listed,
        clock=context.provider.clock,
        stop=context.stop,
        report=reporter.message,
    )
    chain_poller = chain_poller_at(
        chain_context_at(context, calendar, reporter.message), universe.members
    )
    jobs: dict[str, Callable[[], object]] = {
        QUOTES: service.collect_due,
        CANDLES: candles.collect,
        FRESHNESS: monitor.check,
        **backfill_jobs.jobs,
        **chain_poller.jobs,
    }
    groups = Members(universe.members).groups
    return Collector(
        context=context,
        calendar=calendar,
        universe=universe,
        service=service,
        monitor=monitor,
        backfill_jobs=backfill_jobs,
        chain_poller=chain_poller,
        timetable=standard_timetable(calendar, groups, settings.finalise_at),
        # NSE's site has chains and nothing else.
        jobs=dict(chain_poller.jobs) if settings.data_source == "nse" else jobs,
    )
