"""Stocks and indices listed on the paper exchange.

A listing depends on its symbol alone, so it is the same whichever symbols are served with
it. Stocks carry ISINs that cannot exist, so none can be mistaken for a real share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    INDEX,
    INDIA_VIX,
    OTHER_STOCK,
    TradingGroup,
)
from data_fetch.core.world import PAPER_ISIN_PREFIX
from data_fetch.paper_exchange.market.seeded_random import fingerprint, uniform

LOT_VALUE = 700_000
LOWEST_BASE, HIGHEST_BASE = 60.0, 12_000.0
CRORE = 1e7


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A stock or an index.

    *base* is the price it moves around (rupees), *daily* its daily volatility as a fraction,
    *turnover* its traded value on an ordinary day (rupees, 0 for an index). *lot_size* and
    *strike_step* are 0 for a stock without derivatives.
    """

    symbol: str
    name: str
    key: str
    segment: str
    series: str = "EQ"
    isin: str | None = None
    group: TradingGroup
    base: float
    daily: float
    turnover: float = 0.0
    lot_size: int = 0
    strike_step: float = 0.0
    weekly: bool = False

    @property
    def label(self) -> str:
        """The name in quote responses (reference, section 6.1)."""
        return self.key.replace("|", ":") if self.isin is None else f"{self.segment}:{self.symbol}"

    @property
    def exchange_token(self) -> str:
        return str(fingerprint("token", self.symbol) % 900_000 + 100_000)

    @property
    def has_derivatives(self) -> bool:
        return self.lot_size > 0


def _index(
    symbol: str, name: str, base: float, lot_size: int, step: float, *, weekly: bool = False
) -> Listing:
    return Listing(
        symbol=symbol,
        name=name,
        key=f"NSE_INDEX|{name}",
        segment="NSE_INDEX",
        series="INDEX",
        group=INDEX,
        base=base,
        daily=0.006,
        lot_size=lot_size,
        strike_step=step,
        weekly=weekly,
    )


# Lot sizes and approximate levels of 2026; nothing else is taken from the real market.
INDICES = (
    _index("NIFTY", "Nifty 50", 24_500, 65, 50, weekly=True),
    _index("BANKNIFTY", "Nifty Bank", 55_000, 30, 100),
    _index("FINNIFTY", "Nifty Fin Service", 26_000, 60, 50),
    _index("MIDCPNIFTY", "NIFTY MID SELECT", 13_000, 120, 25),
    _index("NIFTYNXT50", "Nifty Next 50", 68_000, 25, 100),
    _index("NIFTYFPI", "Nifty FPI 150", 1_350, 1_100, 10),
)
INDIA_VIX_INDEX = Listing(
    symbol="INDIA VIX",
    name="India VIX",
    key="NSE_INDEX|India VIX",
    segment="NSE_INDEX",
    series="INDEX",
    group=INDIA_VIX,
    base=14.0,
    daily=0.02,
)

DEFAULT_SYMBOLS = (
    *(index.symbol for index in INDICES),
    *("AXISBANK", "BAJAJ-AUTO", "BHARTIARTL", "HDFCBANK", "ICICIBANK", "IDEA", "INFY", "ITC"),
    *("LT", "M&M", "MARUTI", "NTPC", "RELIANCE", "SBIN", "SUNPHARMA", "TATASTEEL", "TCS"),
)

# Shares without derivatives: two of the main board, one trade-for-trade, one of the SME board.
OTHER_SHARES = (("PAPERMILL", "EQ"), ("INKWELL", "EQ"), ("QUILLPEN", "BE"), ("BLOTTER", "SM"))


def listings_for(symbols: Sequence[str]) -> tuple[Listing, ...]:
    """The F&O underlyings in *symbols*, India VIX, and a few shares without derivatives."""
    indices = {index.symbol: index for index in INDICES}
    # An instrument key names a real instrument, and no stock is invented for it.
    plain = [symbol for symbol in dict.fromkeys(symbols) if "|" not in symbol]
    named = [indices.get(symbol) or _stock(symbol) for symbol in plain]
    others = [_other_share(symbol, series) for symbol, series in OTHER_SHARES]
    return (*named, INDIA_VIX_INDEX, *others)


def paper_isin(symbol: str) -> str:
    """An ISIN of twelve characters whose country code does not exist."""
    return f"{PAPER_ISIN_PREFIX}{fingerprint('isin', symbol) % 10**9:09d}"


def _stock(symbol: str) -> Listing:
    base = _base_price(symbol)
    return Listing(
        symbol=symbol,
        name=f"{symbol} PAPER LIMITED",
        key=f"NSE_EQ|{paper_isin(symbol)}",
        segment="NSE_EQ",
        isin=paper_isin(symbol),
        group=F_AND_O_STOCK,
        base=base,
        daily=0.009 + 0.008 * uniform("volatility", symbol),
        turnover=CRORE * exp(log(40) + log(50) * uniform("turnover", symbol)),
        lot_size=max(25, round(LOT_VALUE / base / 25) * 25),
        strike_step=_round_step(base * 0.02),
    )


def _other_share(symbol: str, series: str) -> Listing:
    return Listing(
        symbol=symbol,
        name=f"{symbol} PAPER LIMITED",
        key=f"NSE_EQ|{paper_isin(symbol)}",
        segment="NSE_EQ",
        series=series,
        isin=paper_isin(symbol),
        group=OTHER_STOCK,
        base=_base_price(symbol),
        daily=0.02,
        turnover=CRORE * (1 + 9 * uniform("turnover", symbol)),
    )


def _base_price(symbol: str) -> float:
    return LOWEST_BASE * exp(log(HIGHEST_BASE / LOWEST_BASE) * uniform("price", symbol))


def _round_step(target: float) -> float:
    """The exchange's strike step nearest to *target*."""
    steps = (1, 2.5, 5, 10, 20, 50, 100, 200, 250)
    return min(steps, key=lambda step: abs(log(step / target)))
