"""Joins the parts of a collector: the services, their jobs, and the timetable.

Nothing is read, opened or connected until `collector_at` is called.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from threading import Event

from data_fetch.core.archive.days import day_of
from data_fetch.core.instruments.universe import Universe
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.timetable import Job, standard_timetable
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.chains import chain_context_at, chain_judgements_at, chain_poller_at
from data_fetch.runtime.context import CollectorContext
from data_fetch.runtime.feed import feeds_at
from data_fetch.runtime.readiness import readiness_at
from data_fetch.runtime.reporting import CollectorStart, ProgressReporter
from data_fetch.runtime.services import (
    backfill_at,
    calendar_refresh_at,
    freshness_at,
    minute_candles_at,
    quotes_at,
    slot_listeners,
    universe_at,
)
from data_fetch.runtime.stores import selection_at
from data_fetch.runtime.units import complete_at, unit_jobs_at
from data_fetch.runtime.world import ProviderConnection
from data_fetch.services.backfill_jobs import BackfillJobs
from data_fetch.services.quotes import LtpService
from data_fetch.services.recurring import RecurringService
from data_fetch.services.slot_listeners import QueuedListener
from data_fetch.storage.database.partitions import make_ahead
from data_fetch.storage.database.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Everything a scheduler runs, joined anew each morning and when the calendar has changed.

    *calendar_changed* is set when its jobs follow a calendar that is out of date.
    """

    context: CollectorContext
    calendar: MarketCalendar
    universe: Universe
    quotes: LtpService
    calendar_changed: Event
    services: Sequence[RecurringService]
    jobs: Mapping[str, Job]
    report: Callable[[str], None]

    @property
    def provider(self) -> ProviderConnection:
        return self.context.provider

    @property
    def store(self) -> Store:
        return self.context.store

    def started(self) -> CollectorStart:
        """The facts to report when it starts."""
        now, first = self.provider.clock.now(), next(iter(self.jobs.values()))
        return CollectorStart(
            world=self.provider.world,
            base_url=self.provider.base_url,
            store=self.store.name,
            members=len(self.universe.members),
            listed=self.universe.listed,
            now=now,
            first_job=first.name,
            first_due=first.next_after(now),
        )

    def tallies(self, first: date, last: date) -> Mapping[str, int]:
        """The counts of its services from *first* to *last*, added up by name."""
        totals: Counter[str] = Counter()
        for service in self.services:
            totals.update(service.tallies(first, last))
        return totals

    @property
    def jobs_at_start(self) -> list[str]:
        """The jobs that also run when the scheduler starts, by name."""
        return [job.name for job in self.jobs.values() if job.at_start]

    def clock_set_back(self, before: datetime, now: datetime) -> None:
        """The clock read *before* and was set back to *now*."""
        for service in self.services:
            service.clock_set_back(before, now)

    def prepare(self) -> None:
        """Prepare its services, before the first job runs."""
        for service in self.services:
            service.prepare()

    def close(self) -> None:
        """Return when the work that its jobs have started has ended."""
        for service in self.services:
            service.close()


def collector_at(
    context: CollectorContext,
    reporter: ProgressReporter,
    last_recorded_slot: datetime | None = None,
) -> Collector:
    """The collector with calendar, symbols list and instrument master as they are now.

    Without *last_recorded_slot* the store has the slot from which on quotes are due.
    """
    make_ahead(context.store.engine, day_of(context.provider.clock.now()))
    # In a store that stands in the day's universe is known, and a minute passes.
    universe = universe_at(context, reporter, renew=context.outage is None)
    return collector_of(context, universe, reporter, last_recorded_slot)


def collector_of(
    context: CollectorContext,
    universe: Universe,
    reporter: ProgressReporter,
    last_recorded_slot: datetime | None = None,
) -> Collector:
    """The collector of *universe* with the calendar as it is now; else as `collector_at`."""
    settings = context.settings
    calendar = calendar_for(settings)
    listeners = [
        QueuedListener(name, listener, context.provider.clock)
        for name, listener in slot_listeners(context, reporter).items()
    ]
    quotes = quotes_at(context, universe, calendar, listeners, last_recorded_slot)
    chosen = selection_at(context.store, universe, ())
    backfill = backfill_at(context, calendar)
    backfill_jobs = BackfillJobs(
        service=backfill,
        complete=complete_at(context, backfill),
        instruments=chosen.instruments,
        listed=chosen.listed,
        clock=context.provider.clock,
        stop=context.stop,
        report=reporter.message,
    )
    chain_poller = chain_poller_at(chain_context_at(context, calendar, reporter), universe.members)
    chain_judgements = chain_judgements_at(context, calendar, chain_poller)
    calendar_refresh = calendar_refresh_at(context, calendar, reporter)
    readiness = readiness_at(context, reporter)
    services: list[RecurringService] = [
        quotes,
        *listeners,
        minute_candles_at(context, universe, calendar),
        freshness_at(context, universe, calendar, quotes, chain_judgements),
        backfill_jobs,
        chain_poller,
        calendar_refresh,
        readiness,
        *unit_jobs_at(context),
        *feeds_at(context, universe, calendar, listeners),
    ]
    if settings.data_source == "nse":
        # NSE's site has chains and holidays, and nothing else.
        services = [chain_poller, calendar_refresh, readiness, *unit_jobs_at(context)]
    groups = Members.as_of(universe.members, context.provider.clock.now()).groups
    timetable = standard_timetable(calendar, groups, settings.finalise_at)
    return Collector(
        context=context,
        calendar=calendar,
        universe=universe,
        quotes=quotes,
        calendar_changed=calendar_refresh.changed,
        services=services,
        jobs={job.name: job for service in services for job in service.jobs(timetable)},
        report=reporter.message,
    )
