"""Live prices for tests: a minute and an option of RELIANCE or of another underlying."""

from datetime import date, datetime
from decimal import Decimal

from data_fetch.core.feed.live_prices import FeedCandle, FeedLeg
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import BestPrices, Detail, Greeks, Tick, ms_of_instant
from data_fetch.core.instruments.instrument import Instrument


def live_candle(
    of: Instrument, start: datetime, received_at: datetime, close: float = 1500.5
) -> FeedCandle:
    return FeedCandle(
        instrument_key=of.instrument_key,
        start=start,
        open=1500.0,
        high=1502.0,
        low=1499.0,
        close=close,
        volume=70,
        is_whole=True,
        received_at=received_at,
    )


def live_leg(of: Instrument, strike: int, expiry: date, received_at: datetime) -> FeedLeg:
    key = f"NSE_FO|{strike}{expiry:%d}"
    detail = Detail(
        volume=500,
        open_interest=7500,
        iv=0.145,
        greeks=Greeks(0.5, -3.0, 0.001, 2.0, 0.1),
        best=BestPrices(99.5, 50, 100.5, None),
        bars=None,
    )
    sent = ms_of_instant(received_at)
    return FeedLeg(
        contract=Instrument(
            instrument_key=f"{key}|{expiry:%d-%m-%Y}",
            live_key=key,
            symbol=f"{of.symbol} {strike} CE",
            segment="NSE_FO",
            instrument_type="CE",
            underlying_key=of.instrument_key,
            expiry=expiry,
            strike=Decimal(strike),
        ),
        tick=Tick(
            key, Mode.OPTION_GREEKS, 100.0, sent, None, 95.0, received_at, received_at, detail
        ),
    )
