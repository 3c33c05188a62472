"""The provider's request limits, enforced to the letter on the exchange's own clock."""

from collections import Counter, defaultdict, deque
from datetime import datetime, timedelta

from data_fetch.paper_exchange.wire import refuse

# Per API and user: sliding windows, all three at once (reference, section 13).
WINDOWS = (
    (timedelta(seconds=1), 50),
    (timedelta(minutes=1), 500),
    (timedelta(minutes=30), 2000),
)


class RateLimits:
    """Counts requests by arrival, API by API. A refused request takes no place."""

    def __init__(self) -> None:
        self._arrived: defaultdict[str, tuple[deque[datetime], ...]] = defaultdict(
            lambda: tuple(deque[datetime]() for _ in WINDOWS)
        )
        self.refused: Counter[str] = Counter()

    def admit(self, api: str, now: datetime) -> None:
        """Take a place in every window of *api*, or refuse with 429."""
        arrived = self._arrived[api]
        for (width, limit), window in zip(WINDOWS, arrived, strict=True):
            while window and window[0] <= now - width:
                window.popleft()
            # A clock that was set back must not leave requests of the future behind.
            while window and window[-1] > now:
                window.pop()
            if len(window) >= limit:
                self.refused[api] += 1
                raise refuse("UDAPI10005")
        for window in arrived:
            window.append(now)
