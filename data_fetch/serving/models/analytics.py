"""Figures of option chains: family B."""

from datetime import date, datetime
from typing import Literal

from data_fetch.serving.models.shared import Answer, DataAnswer


class PutCallRatio(Answer):
    """Puts to calls by open interest and by volume; null where unknown."""

    product: str
    expiry: date
    pcr_oi: float | None
    pcr_volume: float | None
    timestamp: datetime


class PutCallRatios(DataAnswer):
    """`latest` is one ratio when an expiry is named, else a list with one for each expiry.
    `history` is there when it is requested, newest first."""

    product: str
    latest: list[PutCallRatio] | PutCallRatio | None
    history: list[PutCallRatio] | None = None


class Smile(Answer):
    """The volatilities of one expiry by strike, as fractions; null where there is none. `ivs` are
    those of the side out of the money, or of the other one where that has none."""

    expiry: date
    strikes: list[float]
    ivs: list[float | None]
    call_ivs: list[float | None]
    put_ivs: list[float | None]
    avg_iv: float | None
    num_quotes: int


class VolatilitySurface(DataAnswer):
    product: str
    timestamp: datetime
    expiries: list[Smile]


class MaxPain(DataAnswer):
    """The strike at which the writers pay least. `distance_pct` is percent of the spot; `unknown`
    has the reason of each figure that is null."""

    product: str
    expiry: date
    max_pain_strike: float | None
    spot_price: float | None
    distance_from_spot: float | None
    distance_pct: float | None
    total_call_oi: int | None
    total_put_oi: int | None
    timestamp: datetime
    unknown: dict[str, str]


class OpenInterestByMoneyness(Answer):
    """In shares; at the money are strikes within one percent of the spot."""

    itm: int | None
    atm: int | None
    otm: int | None


class OpenInterestBuildUp(DataAnswer):
    product: str
    expiry: date
    spot_price: float | None
    call_buildup: OpenInterestByMoneyness
    put_buildup: OpenInterestByMoneyness
    interpretation: str | None
    timestamp: datetime
    unknown: dict[str, str]


class Ohlc(DataAnswer):
    """One bar (rupees) of the last minutes; `num_ticks` is the number of its minute candles."""

    product: str
    window_minutes: Literal[1, 5, 15]
    open: float
    high: float
    low: float
    close: float
    start_time: datetime
    end_time: datetime
    num_ticks: int
