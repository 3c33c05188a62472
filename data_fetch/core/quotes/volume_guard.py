"""Checks a quote's volume against the quotes before it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from data_fetch.core.quotes.quotes import Quote

# After so many lower volumes in a row the earlier, higher one is taken as wrong.
FALLS_TO_ACCEPT = 5


@dataclass(slots=True)
class _Known:
    day: date
    volume: int
    falls: int = 0


class VolumeGuard:
    """Stores each instrument's cumulative volume of the day, which can only grow."""

    def __init__(self, known: Iterable[tuple[date, Quote]] = ()) -> None:
        self._known = {
            quote.instrument_key: _Known(day, quote.volume)
            for day, quote in known
            if quote.volume is not None
        }

    def rejection(self, day: date, quote: Quote) -> str | None:
        """The reason to reject *quote*, or None; the volume of an accepted quote is stored."""
        if quote.volume is None:
            return None
        known = self._known.get(quote.instrument_key)
        if known is None or known.day != day or quote.volume >= known.volume:
            self._known[quote.instrument_key] = _Known(day, quote.volume)
            return None
        known.falls += 1
        if known.falls >= FALLS_TO_ACCEPT:
            self._known[quote.instrument_key] = _Known(day, quote.volume)
            return None
        return f"volume fell within the day, from {known.volume} to {quote.volume}"
