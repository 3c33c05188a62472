"""The configuration of polled option chains: underlyings, expiries, intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from data_fetch.core.instruments.instrument import Instrument

INDEX_REFRESH_SECONDS = 30
STOCK_REFRESH_SECONDS = 180
# The shortest and the longest interval that a user may set.
SOONEST_SECONDS, LATEST_SECONDS = 5, 3600
DEFAULT_EXPIRIES = 1
# Strikes on each side of the money that are stored; None: all of them.
DEFAULT_STRIKES: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolConfig:
    """How the option chains of one underlying are polled.

    *expiries* counts from the nearest one; *strikes* is the number on each side of the money,
    None for all. Only *active* symbols are polled; *pinned* ones have priority, as indices have.
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
    """The configuration of an underlying that the user has not configured."""
    usual = INDEX_REFRESH_SECONDS if underlying.segment == "NSE_INDEX" else STOCK_REFRESH_SECONDS
    return SymbolConfig(
        symbol=underlying.symbol,
        instrument_key=underlying.instrument_key,
        refresh_seconds=refresh_seconds or usual,
        pinned=pinned,
    )


def followed(
    decided: Iterable[SymbolConfig], instruments: Mapping[str, Instrument]
) -> list[SymbolConfig]:
    """The configurations *decided*, oldest first, under the present names of their underlyings.

    *instruments*: what each instrument key has become. Of several for one underlying, under a
    former and its present symbol, the newest is in force.
    """
    renamed: dict[str, SymbolConfig] = {}
    for each in decided:
        found = instruments.get(each.instrument_key)
        if found is not None:
            each = replace(each, symbol=found.symbol, instrument_key=found.instrument_key)
        renamed[each.symbol] = each
    return list(renamed.values())


def in_force(
    defaults: Iterable[SymbolConfig], decided: Iterable[SymbolConfig]
) -> list[SymbolConfig]:
    """The *defaults*, replaced by the user's own (*decided*): one configuration per symbol."""
    configs = {each.symbol: each for each in defaults} | {each.symbol: each for each in decided}
    return sorted(configs.values(), key=lambda each: (not each.pinned, each.symbol))
