"""The paper market's time, requested from the paper exchange about once a second.

In the paper world the exchange's clock is the product's clock: the market is open whenever it is
started, and a restart continues where the market stopped.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import inf
from threading import Lock
from typing import Any
from urllib.parse import urljoin
from uuid import uuid4

import orjson

from data_fetch.core.clock import ScaledClock, stopwatch
from data_fetch.core.errors import Unreachable, WrongWorld
from data_fetch.core.world import World
from data_fetch.sources.transport.world_check import WorldCheck

CLOCK_PATH = "/paper/clock"
WORLD = WorldCheck(World.PAPER, "UPSTOX_BASE_URL")
POLL_SECONDS = 1.0
# A smaller difference is the time of the request; following it would make the clock step back.
TOLERATED_DRIFT_SECONDS = 0.5
FIRST_TIMEOUT_SECONDS = 10.0
# A caller of `now` may have a lock or a transaction open meanwhile.
LATER_TIMEOUT_SECONDS = 0.5
# Longer than a collector takes to start; the market runs on when one is killed meanwhile.
LONGEST_START_SECONDS = 60.0


def fetch_paper_clock(
    url: str,
    timeout_seconds: float = FIRST_TIMEOUT_SECONDS,
    order: Mapping[str, Any] | None = None,
) -> tuple[datetime, float]:
    """The exchange's instant (UTC) and its speed in seconds to the second, 0 if it stands.

    With an *order* the exchange changes its clock first, if its clock can be changed.
    Raises Unreachable when nothing usable responds at *url* in time, WrongWorld when something
    else than a paper exchange does.
    """
    # It takes as long to import as some queries, and no live market is read here.
    import urllib3

    try:
        response = urllib3.request(
            "GET" if order is None else "POST",
            urljoin(url, CLOCK_PATH),
            body=None if order is None else orjson.dumps(order),
            timeout=urllib3.Timeout(total=timeout_seconds),
            retries=False,
            redirect=False,
        )
    except urllib3.exceptions.HTTPError as problem:
        raise _unreachable(url, problem) from problem
    WORLD.check(url, response.headers)
    return read_paper_clock(response.data, url)


def read_paper_clock(body: bytes, url: str) -> tuple[datetime, float]:
    """The instant (UTC) and the speed in a response of *url*. Raises Unreachable."""
    try:
        state = orjson.loads(body)
        now, speed = datetime.fromisoformat(state["now"]), float(state["speed"])
        if now.tzinfo is None or not 0 <= speed < inf:
            raise ValueError("no instant, or no speed")
        return now.astimezone(UTC), speed
    except (ValueError, KeyError, TypeError, OverflowError) as problem:
        raise _unreachable(url, problem) from problem


def _unreachable(url: str, problem: Exception) -> Unreachable:
    return Unreachable(
        f"no paper exchange responds at {url} ({type(problem).__name__})",
        hint="Start one with `data-fetch paper-exchange`, or unset UPSTOX_BASE_URL.",
    )


class PaperClock(ScaledClock):
    """Runs by itself between requests; follows the exchange when it leaps, is set or changes its
    speed. Sends at most one short request a second, whatever the number of callers.
    """

    def __init__(self, url: str) -> None:
        now, speed = fetch_paper_clock(url)
        super().__init__(now)
        self._synchronise(now, speed)
        self._url = url
        self._polling = Lock()
        self._polled_at = stopwatch()

    def now(self) -> datetime:
        # While one thread sends a request, the others use the last response.
        if stopwatch() - self._polled_at >= POLL_SECONDS and self._polling.acquire(blocking=False):
            try:
                self._follow()
            finally:
                self._polled_at = stopwatch()
                self._polling.release()
        return self._running_time()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the exchange's clock, so that no slot passes while a collector starts.

        An exchange whose clock cannot be paused runs on.
        """
        pause_id = uuid4().hex
        self._send({"pause": pause_id, "seconds": LONGEST_START_SECONDS})
        try:
            yield
        finally:
            self._send({"resume": pause_id})

    def _send(self, order: Mapping[str, Any]) -> None:
        # Not beside another request: its older response would be applied afterwards.
        with self._polling:
            try:
                now, speed = fetch_paper_clock(self._url, FIRST_TIMEOUT_SECONDS, order)
            except (Unreachable, WrongWorld):
                return
            self._synchronise(now, speed)
            self._polled_at = stopwatch()

    def _follow(self) -> None:
        try:
            now, speed = fetch_paper_clock(self._url, LATER_TIMEOUT_SECONDS)
        except (Unreachable, WrongWorld):
            # The requests that follow will fail; time runs on as before.
            return
        drift = abs(now - self._running_time())
        if speed != self._pace or drift > timedelta(seconds=TOLERATED_DRIFT_SECONDS * speed):
            self._synchronise(now, speed)

    def _synchronise(self, now: datetime, speed: float) -> None:
        with self._lock:
            self._anchor = (now, stopwatch())
            self._pace = speed
            # Divisions by the speed wait real seconds while the market stands still.
            self.speed = speed or 1.0

    def _running_time(self) -> datetime:
        with self._lock:
            at, since = self._anchor
            return at + timedelta(seconds=(stopwatch() - since) * self._pace)
