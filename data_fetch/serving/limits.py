"""Rate limits: requests of one key, account or address in a moving window.

In memory; where other machines reach the server and REDIS_URL is set, in Redis, so that several
servers count together.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from math import ceil
from urllib.parse import urlsplit

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import MovingWindowSupport, RedisStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from data_fetch.core.clock import SystemClock, stopwatch
from data_fetch.core.settings import Settings
from data_fetch.serving.problems import Refusal

log = logging.getLogger(__name__)

LOCAL_A_MINUTE, REMOTE_A_MINUTE = 60_000, 600
LOCAL_REGISTRATIONS, REMOTE_REGISTRATIONS = 1_000, 20
# A token a day is usual; each may cost the provider a request.
NOTIFICATIONS_A_MINUTE = 10
MOST_SUBJECTS = 20_000
REDIS_PORT = 6379
REDIS_TIMEOUT_SECONDS = 0.25
# How long Redis is left alone after it failed.
REDIS_PAUSE_SECONDS = 5.0
Header = tuple[bytes, bytes]


class MemoryWindows(Storage, MovingWindowSupport):
    """The instants of the requests of each subject, in this process.

    The library's own storage starts a thread for each subject at every request, and has no limit
    on their number: an address costs a sender of IPv6 nothing.
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._windows: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now, window = stopwatch(), self._window(key, expiry)
        if len(window) + amount > limit:
            return False
        window.extend([now] * amount)
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        window = self._window(key, expiry)
        return (window[0] if window else stopwatch()), len(window)

    # Of fixed windows, which the library's base class wants and this server never counts.
    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("only moving windows are counted")

    async def get(self, key: str) -> int:
        return len(self._windows.get(key, ()))

    async def get_expiry(self, key: str) -> float:
        raise NotImplementedError("only moving windows are counted")

    async def check(self) -> bool:
        return True

    async def reset(self) -> int | None:
        forgotten = len(self._windows)
        self._windows.clear()
        return forgotten

    async def clear(self, key: str) -> None:
        self._windows.pop(key, None)

    def _window(self, key: str, expiry: int) -> deque[float]:
        """The requests of *key* that still count."""
        window = self._windows.setdefault(key, deque())
        self._windows.move_to_end(key)
        if len(self._windows) > MOST_SUBJECTS:
            self._windows.popitem(last=False)
        ended = stopwatch() - expiry
        while window and window[0] <= ended:
            window.popleft()
        return window


@dataclass(frozen=True, slots=True)
class Counting:
    """A way to count, and the present time on the clock that it counts by, in seconds."""

    limiter: MovingWindowRateLimiter
    seconds: Callable[[], float]


class Limits:
    """The limits of one server."""

    def __init__(self, settings: Settings) -> None:
        local = settings.on_loopback
        usual = LOCAL_A_MINUTE if local else REMOTE_A_MINUTE
        amount = usual if settings.api_rate_limit is None else settings.api_rate_limit
        self._requests = RateLimitItemPerMinute(amount) if amount else None
        self._registrations = RateLimitItemPerHour(
            LOCAL_REGISTRATIONS if local else REMOTE_REGISTRATIONS
        )
        self._notifications = RateLimitItemPerMinute(NOTIFICATIONS_A_MINUTE)
        self._memory = Counting(MovingWindowRateLimiter(MemoryWindows()), stopwatch)
        self._shared = None if local or settings.redis_url is None else _in_redis(settings)
        self._shared_from = 0.0
        self._apart = False

    async def admit(self, subject: str) -> list[Header]:
        """Count a request of *subject*; the headers that say how many it has left.

        Raises Refusal when it has none.
        """
        if self._requests is None:
            return []
        return await self._count(self._requests, "requests", subject)

    async def admit_registration(self, address: str) -> None:
        """Count a registration from *address*. Raises Refusal when it has none left."""
        await self._count(self._registrations, "registrations", address)

    async def admit_notification(self) -> None:
        """Count what is posted to the notifier, from wherever. Raises Refusal when there is too
        much of it."""
        await self._count(self._notifications, "notifications", "notifier")

    async def _count(self, item: RateLimitItem, policy: str, subject: str) -> list[Header]:
        if self._shared is not None and stopwatch() >= self._shared_from:
            try:
                headers = await _counted(self._shared, item, policy, subject)
            except StorageError as problem:
                self._pause(problem)
            else:
                self._apart = False
                return headers
        return await _counted(self._memory, item, policy, subject)

    def _pause(self, problem: StorageError) -> None:
        """Count in this process alone for a while."""
        if not self._apart:
            reason = type(problem.storage_error).__name__
            log.warning("limits_not_shared", extra={"problem": reason})
        self._apart = True
        self._shared_from = stopwatch() + REDIS_PAUSE_SECONDS


async def _counted(
    counting: Counting, item: RateLimitItem, policy: str, subject: str
) -> list[Header]:
    admitted = await counting.limiter.hit(item, policy, subject)
    until, left = await counting.limiter.get_window_stats(item, policy, subject)
    wait = max(1, ceil(until - counting.seconds()))
    headers = [
        (
            b"ratelimit-policy",
            b'"%b";q=%d;w=%d' % (policy.encode(), item.amount, item.get_expiry()),
        ),
        (b"ratelimit", b'"%b";r=%d;t=%d' % (policy.encode(), max(0, left), wait)),
    ]
    if admitted:
        return headers
    raise Refusal(
        HTTPStatus.TOO_MANY_REQUESTS,
        "rate_limited",
        f"more than {item.amount} {policy} in {timedelta(seconds=item.get_expiry())}",
        then=f"Wait for {wait} s. The headers RateLimit and RateLimit-Policy say what is left.",
        headers={
            "Retry-After": str(wait),
            **{name.decode(): value.decode() for name, value in headers},
        },
    )


def _in_redis(settings: Settings) -> Counting:
    assert settings.redis_url is not None
    url = urlsplit(settings.redis_url.get_secret_value())
    # The library knows neither the usual port nor sockets by their usual name.
    if url.hostname and url.port is None:
        url = url._replace(netloc=f"{url.netloc}:{REDIS_PORT}")
    storage = RedisStorage(
        f"async+{url.geturl()}".replace("+unix:", "+redis+unix:"),
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=f"limits:{settings.world}",
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )
    return Counting(MovingWindowRateLimiter(storage), lambda: SystemClock().now().timestamp())
