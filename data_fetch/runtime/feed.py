"""Builds the streaming feed of a collector."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from data_fetch.archive.recording_folder import prune_recordings
from data_fetch.core.chains.chains import OptionType
from data_fetch.core.chains.contract_names import Contract
from data_fetch.core.clock import IST
from data_fetch.core.feed.liveness import Sentinel
from data_fetch.core.feed.recorder import MessageRecorder, NoRecorder
from data_fetch.core.feed.ticks import Tick
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import Universe
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.ports import SlotListener, TickSource
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.publishing.redis_streams import OPTION_TICKS, TICKS, RedisNames, StreamPublisher
from data_fetch.publishing.stream_updates import option_ticks_document, ticks_document
from data_fetch.publishing.tick_file import TickFile
from data_fetch.runtime.context import CollectorContext
from data_fetch.services.feed import FeedService, TickFollower
from data_fetch.services.feed_plan import FeedPlanner
from data_fetch.services.feed_prices import FeedPrices, PriceRefresher
from data_fetch.services.feed_quotes import FeedQuotes
from data_fetch.services.polling import Polling
from data_fetch.services.ticks import TickRelay
from data_fetch.sources.upstox.feed import SENTINELS, UpstoxFeed
from data_fetch.sources.upstox.feed_doors import AuthorisedDoor
from data_fetch.sources.upstox.limits import FEED_LIMITS
from data_fetch.storage.database.store import Store
from data_fetch.storage.feed import FeedStore
from data_fetch.storage.instruments.contracts import listed_options, nearest_future
from data_fetch.storage.live_prices import LivePrices
from data_fetch.storage.quotes import QuoteStore

log = logging.getLogger(__name__)

# A recording is no reason for a disk that is full: everything else that is collected comes first.
RESERVED_BYTES = 2_000_000_000
# Its future trades until the close, also on days on which the index ends with the auction.
FUTURE_ON = "NSE_INDEX|Nifty 50"
# The tick file is written as a whole.
FILE_PAUSE_SECONDS = 0.2


class ListedOptions:
    """The options that the masters in *store* list; `listed` has those that were asked for by live
    key, `contracts` what streams call them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.listed: dict[str, Instrument] = {}
        self.contracts: dict[str, Contract] = {}

    def on(self, underlying: Instrument, day: date) -> Sequence[Instrument]:
        """The options on *underlying* that have not expired on *day*. Raises StoreUnreachable."""
        with self._store.reading() as connection:
            found = listed_options(connection, [underlying.instrument_key], day)
        self.listed |= {each.live_key: each for each in found}
        self.contracts |= {
            each.live_key: Contract(
                underlying.symbol, each.expiry, OptionType(each.instrument_type), float(each.strike)
            )
            for each in found
            if each.expiry is not None and each.strike is not None
        }
        return found


