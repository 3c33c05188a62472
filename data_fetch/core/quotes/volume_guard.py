"""Whether a quote can be believed beside the ones before it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from data_fetch.core.quotes.quotes import Quote

# After so many falls in a row it was the earlier, higher figure that was wrong.
FALLS_TO_BELIEVE = 5


@dataclass(slots=True)
class _Known:
    day: date
    volume: int
    falls: int = 0


class VolumeGuard:
    """Remembers each instrument's cumulative volume of the day, which can only grow."""

    def __init__(self, known: Iterable[tuple[date, Quote]] = ()) -> None:
        self._known = {quote.instrument_key: _Known(day, quote.volume) for day, quote in known}

    def rejection(self, day: date, quote: Quote) -> str | None:
        """Why *quote* cannot be stored, or None; a quote without objection is remembered."""
        known = self._known.get(quote.instrument_key)
        if known is None or known.day != day or quote.volume >= known.volume:
            self._known[quote.instrument_key] = _Known(day, quote.volume)
            return None
        known.falls += 1
        if known.falls >= FALLS_TO_BELIEVE:
            self._known[quote.instrument_key] = _Known(day, quote.volume)
            return None
        return f"volume fell within the day, from {known.volume} to {quote.volume}"
