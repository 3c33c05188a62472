"""The provider's request limits, on the exchange's clock."""

from collections import Counter, defaultdict, deque
from datetime import datetime, timedelta

from data_fetch.paper_exchange.wire import api_error

# Sliding windows per API and user; all three apply (reference, section 13).
WINDOWS = (
    (timedelta(seconds=1), 50),
    (timedelta(minutes=1), 500),
    (timedelta(minutes=30), 2000),
)


class RateLimits:
    """Counts requests per API. A refused request does not count."""

    def __init__(self) -> None:
        self._arrivals: defaultdict[str, tuple[deque[datetime], ...]] = defaultdict(
            lambda: tuple(deque[datetime]() for _ in WINDOWS)
        )
        self.refused: Counter[str] = Counter()

    def admit(self, api: str, now: datetime) -> None:
        """Count a request in every window of *api*. Raises ApiError with 429 when one is full."""
        arrivals = self._arrivals[api]
        for (width, limit), window in zip(WINDOWS, arrivals, strict=True):
            while window and window[0] <= now - width:
                window.popleft()
            # Requests later than now are dropped: the clock was set back.
            while window and window[-1] > now:
                window.pop()
            if len(window) >= limit:
                self.refused[api] += 1
                raise api_error("UDAPI10005")
        for window in arrivals:
            window.append(now)