class TickSink(Protocol):
    """Takes ticks for other programs. It raises nothing."""

    def publish_ticks(self, channel: str, ticks: Mapping[str, Any]) -> None:
        """Take a document of several ticks, of one channel."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TickNames:
    """What the ticks of a feed are of, by live key: *symbols* of products, and *contracts*. Those
    of *sentinels* are for the feed itself, and are not published."""

    symbols: Mapping[str, str]
    contracts: Mapping[str, Contract]
    sentinels: Mapping[str, Sentinel] = field(default_factory=dict)

    def name_of(self, key: str) -> str | None:
        """The symbol, or the name of the contract; None for a key of neither."""
        if (contract := self.contracts.get(key)) is not None:
            return contract.name
        if (sentinel := self.sentinels.get(key)) is not None:
            return self.symbols.get(key, sentinel.name)
        return self.symbols.get(key)


class TickPublisher:
    """Brings the ticks of *source* that have *names* to *sink*; each kind waits *pause* seconds
    after it was published. It stops for good."""

    def __init__(
        self,
        source: TickSource,
        names: TickNames,
        sink: TickSink,
        *,
        source_name: str,
        world: World,
        pause: float = 0.0,
    ) -> None:
        def publish_products(ticks: Mapping[str, Tick]) -> None:
            sink.publish_ticks(TICKS, ticks_document(ticks, source_name, world))

        def publish_options(ticks: Mapping[Contract, Tick]) -> None:
            sink.publish_ticks(OPTION_TICKS, option_ticks_document(ticks, source_name, world))

        self._sink = sink
        self._relays: list[TickFollower] = [
            TickRelay(source, names.symbols, publish_products, pause),
            TickRelay(source, names.contracts, publish_options, pause),
        ]

    def start(self) -> None:
        for relay in self._relays:
            relay.start()

    def stop(self) -> None:
        """Return when nothing is published any more."""
        for relay in self._relays:
            relay.stop()
        self._sink.close()


def tick_publishers_at(
    context: CollectorContext, source: TickSource, names: TickNames
) -> list[TickPublisher]:
    """What brings ticks to the tick file of this folder, and to Redis where it is configured."""
    settings, provider = context.settings, context.provider
    sinks: list[tuple[TickSink, float]] = [(TickFile(settings.tick_file), FILE_PAUSE_SECONDS)]
    if settings.redis_url is not None:
        url, prefixed = settings.redis_url.get_secret_value(), RedisNames(settings.redis_prefix)
        sinks.append((StreamPublisher(url, prefixed), 0.0))
    return [
        TickPublisher(
            source,
            names,
            sink,
            source_name=provider.source_name,
            world=provider.world,
            pause=pause,
        )
        for sink, pause in sinks
    ]


def recorder_at(settings: Settings, now: datetime) -> MessageRecorder:
    """What records the messages of the feed, where that is wanted; days that are too old at *now*
    are removed. Without the setting nothing is recorded, and nothing removed."""
    days, folder = settings.feed_recording_days, settings.feed_folder
    if days == 0:
        return NoRecorder()
    try:
        prune_recordings(folder, now.astimezone(IST).date() - timedelta(days=days))
    except OSError as problem:
        log.warning("feed_recordings_not_removed", extra={"problem": str(problem)})
    # Parquet takes a quarter of a second to load, and 30 MB.
    from data_fetch.archive.feed_recordings import recorder_in

    return recorder_in(folder, reserved=RESERVED_BYTES)


def sentinels_on(store: Store, day: date) -> Mapping[str, Sentinel]:
    """What shows on *day* whether prices come: indices, and the nearest future of Nifty where the
    master lists one. Raises StoreUnreachable."""
    with store.reading() as connection:
        future = nearest_future(connection, [FUTURE_ON], day)
    if future is None:
        return SENTINELS
    return {**SENTINELS, future.live_key: Sentinel(future.symbol, FUTURES_AND_OPTIONS)}


def feeds_at(
    context: CollectorContext,
    universe: Universe,
    calendar: MarketCalendar,
    listeners: Collection[SlotListener],
) -> list[FeedService]:
    """The feed, where it is enabled. *listeners* get the quotes that it fills."""
    settings, provider, store = context.settings, context.provider, context.store
    if not settings.has_feed:
        return []
    now = provider.clock.now()
    sentinels = sentinels_on(store, now.astimezone(IST).date())
    options = ListedOptions(store)
    symbols = {each.live_key: each.symbol for each in universe.members}
    names = TickNames(symbols, options.contracts, sentinels)
    feed = UpstoxFeed(
        AuthorisedDoor(provider.api),
        base_url=provider.base_url,
        clock=provider.clock,
        calendar=lambda: calendar,
        sentinels=sentinels,
        recorder=recorder_at(settings, now),
    )
    polling = Polling(settings, store, universe.members)
    members = Members.as_of(universe.members, now)
    prices = FeedPrices(
        members=members,
        calendar=calendar,
        latest=feed.board.latest,
        contracts=options.listed,
        repository=LivePrices(store, context.guard),
    )
    return [
        FeedService(
            feed=feed,
            planner=FeedPlanner(
                sentinels=list(sentinels),
                universe=universe.members,
                polled=lambda: polling.poll_targets().polled,
                options=options.on,
                limits=FEED_LIMITS,
            ),
            quotes=FeedQuotes(
                members=members,
                calendar=calendar,
                repository=QuoteStore(store, context.guard),
                clock=provider.clock,
                listeners=listeners,
            ),
            prices=prices,
            repository=FeedStore(store, context.guard),
            clock=provider.clock,
            name_of=names.name_of,
            followers=[
                PriceRefresher(prices, provider.clock),
                *tick_publishers_at(context, feed.board, names),
            ],
        )
    ]
