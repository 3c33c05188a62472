"""Fair values of contracts: Black-76 on a forward, with a fixed volatility smile.

The forward is the underlying's walk carried at `CARRY`; premiums are not discounted, as
in the provider's own figures. Volatility at strike K with T years to go, x = ln(K/F)/sqrt(T):
``atm * (1 - 0.25 x + 0.9 x^2)``, between 4 % and 200 %. A year has 365 days, and a contract
trades until derivatives close on its expiry day (`TradingDays.expires_at`), when its value is
its intrinsic value. Strikes, sides and instants may be scalars or arrays.
"""

from dataclasses import dataclass
from math import erfc, exp, sqrt

import numpy as np

from data_fetch.paper_exchange.market.contracts import Contract
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.seeded_random import Bools, Floats, Ints, uniform

CARRY = 0.06
SKEW, CURVE = -0.25, 0.9
MIN_IV, MAX_IV = 0.04, 2.0
YEAR_SECONDS = 365 * 86_400
DAYS_A_YEAR = 365
# The formula is undefined with no time left.
MIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Greeks:
    """Greeks at one instant or many: *iv* a fraction, *theta* per day, *vega* per point.

    *rho* is per point of the carry, which moves the forward; premiums are not discounted.
    """

    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats
    iv: Floats
    pop: Floats


def forward(spot: Floats, years: Floats) -> Floats:
    carried: Floats = spot * np.exp(CARRY * years)
    return carried


def years_left(expires_at: int, at: float | Ints) -> Floats:
    """Years from epoch seconds to the expiry instant, at least one second."""
    left: Floats = np.maximum(expires_at - np.asarray(at), MIN_SECONDS) / YEAR_SECONDS
    return left


def at_the_money_iv(underlying: Listing) -> float:
    if underlying.isin is None:
        return 0.10 + 0.06 * uniform("iv", underlying.symbol)
    return 0.18 + 0.20 * uniform("iv", underlying.symbol)


def smile(underlying: Listing, strike: float | Floats, forwards: Floats, years: Floats) -> Floats:
    x = np.log(strike / forwards) / np.sqrt(years)
    shaped = at_the_money_iv(underlying) * (1 + SKEW * x + CURVE * x**2)
    clipped: Floats = np.clip(shaped, MIN_IV, MAX_IV)
    return clipped


def premium(
    underlying: Listing, strike: float | Floats, call: bool | Bools, spot: Floats, years: Floats
) -> Floats:
    """The value of an option, undiscounted; of a put where *call* is false."""
    forwards, side = forward(spot, years), _side(call)
    iv = smile(underlying, strike, forwards, years)
    d1, d2 = _distances(forwards, strike, iv, years)
    value: Floats = side * (forwards * _normal(side * d1) - strike * _normal(side * d2))
    return np.maximum(value, 0.0)


def greeks(
    underlying: Listing, strike: float | Floats, call: bool | Bools, spot: Floats, years: Floats
) -> Greeks:
    """Black-76 Greeks of an option on the forward, at constant volatility."""
    forwards, side = forward(spot, years), _side(call)
    iv = smile(underlying, strike, forwards, years)
    d1, d2 = _distances(forwards, strike, iv, years)
    density = np.exp(-(d1**2) / 2) / sqrt(2 * np.pi)
    delta = side * _normal(side * d1)
    return Greeks(
        delta=delta,
        gamma=density / (forwards * iv * np.sqrt(years)),
        theta=-forwards * density * iv / (2 * np.sqrt(years)) / DAYS_A_YEAR,
        vega=forwards * density * np.sqrt(years) / 100,
        rho=delta * forwards * years / 100,
        iv=iv,
        pop=_normal(side * d2),
    )


def _side(call: bool | Bools) -> Floats:
    """1 for calls and -1 for puts."""
    return np.where(call, 1.0, -1.0)


def _distances(
    forwards: Floats, strike: float | Floats, iv: Floats, years: Floats
) -> tuple[Floats, Floats]:
    """Black-76's d1 and d2."""
    spread = iv * np.sqrt(years)
    d1 = np.log(forwards / strike) / spread + spread / 2
    return d1, d1 - spread


def relative_activity(contract: Contract, level: float) -> float:
    """Trading activity relative to the future's, which is 1; lower away from the money."""
    if contract.kind == "FUT":
        return 1.0
    away = abs(contract.strike / level - 1) / (2.5 * at_the_money_iv(contract.underlying) / 10)
    return 0.5 * exp(-away) * (0.5 + uniform("interest", contract.token))


def _normal(x: Floats) -> Floats:
    # NumPy has no error function, and an approximation would change the last digits.
    below: Floats = np.array([*map(erfc, (x / -sqrt(2)).tolist())]) / 2
    return below
