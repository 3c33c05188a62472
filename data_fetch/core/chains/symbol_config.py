"""Which option chains are polled: how many expiries of which underlying, and how often."""

from collections.abc import Iterable
from dataclasses import dataclass

from data_fetch.core.instruments.instrument import Instrument

INDEX_REFRESH_SECONDS = 30
STOCK_REFRESH_SECONDS = 180
DEFAULT_EXPIRIES = 1
# Strikes on each side of the money that are kept; None: all of them.
DEFAULT_STRIKES: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolConfig:
    """How the option chains of one underlying are polled.

    *expiries* counts from the nearest one; *strikes* is how many on each side of the money, None
    for all. Only *active* symbols are polled; a *pinned* one is put first in line, as indices are.
    """

    symbol: str
    instrument_key: str
    active: bool = True
    refresh_seconds: int = INDEX_REFRESH_SECONDS
    expiries: int = DEFAULT_EXPIRIES
    strikes: int | None = DEFAULT_STRIKES
    pinned: bool = False


def default_config(
    underlying: Instrument, refresh_seconds: int | None = None, *, pinned: bool = False
) -> SymbolConfig:
    """How an underlying is polled as long as nobody wants it otherwise."""
    usual = INDEX_REFRESH_SECONDS if underlying.segment == "NSE_INDEX" else STOCK_REFRESH_SECONDS
    return SymbolConfig(
        symbol=underlying.symbol,
        instrument_key=underlying.instrument_key,
        refresh_seconds=refresh_seconds or usual,
        pinned=pinned,
    )


def in_force(
    defaults: Iterable[SymbolConfig], decided: Iterable[SymbolConfig]
) -> list[SymbolConfig]:
    """The *defaults*, and over them what people *decided*: one config a symbol."""
    configs = {each.symbol: each for each in defaults} | {each.symbol: each for each in decided}
    return sorted(configs.values(), key=lambda each: (not each.pinned, each.symbol))
