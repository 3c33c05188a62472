"""Open, high, low and close of each product's prices in windows of some minutes, as they come."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

WINDOW_MINUTES = (1, 5, 15)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Window:
    start: datetime
    open: float
    high: float
    low: float
    close: float
    prices: int = 1

    def add(self, price: float) -> None:
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.close = price
        self.prices += 1


class PriceWindows:
    """The present window of each product and length."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, int], _Window] = {}

    def add(self, product: str, price: float, at: datetime) -> dict[int, dict[str, Any]]:
        """Add a price that was received at *at*; the windows that have it, by minutes.

        A price from before a window that has begun is left out of it.
        """
        return {
            minutes: _document(product, minutes, self._added(product, minutes, price, at))
            for minutes in WINDOW_MINUTES
        }

    def _added(self, product: str, minutes: int, price: float, at: datetime) -> _Window:
        length = timedelta(minutes=minutes)
        start = at - (at - EPOCH) % length
        window = self._windows.get((product, minutes))
        if window is None or window.start < start:
            window = self._windows[product, minutes] = _Window(start, price, price, price, price)
        elif window.start == start:
            window.add(price)
        return window


def _document(product: str, minutes: int, window: _Window) -> dict[str, Any]:
    return {
        "product": product,
        "window_minutes": minutes,
        "open": window.open,
        "high": window.high,
        "low": window.low,
        "close": window.close,
        "start_time": window.start,
        "end_time": window.start + timedelta(minutes=minutes),
        "num_ticks": window.prices,
    }
