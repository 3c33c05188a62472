"""What the streaming feed has of today and no request has brought yet."""

from datetime import date, datetime
from typing import Literal

from data_fetch.serving.models.shared import Answer, DataAnswer


class LiveCandle(Answer):
    """A minute as the feed had it at `received_at`: prices in rupees, volume in shares.

    It is provisional: the stored candle of the minute, once there is one, replaces it. `is_whole`:
    a later minute of the instrument was seen; the last one may be running.
    """

    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    is_whole: bool
    is_final: Literal[False]
    source: Literal["feed"]
    received_at: datetime


class LiveCandlesAnswer(DataAnswer):
    """The minutes of today of which the feed has a candle and the store has none, oldest first."""

    symbol: str
    instrument_key: str
    count: int
    candles: list[LiveCandle]


class LiveLeg(Answer):
    """The newest tick of an option: rupees, shares, `iv` a fraction, the provider's greeks. Null is
    what the feed has not sent."""

    instrument_key: str
    strike: float
    option_type: Literal["CE", "PE"]
    ltp: float
    prev_close: float | None
    bid: float | None
    bid_qty: int | None
    ask: float | None
    ask_qty: int | None
    volume: int | None
    oi: int | None
    iv: float | None
    delta: float | None
    gamma: float | None
    theta: float | None
    vega: float | None
    rho: float | None
    traded_at: datetime | None
    received_at: datetime


class LiveChainAnswer(DataAnswer):
    """The options of one expiry that the feed has newer than the last stored snapshot of the chain,
    which was received at `snapshot`.

    They are those that the feed is subscribed to, near the money: no figure of a whole chain can be
    computed from them.
    """

    symbol: str
    expiry: date | None
    snapshot: datetime | None
    count: int
    legs: list[LiveLeg]
