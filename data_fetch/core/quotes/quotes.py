"""Last traded prices: as received, and as stored.

Prices are rupees, quantities and volumes units (shares), instants aware UTC. A record checks
its values when it is made.
"""

from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from data_fetch.core.batches import BatchResult
from data_fetch.core.errors import BadRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The last trade of one instrument in one response.

    *volume* is cumulative for the day, *ltq* the size of the last trade, *prev_close* the
    previous day's close; each is None when the provider does not send it, or sends what cannot be.
    """

    instrument_key: str
    last_price: float
    volume: int | None = None
    ltq: int | None = None
    prev_close: float | None = None

    def __post_init__(self) -> None:
        if not (isfinite(self.last_price) and self.last_price > 0):
            raise BadRecord(f"{self.instrument_key}: last price {self.last_price} cannot be")
        if self.volume is not None and self.volume < 0:
            raise BadRecord(f"{self.instrument_key}: volume {self.volume} cannot be")
        if self.prev_close is not None and not (isfinite(self.prev_close) and self.prev_close > 0):
            raise BadRecord(f"{self.instrument_key}: previous close {self.prev_close} cannot be")

    @property
    def change(self) -> float | None:
        """Rupees since the previous close."""
        return None if self.prev_close is None else _rounded(self.last_price - self.prev_close)

    @property
    def change_percent(self) -> float | None:
        """Percent since the previous close; None when that is too small to divide by."""
        if self.prev_close is None:
            return None
        return _rounded((self.last_price / self.prev_close - 1) * 100)


def _rounded(difference: float) -> float | None:
    return round(difference, 4) if isfinite(difference) else None


QuoteResponse = BatchResult[Quote]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredQuote:
    """A stored quote: one row of `ltp_data`, keyed by symbol and slot."""

    symbol: str
    slot: datetime
    quote: Quote
    off_session: bool
    received_at: datetime
    source: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """The range of one symbol's quotes over some slots, of which *slots* have a row.

    The volumes are None when no row has one.
    """

    slots: int
    lowest_price: float
    highest_price: float
    lowest_volume: int | None
    highest_volume: int | None

    def joined(self, other: "Movement") -> "Movement":
        """The movement over the slots of both."""
        ends = (
            *(self.lowest_volume, self.highest_volume),
            *(other.lowest_volume, other.highest_volume),
        )
        volumes = [volume for volume in ends if volume is not None]
        return Movement(
            slots=self.slots + other.slots,
            lowest_price=min(self.lowest_price, other.lowest_price),
            highest_price=max(self.highest_price, other.highest_price),
            lowest_volume=min(volumes, default=None),
            highest_volume=max(volumes, default=None),
        )

    @property
    def price_moved(self) -> bool:
        return self.lowest_price != self.highest_price

    @property
    def stood_still(self) -> bool:
        """Neither the price nor the cumulative volume changed."""
        return not self.price_moved and self.lowest_volume == self.highest_volume
