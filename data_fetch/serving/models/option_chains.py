"""Option chains in contracts, IV in percent: family A."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_fetch.core.chains.chains import OptionType
from data_fetch.serving.models.shared import Answer, DataAnswer

Kind = Literal["CE", "PE"]


class Entry(Answer):
    """A leg. Quantities are contracts but those of the book, which are as the source sends them;
    `pchange_in_oi`, `pchange` and volatilities are percent; prices rupees.

    `implied_volatility` is our own; `implied_volatility_reason` is why it is null, `oi_reason`
    why quantities are.
    """

    symbol: str
    type: Kind
    strike_price: float
    expiry_date: str = Field(examples=["29-Sep-2026"])
    identifier: str = Field(examples=["NIFTY_CE_24000_29-Sep-2026"])
    fetched_at: datetime
    open_interest: float | None
    change_in_oi: float | None
    pchange_in_oi: float | None
    last_price: float | None
    change: float | None
    pchange: float | None
    total_traded_volume: float | None
    implied_volatility: float | None
    bid_qty: int | None
    bid_price: float | None
    ask_price: float | None
    ask_qty: int | None
    underlying_value: float | None
    implied_volatility_source: Literal["own"]
    provider_implied_volatility: float | None
    implied_volatility_reason: str | None
    oi_reason: str | None


class OptionChain(DataAnswer):
    """One snapshot. The totals count all legs, `calls` and `puts` may be cut."""

    symbol: str
    underlying_value: float | None
    timestamp: datetime
    total_calls: int
    total_puts: int
    calls: list[Entry]
    puts: list[Entry]
    expiry_date: str = Field(examples=["29-Sep-2026"])


class Enveloped(DataAnswer):
    """The envelope; `timestamp` is the instant of the answer."""

    success: bool
    message: str
    timestamp: datetime


class StrikePrices(Answer):
    symbol: str
    option_type: Literal["CE", "PE", "ALL"]
    strike_prices: list[float]
    total_strikes: int


class StrikesAnswer(Enveloped):
    data: StrikePrices


class ExpiryDates(Answer):
    symbol: str
    expiry_dates: list[str] = Field(examples=[["29-Sep-2026"]])
    total_expiry_dates: int


class ExpiryDatesAnswer(Enveloped):
    data: ExpiryDates


class FilterRequest(BaseModel):
    """Conditions on legs, all optional. Both ends of the strikes are included."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    symbol: str | None = Field(default=None, examples=["NIFTY"])
    option_type: OptionType | None = None
    strike_price_min: float | None = Field(default=None, ge=0, le=1e9)
    strike_price_max: float | None = Field(default=None, ge=0, le=1e9)
    expiry_date: str | None = Field(default=None, examples=["29-Sep-2026"])
    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)

    @model_validator(mode="after")
    def _in_order(self) -> "FilterRequest":
        low, high = self.strike_price_min, self.strike_price_max
        if low is not None and high is not None and low > high:
            raise ValueError("strike_price_min is above strike_price_max")
        return self


class FilterParams(Answer):
    """The conditions of a filter with its defaults."""

    symbol: str | None
    option_type: Kind | None
    strike_price_min: float | None
    strike_price_max: float | None
    expiry_date: str | None
    limit: int
    offset: int


class FilteredRecords(Answer):
    """`total_records` counts the records of this answer, not all that meet the conditions."""

    total_records: int
    filter_params: FilterParams
    records: list[Entry]


class FilterAnswer(Enveloped):
    """`next_filter` is the body to post to `next` for the following records."""

    data: FilteredRecords
    next_filter: FilterParams | None
