"""Bodies of answers in Redis for five minutes, so that of several servers one makes them.

Redis is optional. When it fails, nothing is found and nothing kept until it answers again, and a
request does not wait for it more than once a second.
"""

from collections.abc import Callable
from hashlib import blake2b

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from data_fetch.core.clock import stopwatch

LIFE_SECONDS = 300
# Making an answer anew takes less.
TIMEOUT_SECONDS = 0.25
PAUSE_SECONDS = 1.0


class KeptAnswers:
    """Bytes by key, among servers over the same store. For one event loop.

    *away* is called with a sentence when Redis fails, *back* when it answers again.
    """

    def __init__(
        self, url: str, store: str, away: Callable[[str], None], back: Callable[[], None]
    ) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._prefix = f"answers:{blake2b(store.encode(), digest_size=6).hexdigest()}:"
        self._away, self._back = away, back
        self._failed_at: float | None = None

    async def get(self, key: str) -> bytes | None:
        """The bytes of *key*; None when there are none, or Redis is away."""
        if self._pauses():
            return None
        try:
            found = await self._redis.get(self._prefix + key)
        except (RedisError, OSError) as problem:
            self._fail(problem)
            return None
        self._succeed()
        return found if isinstance(found, bytes) else None

    async def put(self, key: str, value: bytes) -> None:
        """Keep *value* for five minutes."""
        if self._pauses():
            return
        try:
            await self._redis.set(self._prefix + key, value, ex=LIFE_SECONDS)
        except (RedisError, OSError) as problem:
            self._fail(problem)

    async def close(self) -> None:
        await self._redis.aclose()

    def _pauses(self) -> bool:
        return self._failed_at is not None and stopwatch() - self._failed_at < PAUSE_SECONDS

    def _fail(self, problem: Exception) -> None:
        self._failed_at = stopwatch()
        self._away(f"Redis does not answer ({type(problem).__name__})")

    def _succeed(self) -> None:
        if self._failed_at is not None:
            self._failed_at = None
            self._back()
