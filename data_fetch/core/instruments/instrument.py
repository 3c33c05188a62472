"""The record of one instrument."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from data_fetch.core.world import PAPER_ISIN_PREFIX, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A stock, index or contract of the exchange.

    *instrument_key* is the provider's key: ``NSE_EQ|<ISIN>``, ``NSE_INDEX|Nifty 50``; a
    derivative contract has a dated key (``NSE_FO|98918|27-03-2025``), because the exchange
    reuses tokens. *live_key* is the provider's key of today.
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

    @property
    def world(self) -> World:
        """PAPER for invented equities, which have an impossible ISIN; else LIVE."""
        key = self.underlying_key if self.segment == "NSE_FO" else self.instrument_key
        invented = (key or "").startswith(f"NSE_EQ|{PAPER_ISIN_PREFIX}")
        return World.PAPER if invented else World.LIVE
