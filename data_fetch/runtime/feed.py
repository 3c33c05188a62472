"""Builds the streaming feed of a collector."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import Universe
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.ports import SlotListener, TickSource
from data_fetch.core.world import World
from data_fetch.publishing.redis_streams import RedisNames, StreamPublisher
from data_fetch.publishing.stream_updates import ticks_document
from data_fetch.runtime.context import CollectorContext
from data_fetch.services.feed import FeedService
from data_fetch.services.feed_plan import FeedPlanner
from data_fetch.services.feed_quotes import FeedQuotes
from data_fetch.services.polling import Polling
from data_fetch.services.ticks import TickRelay
from data_fetch.sources.upstox.feed import SENTINELS, UpstoxFeed
from data_fetch.sources.upstox.feed_doors import AuthorisedDoor
from data_fetch.sources.upstox.limits import FEED_LIMITS
from data_fetch.storage.feed import FeedStore
from data_fetch.storage.instruments.contracts import listed_options
from data_fetch.storage.quotes import QuoteStore


class TickPublisher:
    """Publishes the ticks of *source* in the Redis at *redis_url*, those of *symbols* by live key.

    It stops for good.
    """

    def __init__(
        self,
        source: TickSource,
        symbols: Mapping[str, str],
        redis_url: str,
        names: RedisNames,
        source_name: str,
        world: World,
    ) -> None:
        self._publisher = publisher = StreamPublisher(redis_url, names)
        self._relay = TickRelay(
            source,
            symbols,
            lambda ticks: publisher.publish_ticks(ticks_document(ticks, source_name, world)),
        )

    def start(self) -> None:
        self._relay.start()

    def stop(self) -> None:
        """Return when nothing is published any more."""
        self._relay.stop()
        self._publisher.close()


def tick_publishers_at(
    context: CollectorContext, universe: Universe, source: TickSource
) -> list[TickPublisher]:
    """The publisher of the listed symbols' ticks, where Redis is configured."""
    settings, provider = context.settings, context.provider
    if settings.redis_url is None:
        return []
    return [
        TickPublisher(
            source,
            {each.live_key: each.symbol for each in universe.members},
            settings.redis_url.get_secret_value(),
            RedisNames(settings.redis_prefix),
            provider.source_name,
            provider.world,
        )
    ]


def feeds_at(
    context: CollectorContext,
    universe: Universe,
    calendar: MarketCalendar,
    listeners: Collection[SlotListener],
) -> list[FeedService]:
    """The feed, where it is enabled; NSE's site has none. *listeners* get the quotes that it
    fills."""
    settings, provider, store = context.settings, context.provider, context.store
    if not settings.feed_enabled or settings.data_source == "nse":
        return []

    def options(underlying: Instrument, day: date) -> Sequence[Instrument]:
        with store.reading() as connection:
            return listed_options(connection, [underlying.instrument_key], day)

    feed = UpstoxFeed(
        AuthorisedDoor(provider.api),
        base_url=provider.base_url,
        clock=provider.clock,
        calendar=lambda: calendar,
    )
    polling = Polling(settings, store, universe.members)
    return [
        FeedService(
            feed=feed,
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
                listeners=listeners,
            ),
            repository=FeedStore(store, context.guard),
            clock=provider.clock,
            followers=tick_publishers_at(context, universe, feed.board),
        )
    ]
