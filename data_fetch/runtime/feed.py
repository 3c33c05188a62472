"""Builds the streaming feed of a collector."""

from collections.abc import Sequence
from datetime import date

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import Universe
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.runtime.context import CollectorContext
from data_fetch.services.feed import FeedService
from data_fetch.services.feed_plan import FeedPlanner
from data_fetch.services.feed_quotes import FeedQuotes
from data_fetch.services.polling import Polling
from data_fetch.sources.upstox.feed import SENTINELS, UpstoxFeed
from data_fetch.sources.upstox.feed_doors import AuthorisedDoor
from data_fetch.sources.upstox.limits import FEED_LIMITS
from data_fetch.storage.feed import FeedStore
from data_fetch.storage.instruments.contracts import listed_options
from data_fetch.storage.quotes import QuoteStore


def feeds_at(
    context: CollectorContext, universe: Universe, calendar: MarketCalendar
) -> list[FeedService]:
    """The feed, where it is enabled; NSE's site has none."""
    settings, provider, store = context.settings, context.provider, context.store
    if not settings.feed_enabled or settings.data_source == "nse":
        return []

    def options(underlying: Instrument, day: date) -> Sequence[Instrument]:
        with store.reading() as connection:
            return listed_options(connection, [underlying.instrument_key], day)

    polling = Polling(settings, store, universe.members)
    return [
        FeedService(
            feed=UpstoxFeed(
                AuthorisedDoor(provider.api),
                base_url=provider.base_url,
                clock=provider.clock,
                calendar=lambda: calendar,
            ),
            planner=FeedPlanner(
                sentinels=list(SENTINELS),
                universe=universe.members,
                polled=lambda: polling.poll_targets().polled,
                options=options,
                limits=FEED_LIMITS,
            ),
            quotes=FeedQuotes(
                members=Members.as_of(universe.members, provider.clock.now()),
                calendar=calendar,
                repository=QuoteStore(store, context.guard),
                clock=provider.clock,
            ),
            repository=FeedStore(store, context.guard),
            clock=provider.clock,
        )
    ]
