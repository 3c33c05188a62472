"""The streams of one server: its hub, what feeds it, and what clients ask of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import orjson

from data_fetch.core.chains.contract_names import Contract
from data_fetch.core.clock import stopwatch, utc_text
from data_fetch.core.errors import DataFetchError, UnknownSymbol
from data_fetch.core.settings import Settings
from data_fetch.publishing.redis_streams import (
    CHAINS,
    OPTION_TICKS,
    PRICES,
    TICKS,
    RedisNames,
)
from data_fetch.publishing.redis_updates import RedisUpdates
from data_fetch.publishing.stream_hub import MOST_ROOMS, NOT_ADMITTED, Client, StreamHub
from data_fetch.publishing.stream_messages import (
    GENERAL,
    Update,
    is_chain_room,
    is_tick_room,
    message,
)
from data_fetch.publishing.stream_updates import (
    option_tick_updates,
    price_update,
    tick_updates,
)
from data_fetch.publishing.tick_file_updates import LOOK_SECONDS, TickFileUpdates
from data_fetch.reading.stream_products import contract_known, product_named
from data_fetch.serving.server import Server
from data_fetch.serving.streams.access import holder_of, unavailable
from data_fetch.serving.streams.requests import Rejected, RoomRequest, room_request
from data_fetch.serving.streams.store_feed import StoreFeed
from data_fetch.serving.viewers import NOTHING

log = logging.getLogger(__name__)

FOLLOW_SECONDS, FOLLOW_SECONDS_BESIDE_REDIS = 0.5, 2.0
TICK_SECONDS = 0.25
BEAT_SECONDS = 5.0
# A client whose credential has ended may go on so long.
ADMISSION_SECONDS = 30.0
# So many clients are written to before other work has its turn.
CLIENTS_AT_ONCE = 200
MOST_SYMBOLS_REMEMBERED = 5_000
FAULT, FAULT_SENTENCE = "streams", "streams had a fault: its log says which"
# Ticks are not stored: there are none of some minutes ago.
LIVE_ONLY = "Ticks are live only, and this account sees older data: subscribe to the product."
NO_FEED = (
    "This server knows of no feed. Where `data-fetch run` works in the same folder, set "
    "FEED_ENABLED=true for both; else also REDIS_URL for both. Prices of slots come without: "
    "subscribe to the product."
)
NOT_OURS = "published_by_another_program"
# Names of troubles.
REDIS, OTHER_WORLD = "streams from Redis", "another world in Redis"
OTHER_WORLD_SENTENCE = (
    "Redis has updates of the other world too: give one of the two a REDIS_PREFIX"
)


class Streams:
    """Serves the updates of a server's store, *delay* after they were due, to the clients that
    doors bring.

    *hub* has the counters. Updates come within `running`; delayed ones since the first client.
    """

    def __init__(self, server: Server, delay: timedelta = NOTHING) -> None:
        self.server = server
        self.hub = StreamHub(self._present)
        self._delay = delay
        self._follows = not delay
        self._store = StoreFeed(server, delay)
        # What is published is new.
        self._redis = None if delay else self._updates_from_redis(server.settings)
        self._tick_file = None if delay else self._ticks_from_file(server.settings)
        # Why there are no ticks.
        self._no_ticks = self._why_no_ticks()
        # How the documents of a channel are sent.
        self._updates_of: dict[str, Callable[[dict[str, Any]], list[Update]]] = {
            PRICES: lambda document: [price_update(document)],
            CHAINS: self._store.of_chain,
            TICKS: tick_updates,
            OPTION_TICKS: option_tick_updates,
        }
        self._credentials: dict[Client, str] = {}
        # What the symbols of products that clients have named stand for.
        self._named: dict[str, str | Rejected] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the store until the end."""
        loops = [
            asyncio.create_task(self._repeat(do, each))
            for do, each in (
                (self._follow_for_clients, self._follow_seconds),
                (self._tick, lambda: TICK_SECONDS),
                (self._beat, lambda: BEAT_SECONDS),
                (self._admit_again, lambda: ADMISSION_SECONDS),
            )
        ]
        if self._redis is not None:
            loops.append(asyncio.create_task(self._redis.run()))
        if self._tick_file is not None:
            looks = self._repeat(self._tick_file.look, lambda: LOOK_SECONDS)
            loops.append(asyncio.create_task(looks))
        try:
            yield
        finally:
            for each in loops:
                each.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def connected(self, client: Client, credential: str | None) -> None:
        """A door brings *client*, which was admitted by *credential*, if that was needed."""
        if credential is not None:
            self._credentials[client] = credential
        if not self._follows:
            self._follows = True
            await self._follow()
        self.hub.connect(client, stopwatch())
        await self._flush()

    def disconnected(self, client: Client) -> None:
        """The connection of *client* has ended."""
        self._credentials.pop(client, None)
        self.hub.disconnect(client)

    async def received(self, client: Client, event: object, data: Any) -> None:
        """*client* has sent *event* with *data*; the answer goes to it alone."""
        try:
            await self._serve(client, event, data)
        except Rejected as rejected:
            await self.reject(client, rejected)
        except DataFetchError as problem:
            await self.reject(client, self._unavailable(problem))
        else:
            await self._flush()

    def _unavailable(self, problem: DataFetchError) -> Rejected:
        if self._delay:
            return unavailable(problem)
        return Rejected("service_unavailable", problem.message)

    async def reject(self, client: Client, rejected: Rejected) -> None:
        """Send *client* why its message is not served."""
        self._answer(client, "error", rejected.document())
        await self._flush()

    async def publish(self, *updates: Update) -> None:
        """Send *updates* to whom they concern, those that are news. What waits for a client is
        written at once."""
        for each in updates:
            self.hub.publish(each, stopwatch())
        await self._flush()

    async def _serve(self, client: Client, event: object, data: Any) -> None:
        match event:
            case "subscribe":
                await self._subscribe(client, data)
            case "unsubscribe":
                await self._unsubscribe(client, data)
            case "get_products":
                listed = await self._store.products()
                self._answer(client, "products", {"products": listed})
            case _:
                raise Rejected(
                    "unknown_event", "Events are subscribe, unsubscribe and get_products."
                )

    async def _subscribe(self, client: Client, data: Any) -> None:
        request = room_request(data)
        room = GENERAL
        if request.symbol is not None:
            room = await self._room(request, request.symbol)
        if is_tick_room(room) and self._no_ticks is not None:
            raise Rejected("no_ticks", self._no_ticks)
        if room not in client.rooms and len(client.rooms) >= MOST_ROOMS:
            raise Rejected("too_many_rooms", f"A client may be in {MOST_ROOMS} rooms.")
        await self._fill(room)
        self.hub.join(client, room, request.since, stopwatch())

    async def _unsubscribe(self, client: Client, data: Any) -> None:
        request = room_request(data)
        if request.symbol is None:
            raise Rejected("unknown_type", "Every client is in the room general.")
        room = request.named_room
        if room not in client.rooms:
            # It may have been named in another way.
            room = await self._room(request, request.symbol)
        self.hub.leave(client, room, stopwatch())

    async def _fill(self, room: str) -> None:
        """See that the newest values of *room* are there to be sent."""
        if is_chain_room(room) and not self.hub.wants(room):
            self.hub.open(room, stopwatch())
            await self._follow()

    async def _room(self, request: RoomRequest, symbol: str) -> str:
        """The room of *symbol* that *request* names. Raises Rejected."""
        if request.contract is None:
            return request.room(await self._product(symbol))
        return request.room(await self._contract(request.contract))

    async def _contract(self, contract: Contract) -> str:
        """The present name of *contract*. Raises Rejected."""
        # It is asked for each time: contracts are listed, and expire, every day.
        find = partial(contract_known, self.server.settings, contract)
        try:
            return (await self._store.read(find)).name
        except UnknownSymbol as problem:
            raise Rejected("unknown_symbol", problem.message, problem.near) from None

    async def _product(self, symbol: str) -> str:
        """The product that *symbol* names. Raises Rejected."""
        known = self._named.get(symbol)
        if known is None:
            try:
                known = await self._store.read(partial(product_named, self.server.settings, symbol))
            except UnknownSymbol as problem:
                known = Rejected("unknown_symbol", problem.message, problem.near)
            if len(self._named) >= MOST_SYMBOLS_REMEMBERED:
                self._named.clear()
            self._named[symbol] = known
        if isinstance(known, Rejected):
            raise Rejected(known.code, known.message, known.near)
        return known

    async def _follow_for_clients(self) -> None:
        if self._follows:
            await self._follow()

    async def _follow(self) -> None:
        """Publish what has changed in the store."""
        updates = await self._store.updates(self.hub.followed_chains())
        self.hub.general = self._store.general
        try:
            await self.publish(*updates)
        except BaseException:
            # Also when it is cancelled: these updates are noted as seen, and were not all sent.
            self._store.start_over()
            raise

    async def _repeat(
        self, do: Callable[[], Awaitable[None]], seconds: Callable[[], float]
    ) -> None:
        while True:
            try:
                await do()
            except Exception:
                # Any exception: a server that went on without this work would be mute.
                log.exception("stream_work_failed", extra={"work": do.__name__})
                self.server.troubles.begin(FAULT, FAULT_SENTENCE)
            await asyncio.sleep(seconds())

    def _follow_seconds(self) -> float:
        """The pause between looks into the store: longer while changes come from Redis too."""
        listening = self._redis is not None and self._redis.listening
        return FOLLOW_SECONDS_BESIDE_REDIS if listening else FOLLOW_SECONDS

    def _updates_from_redis(self, settings: Settings) -> RedisUpdates | None:
        if settings.redis_url is None:
            return None
        return RedisUpdates(
            settings.redis_url.get_secret_value(),
            RedisNames(settings.redis_prefix),
            received=self._published,
            back=self._redis_is_back,
            away=self._redis_is_away,
        )

    def _ticks_from_file(self, settings: Settings) -> TickFileUpdates | None:
        if settings.redis_url is not None or not settings.has_feed:
            return None
        return TickFileUpdates(settings.tick_file, self._document_published)

    def _why_no_ticks(self) -> str | None:
        if self._delay:
            return LIVE_ONLY
        return NO_FEED if self._redis is None and self._tick_file is None else None

    async def _published(self, channel: str, body: bytes) -> None:
        """Send on what a collector has published in Redis."""
        try:
            document = orjson.loads(body)
        except ValueError:
            log.warning(NOT_OURS, extra={"channel": channel})
        else:
            await self._document_published(channel, document)

    async def _document_published(self, channel: str, document: Any) -> None:
        """Send on what a collector has published."""
        try:
            if document["world"] != self.server.settings.world:
                self.server.troubles.begin(OTHER_WORLD, OTHER_WORLD_SENTENCE)
                return
            updates = self._updates_of[channel](document)
        except (ValueError, TypeError, LookupError):
            log.warning(NOT_OURS, extra={"channel": channel})
            return
        await self.publish(
            *(each for each in updates if not is_chain_room(each.room) or self.hub.wants(each.room))
        )

    async def _redis_is_back(self) -> None:
        self.server.troubles.end(REDIS)
        # What was published meanwhile is not published again.
        await self._store.look_again()
        await self._follow()

    def _redis_is_away(self, why: str) -> None:
        self.server.troubles.begin(REDIS, f"{why}: streams follow the store")

    async def _tick(self) -> None:
        self.hub.tick(stopwatch())
        await self._flush()

    async def _beat(self) -> None:
        facts = {"market": self._store.market(), "degraded": self.server.troubles.degraded}
        self.hub.beat(facts, stopwatch())
        await self._flush()

    async def _admit_again(self) -> None:
        """Disconnect those whose token has expired, whose key or account was closed, or who may
        see newer or only older data now."""
        for client, credential in list(self._credentials.items()):
            try:
                viewer = await holder_of(self.server.authentication, credential)
                if viewer.delay != self._delay:
                    self.hub.drop(client, NOT_ADMITTED)
            except Rejected:
                self.hub.drop(client, NOT_ADMITTED)
            except DataFetchError:
                # Without its store it is not known; at the next time perhaps.
                return

    async def _flush(self) -> None:
        """Write what waits to the clients that take it."""
        for number, client in enumerate(self.hub.woken(), 1):
            client.wake()
            if number % CLIENTS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _answer(self, client: Client, event: str, document: dict[str, Any]) -> None:
        self.hub.send(client, message(event, document), stopwatch())

    def _present(self) -> str | None:
        now = self._store.now()
        return None if now is None else utc_text(now)
