"""What a collector publishes in Redis, received by a server.

A subscription can die without an error. So each server publishes a beat every second on a channel
of its own, and listens to it: when it misses five, it subscribes again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import uuid4

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from data_fetch.core.clock import stopwatch
from data_fetch.publishing.redis_streams import CHAINS, OPTION_TICKS, PRICES, TICKS, RedisNames

BEAT_SECONDS = 1.0
MISSED_BEATS = 5
TIMEOUT_SECONDS = 1.0
PAUSE_SECONDS = 1.0


class RedisUpdates:
    """Listens to the Redis at *url*. For one event loop.

    *received* gets the channel (without prefix) and the JSON of each message. *back* is called
    when the subscription has proved to work, *away* with a sentence when it does no longer.
    """

    def __init__(
        self,
        url: str,
        names: RedisNames,
        *,
        received: Callable[[str, bytes], Awaitable[None]],
        back: Callable[[], Awaitable[None]],
        away: Callable[[str], None],
    ) -> None:
        self._url = url
        channels = (PRICES, CHAINS, TICKS, OPTION_TICKS)
        self._plain = {names.of(plain).encode(): plain for plain in channels}
        self._beats = names.of(f"stream:beat:{uuid4().hex}")
        self._received = received
        self._back = back
        self._away = away
        self.listening = False

    async def run(self) -> None:
        """Listen until cancelled, whatever happens to Redis."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as problem:
                self._lost(f"Redis does not answer ({type(problem).__name__})")
            except TimeoutError:
                self._lost(f"nothing came from Redis for {MISSED_BEATS} beats")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self) -> None:
        """One subscription. Raises TimeoutError when it is mute, RedisError, OSError."""
        async with _client(self._url, None) as client, client.pubsub() as subscription:
            await subscription.subscribe(self._beats, *self._plain)
            beating = asyncio.create_task(self._beat())
            try:
                await self._receive(subscription)
            finally:
                beating.cancel()

    async def _receive(self, subscription: redis.asyncio.client.PubSub) -> None:
        heard = stopwatch()
        while True:
            message = await subscription.get_message(
                ignore_subscribe_messages=True, timeout=BEAT_SECONDS
            )
            if message is None:
                pass
            elif (plain := self._plain.get(message["channel"])) is not None:
                await self._received(plain, message["data"])
            else:
                heard = stopwatch()
                if not self.listening:
                    self.listening = True
                    await self._back()
            if stopwatch() - heard > MISSED_BEATS * BEAT_SECONDS:
                raise TimeoutError

    async def _beat(self) -> None:
        """Publish beats, over a connection that is not the subscription's."""
        async with _client(self._url, TIMEOUT_SECONDS) as client:
            while True:
                # Missing beats say that it failed.
                with suppress(RedisError, OSError):
                    await client.publish(self._beats, b"")
                await asyncio.sleep(BEAT_SECONDS)

    def _lost(self, why: str) -> None:
        self.listening = False
        self._away(why)


def _client(url: str, read_seconds: float | None) -> redis.asyncio.Redis:
    # A subscription reads without a limit: for long there may be nothing to come.
    return redis.asyncio.Redis.from_url(
        url,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=read_seconds,
    )
