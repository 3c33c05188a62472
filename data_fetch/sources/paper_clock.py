"""The paper market's time, asked of the paper exchange about once a second.

In the paper world the exchange's clock is the product's clock: the market is open whenever
somebody starts it, and a restart goes on where the market stopped.
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
import urllib3

from data_fetch.core.clock import ScaledClock, stopwatch
from data_fetch.core.errors import Unreachable

CLOCK_PATH = "/paper/clock"
ASK_EVERY_SECONDS = 1.0
# Less than this is the time the answer took; following it would make the clock step back.
TOLERATED_SECONDS = 0.5
FIRST_ANSWER_SECONDS = 10.0
# Whoever looks at the clock may hold a lock or a transaction meanwhile.
LATER_ANSWER_SECONDS = 0.5
# Longer than a collector takes to start; the market runs on when one is killed meanwhile.
LONGEST_START_SECONDS = 60.0


def ask_paper_clock(
    url: str,
    answer_seconds: float = FIRST_ANSWER_SECONDS,
    order: Mapping[str, Any] | None = None,
) -> tuple[datetime, float]:
    """The exchange's instant (aware) and its speed in seconds to the second, 0 if it stands.

    With an *order* the exchange changes its clock first, if its clock can be changed.
    Raises Unreachable when nothing at *url* answers like a paper exchange in time.
    """
    try:
        answer = urllib3.request(
            "GET" if order is None else "POST",
            urljoin(url, CLOCK_PATH),
            body=None if order is None else orjson.dumps(order),
            timeout=urllib3.Timeout(total=answer_seconds),
            retries=False,
            redirect=False,
        )
        told = orjson.loads(answer.data)
        now, speed = datetime.fromisoformat(told["now"]), float(told["speed"])
        if now.tzinfo is None or not 0 <= speed < inf:
            raise ValueError("no instant, or no speed")
        return now, speed
    except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError) as problem:
        raise Unreachable(
            f"no paper exchange answers at {url} ({type(problem).__name__})",
            hint="Start one with `data-fetch paper-exchange`, or unset UPSTOX_BASE_URL.",
        ) from problem


class PaperClock(ScaledClock):
    """Runs by itself between answers; follows the exchange when it leaps, is set or changes
    its speed. Whoever looks, there is at most one short question a second.
    """

    def __init__(self, url: str) -> None:
        now, speed = ask_paper_clock(url)
        super().__init__(now)
        self._heed(now, speed)
        self._url = url
        self._asking = Lock()
        self._asked = stopwatch()

    def now(self) -> datetime:
        # While one thread asks, the others go by what was told last.
        if stopwatch() - self._asked >= ASK_EVERY_SECONDS and self._asking.acquire(blocking=False):
            try:
                self._follow()
            finally:
                self._asked = stopwatch()
                self._asking.release()
        return self._reckoned()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the exchange's clock, so that no slot passes while a collector starts.

        An exchange whose clock cannot be paused runs on.
        """
        holder = uuid4().hex
        self._send({"pause": holder, "seconds": LONGEST_START_SECONDS})
        try:
            yield
        finally:
            self._send({"resume": holder})

    def _send(self, order: Mapping[str, Any]) -> None:
        # Not beside a question: its older answer would be followed afterwards.
        with self._asking:
            try:
                now, speed = ask_paper_clock(self._url, FIRST_ANSWER_SECONDS, order)
            except Unreachable:
                return
            self._heed(now, speed)
            self._asked = stopwatch()

    def _follow(self) -> None:
        try:
            told, speed = ask_paper_clock(self._url, LATER_ANSWER_SECONDS)
        except Unreachable:
            # The requests that follow will say so; time goes on as it did.
            return
        strayed = abs(told - self._reckoned())
        if speed != self._pace or strayed > timedelta(seconds=TOLERATED_SECONDS * speed):
            self._heed(told, speed)

    def _heed(self, now: datetime, speed: float) -> None:
        with self._lock:
            self._anchor = (now.astimezone(UTC), stopwatch())
            self._pace = speed
            # What divides by the speed waits real seconds for a market that stands still.
            self.speed = speed or 1.0

    def _reckoned(self) -> datetime:
        with self._lock:
            told, since = self._anchor
            return told + timedelta(seconds=(stopwatch() - since) * self._pace)
