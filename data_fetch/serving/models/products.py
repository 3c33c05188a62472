"""Products, their prices and option chains in shares, IV a fraction: family B."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from data_fetch.serving.models.shared import Answer, DataAnswer


class Products(DataAnswer):
    products: list[str] = Field(examples=[["NIFTY", "RELIANCE"]])


class Tick(Answer):
    """A quote of one minute: `timestamp` is the minute, `processed_at` when it was received,
    `tick_id` the minute in seconds since 1970."""

    product: str
    price: float
    timestamp: datetime
    tick_id: int
    processed_at: datetime


class Ticks(DataAnswer):
    product: str
    count: int
    ticks: list[Tick]


class ProductLeg(Answer):
    """An option. Quantities are shares, `iv` a fraction, theta per calendar day, vega per point of
    volatility. `reason` is why there is no volatility, `oi_reason` why quantities are null."""

    symbol: str = Field(examples=["NIFTY20260929C24000"])
    product: str
    strike: float
    expiry: date
    option_type: Literal["CALL", "PUT"]
    bid: float | None
    ask: float | None
    last: float | None
    volume: int | None
    open_interest: int | None
    delta: float | None
    gamma: float | None
    vega: float | None
    theta: float | None
    iv: float | None
    timestamp: datetime
    reason: str | None
    oi_reason: str | None


class ProductChain(Answer):
    """One snapshot. `atm_strike` is the strike nearest to the forward, `atm_strike_spot` to the
    spot. `unknown` has the reason of each figure that is null."""

    product: str
    expiry: date
    spot_price: float | None
    strikes: list[float]
    pcr_oi: float | None
    pcr_volume: float | None
    atm_strike: float | None
    atm_strike_spot: float | None
    atm_straddle_price: float | None
    max_pain_strike: float | None
    total_call_oi: int | None
    total_put_oi: int | None
    call_buildup_otm: int | None
    put_buildup_otm: int | None
    calls: list[ProductLeg]
    puts: list[ProductLeg]
    timestamp: datetime
    processed_at: datetime
    unit: Literal["shares"]
    source: str
    unknown: dict[str, str]


class ProductChains(DataAnswer):
    product: str
    count: int
    chains: list[ProductChain]


class Expiries(DataAnswer):
    product: str
    expiries: list[date]
