"""The record of one instrument."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from data_fetch.core.instruments.auction import NO_AUCTION_HISTORY, AuctionHistory
from data_fetch.core.world import PAPER_ISIN_PREFIX, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A stock, index or contract of the exchange.

    *instrument_key* is the provider's key: ``NSE_EQ|<ISIN>``, ``NSE_INDEX|Nifty 50``; a
    derivative contract has a dated key (``NSE_FO|98918|27-03-2025``), because the exchange
    reuses tokens. *live_key* is the provider's key of today. *cas_eligible*, whether it takes part
    in the closing auction, is of the newest master; *auction* has its past, as far as it is known.
    """

    instrument_key: str
    symbol: str
    segment: str
    instrument_type: str
    name: str = ""
    isin: str | None = None
    underlying_key: str | None = None
    underlying_symbol: str | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    lot_size: int | None = None
    tick_size: Decimal | None = None
    cas_eligible: bool = False
    live_key: str
    auction: AuctionHistory = field(default=NO_AUCTION_HISTORY, compare=False)

    @property
    def dated_key(self) -> str:
        """The provider's key of a contract once it has expired."""
        return self.live_key if self.expiry is None else f"{self.live_key}|{self.expiry:%d-%m-%Y}"

    @property
    def world(self) -> World:
        """PAPER for invented equities, which have an impossible ISIN; else LIVE."""
        key = self.underlying_key if self.segment == "NSE_FO" else self.instrument_key
        invented = (key or "").startswith(f"NSE_EQ|{PAPER_ISIN_PREFIX}")
        return World.PAPER if invented else World.LIVE

    def in_auction_on(self, day: date) -> bool:
        """Whether it takes part in the closing auction of *day*, if there is one."""
        known = self.auction.on(day)
        return self.cas_eligible if known is None else known

    def with_auction_days(self, shown: Mapping[date, bool]) -> "Instrument":
        """The instrument after its candles showed eligibility for these days."""
        return replace(self, auction=self.auction.with_candles(shown)) if shown else self
