"""Upstox's endpoints for candles: which one serves a day, and how many days a request may span."""

from collections.abc import Mapping
from datetime import date

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.request_planner import CandleEndpoint
from data_fetch.core.instruments.instrument import Instrument

# Both ends counted. The documentation names a month (31 days are accepted, 33 refused) and a
# decade (ten years with three leap days).
LONGEST_WINDOW: Mapping[CandleInterval, int] = {
    CandleInterval.MINUTE: 31,
    CandleInterval.DAY: 3653,
}

HISTORICAL = CandleEndpoint("historical", "candles", LONGEST_WINDOW)
INTRADAY = CandleEndpoint("intraday", "candles", LONGEST_WINDOW, is_final=False)
EXPIRED = CandleEndpoint("expired", "expired-candles", LONGEST_WINDOW, expired_contracts=True)


class UpstoxCandleEndpoints:
    """Chooses the endpoint of a day. An expired contract has one of its own."""

    endpoints = (HISTORICAL, INTRADAY, EXPIRED)

    def endpoint_for(self, instrument: Instrument, day: date, today: date) -> CandleEndpoint:
        """The endpoint that serves *day* of *instrument* when the date in India is *today*."""
        if instrument.expiry is not None and instrument.expiry < today:
            return EXPIRED
        return INTRADAY if day == today else HISTORICAL
