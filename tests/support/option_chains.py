"""Chains for tests: priced off a smile that is known, and how to make single legs."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from math import erf, exp, log, sqrt
from typing import Any

from data_fetch.core.chains.chains import Chain, ChainLeg, ChainSource, OptionType, QuantityUnit
from data_fetch.core.clock import IST

EXPIRY = date(2026, 9, 29)
AT = datetime(2026, 9, 16, 11, 0, tzinfo=IST)
CALL, PUT = OptionType.CALL, OptionType.PUT


def leg(strike: float | str, side: OptionType, **told: Any) -> ChainLeg:
    return ChainLeg(strike=Decimal(str(strike)), option_type=side, **told)


def chain_of(legs: Sequence[ChainLeg], **told: Any) -> Chain:
    facts: dict[str, Any] = {
        "underlying": "NIFTY",
        "expiry": EXPIRY,
        "source": ChainSource.UPSTOX,
        "unit": QuantityUnit.SHARES,
        "spot": 24_000.0,
        "exchange_time": None,
    }
    ordered = sorted(legs, key=lambda one: one.key)
    return Chain(legs=tuple(ordered), **{**facts, **told})


def premium(
    side: OptionType, forward: float, strike: float, years: float, volatility: float, rate: float
) -> float:
    """Black-76, by the book."""
    spread = volatility * sqrt(years)
    d1 = log(forward / strike) / spread + spread / 2
    below: Callable[[float], float] = lambda x: (1 + erf(x / sqrt(2))) / 2  # noqa: E731
    call = forward * below(d1) - strike * below(d1 - spread)
    return exp(-rate * years) * (call if side is CALL else call - forward + strike)


def smile(strike: float) -> float:
    """A smile with a skew around 24,000."""
    away = log(strike / 24_000)
    return 0.13 - 0.3 * away + 2.0 * away**2


def smile_chain(
    *,
    forward: float,
    years: float,
    rate: float,
    strikes: Sequence[float] = tuple(range(22_500, 25_501, 100)),
    width: float = 0.1,
    **told: Any,
) -> Chain:
    """A chain whose book surrounds the exact premiums of `smile`, traded at them."""
    legs = []
    for strike in strikes:
        for side in (CALL, PUT):
            fair = premium(side, forward, strike, years, smile(strike), rate)
            book = {"bid": fair - width / 2, "ask": fair + width / 2}
            legs.append(leg(strike, side, ltp=fair, volume=100.0, oi=1000.0, **book))
    return chain_of(legs, **told)
