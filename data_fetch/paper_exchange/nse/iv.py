"""The implied volatility that NSE's website prints next to an option's last price.

Its convention, measured on captured responses: Black-Scholes on the spot, 10 % interest, no
dividend, calendar time to 15:30 on the expiry day over 365, from the last price; 0 where no
volatility gives that price. The paper market itself is priced with another smile.
"""

from datetime import date, time
from math import erfc, sqrt

import numpy as np

from data_fetch.paper_exchange.market.days import epoch
from data_fetch.paper_exchange.market.seeded_random import Bools, Floats

RATE = 0.10
# The website still uses the old close, although derivatives trade until 15:40 now.
EXPIRES_AT = time(15, 30)
YEAR_SECONDS = 365 * 86_400
MIN_IV, MAX_IV = 0.001, 5.0
TOLERANCE = 1e-6
MAX_STEPS = 60


def printed_volatility(
    spot: float, strikes: Floats, calls: Bools, prices: Floats, expiry: date, at: float
) -> Floats:
    """Volatility in percent with two decimals, per option; 0 where it cannot be computed."""
    years = (epoch(expiry, EXPIRES_AT) - at) / YEAR_SECONDS
    if years <= 0:
        return np.zeros(len(strikes))
    side = np.where(calls, 1.0, -1.0)
    low, high = np.full(len(strikes), MIN_IV), np.full(len(strikes), MAX_IV)
    lowest, _ = _black_scholes(spot, strikes, side, low, years)
    highest, _ = _black_scholes(spot, strikes, side, high, years)
    found = np.full(len(strikes), 0.2)
    for _ in range(MAX_STEPS):
        value, slope = _black_scholes(spot, strikes, side, found, years)
        above = value > prices
        low, high = np.where(above, low, found), np.where(above, found, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            newton = found - (value - prices) / slope
        # Newton's step where it is within the bounds, else bisection.
        inside = (newton > low) & (newton < high)
        following = np.where(inside, newton, (low + high) / 2)
        moved = np.abs(following - found).max()
        found = following
        if moved < TOLERANCE:
            break
    computable = (prices > lowest) & (prices < highest)
    return np.where(computable, np.round(found * 100, 2), 0.0)


def _black_scholes(
    spot: float, strikes: Floats, side: Floats, volatility: Floats, years: float
) -> tuple[Floats, Floats]:
    """The Black-Scholes value on the spot, and its derivative by volatility."""
    spread = volatility * sqrt(years)
    d1 = (np.log(spot / strikes) + RATE * years) / spread + spread / 2
    discounted_strike = strikes * np.exp(-RATE * years)
    value = side * (spot * _normal(side * d1) - discounted_strike * _normal(side * (d1 - spread)))
    slope = spot * sqrt(years) * np.exp(-(d1**2) / 2) / sqrt(2 * np.pi)
    return value, slope


def _normal(x: Floats) -> Floats:
    below: Floats = np.array([*map(erfc, (x / -sqrt(2)).tolist())]) / 2
    return below
