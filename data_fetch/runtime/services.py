"""Builds the services for quotes and candles at a context, each on its own."""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from data_fetch.core.chains.freshness import ChainJudgement
from data_fetch.core.clock import MINUTE, minute_of
from data_fetch.core.instruments.universe import Universe
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.ports import SlotListener
from data_fetch.core.timetable import QUOTES
from data_fetch.publishing.redis_quotes import QuoteFeed
from data_fetch.runtime.context import CollectorContext
from data_fetch.runtime.late_days import bring_back_into
from data_fetch.runtime.reporting import ProgressReporter
from data_fetch.services.backfill import BackfillService
from data_fetch.services.calendar_refresh import CalendarRefresh
from data_fetch.services.freshness import FreshnessMonitor
from data_fetch.services.minute_candles import CandleService
from data_fetch.services.outage import USUAL_PATIENCE, Patience
from data_fetch.services.quotes import LtpService, WhyMissed
from data_fetch.services.universe import known_universe, load_universe
from data_fetch.sources.instruments.symbols_file import FoStocksLoader
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import last_due_slot

log = logging.getLogger(__name__)


def universe_at(
    context: CollectorContext, reporter: ProgressReporter, *, renew: bool = False
) -> Universe:
    """The instruments of the listed symbols.

    They come from the store when it has today's instrument master. Otherwise, and with *renew*, the
    provider's master is looked at. Raises SetupError when none of the symbols is known,
    MasterUnavailable when there is no master.
    """
    loader = FoStocksLoader(lambda: context.settings)
    now = context.provider.clock.now()
    if not renew:
        known = known_universe(loader, context.store, now, reporter.message)
        if known is not None:
            return known
    return load_universe(
        loader, context.provider.master, context.store, now, context.guard, reporter.message
    )


def slot_listeners(
    context: CollectorContext, reporter: ProgressReporter
) -> dict[str, SlotListener]:
    """Who receives each slot, by name: the reporter, and Redis where it is configured."""
    redis_url = context.settings.redis_url
    if redis_url is None:
        return {"screen": reporter.slot}
    feed = QuoteFeed(redis_url.get_secret_value(), context.store.world)
    return {"screen": reporter.slot, "redis": feed}


def quotes_at(
    context: CollectorContext,
    universe: Universe,
    calendar: MarketCalendar,
    listeners: Collection[SlotListener],
    last_recorded_slot: datetime | None = None,
) -> LtpService:
    """The service that collects quotes.

    Without *last_recorded_slot* the store has the slot from which on rows are due. Nothing
    before now is due in a store without a past.
    """
    provider, store = context.provider, context.store
    now = provider.clock.now()
    slot = minute_of(now)
    # Known only when another store comes into use: what passed meanwhile is due to the change.
    why_late = context.outage if last_recorded_slot else None
    last_recorded_slot = (
        last_recorded_slot or last_due_slot(store, QUOTES, before=slot) or slot - MINUTE
    )
    return LtpService(
        source=provider.sources.quotes,
        source_name=provider.source_name,
        quotes_repository=QuoteStore(store, context.guard),
        members=Members.as_of(universe.members, context.provider.clock.now()),
        unresolved=[missing.symbol for missing in universe.unresolved],
        calendar=calendar,
        clock=provider.clock,
        last_recorded_slot=last_recorded_slot,
        running_since=context.running_since,
        why_late=why_late or WhyMissed.TOO_LATE,
        listeners=listeners,
    )


def freshness_at(
    context: CollectorContext,
    universe: Universe,
    calendar: MarketCalendar,
    quotes: LtpService,
    chains: Callable[[], Sequence[ChainJudgement]],
) -> FreshnessMonitor:
    """The monitor of freshness; *quotes* repairs what it finds, *chains* judges those."""
    return FreshnessMonitor(
        quotes_repository=QuoteStore(context.store, context.guard),
        members=Members.as_of(universe.members, context.provider.clock.now()),
        calendar=calendar,
        clock=context.provider.clock,
        rules=context.settings.freshness_rules,
        repair=quotes.repair,
        chains=chains,
    )


def calendar_refresh_at(
    context: CollectorContext, calendar: MarketCalendar, reporter: ProgressReporter
) -> CalendarRefresh:
    """The service that keeps *calendar* up to date."""
    settings, provider = context.settings, context.provider
    return CalendarRefresh(
        sources=provider.sources.calendars,
        calendar=calendar,
        data_folder=settings.data_folder,
        world=settings.world,
        clock=provider.clock,
        running_since=context.running_since,
        candles=CandleRepository(context.store, context.guard),
        quotes=QuoteStore(context.store, context.guard),
        report=reporter.message,
        stop=context.stop,
    )


def minute_candles_at(
    context: CollectorContext, universe: Universe, calendar: MarketCalendar
) -> CandleService:
    """The service that collects the candle of the last minute."""
    provider = context.provider
    return CandleService(
        source=provider.sources.minute_candles,
        source_name=provider.source_name,
        repository=CandleRepository(context.store, context.guard),
        members=universe.members,
        calendar=calendar,
        clock=provider.clock,
    )


def backfill_at(
    context: CollectorContext, calendar: MarketCalendar, patience: Patience = USUAL_PATIENCE
) -> BackfillService:
    """The service that fetches missing candles; the stop event of *context* ends its runs."""
    provider = context.provider
    return BackfillService(
        source=provider.sources.candles,
        source_name=provider.source_name,
        repository=CandleRepository(context.store, context.guard),
        calendar=calendar,
        clock=provider.clock,
        limits=provider.sources.limits,
        spending=provider.sources.spending,
        stop=context.stop,
        patience=patience,
        bring_back=bring_back_into(context.settings, context.store, log.warning),
    )
