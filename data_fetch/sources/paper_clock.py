"""The paper market's time, asked of the paper exchange about once a second.

In the paper world the exchange's clock is the product's clock: the market is open whenever
somebody starts it, and a restart goes on where the market stopped.
"""

from datetime import datetime, timedelta
from urllib.parse import urljoin

import orjson
import urllib3

from data_fetch.core.clock import ScaledClock, stopwatch
from data_fetch.core.errors import Unreachable

CLOCK_PATH = "/paper/clock"
ASK_EVERY_SECONDS = 1.0
# Less than this is the time the answer took; following it would make the clock step back.
TOLERATED_SECONDS = 0.5
TIMEOUT = urllib3.Timeout(connect=2, read=2)


def ask_paper_clock(url: str) -> tuple[datetime, float]:
    """The exchange's instant (aware) and its speed in seconds to the second.

    Raises Unreachable when nothing at *url* answers like a paper exchange.
    """
    try:
        answer = urllib3.request(
            "GET", urljoin(url, CLOCK_PATH), timeout=TIMEOUT, retries=False, redirect=False
        )
        told = orjson.loads(answer.data)
        return datetime.fromisoformat(told["now"]), float(told["speed"])
    except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError) as problem:
        raise Unreachable(
            f"no paper exchange answers at {url} ({type(problem).__name__})",
            then="Start one with `data-fetch paper-exchange`, or unset UPSTOX_BASE_URL.",
        ) from problem


class PaperClock(ScaledClock):
    """Runs by itself between answers; follows the exchange when it leaps or is set."""

    def __init__(self, url: str) -> None:
        now, speed = ask_paper_clock(url)
        super().__init__(now, speed)
        self._url = url
        self._asked = stopwatch()

    def now(self) -> datetime:
        if stopwatch() - self._asked >= ASK_EVERY_SECONDS:
            self._asked = stopwatch()
            self._follow()
        return super().now()

    def _follow(self) -> None:
        try:
            told, _ = ask_paper_clock(self._url)
        except Unreachable:
            # The requests that follow will say so; time goes on as it did.
            return
        if abs(told - super().now()) > timedelta(seconds=TOLERATED_SECONDS * self.speed):
            self.set(told)
