"""The volatility that NSE's website prints beside an option's last price.

Its convention, measured on its own answers: plain Black-Scholes on the spot, 10 % interest, no
dividend, calendar time to 15:30 on the expiry day over 365, from the last price; 0 where no
volatility gives that price. It is not the smile that the paper market is priced with.
"""

from datetime import date, time
from math import erfc, sqrt

import numpy as np

from data_fetch.paper_exchange.market.chance import Bools, Floats
from data_fetch.paper_exchange.market.days import epoch

RATE = 0.10
# The website kept the old close when derivatives began to trade until 15:40.
EXPIRES_AT = time(15, 30)
YEAR_SECONDS = 365 * 86_400
LEAST, MOST = 0.001, 5.0
CLOSE_ENOUGH = 1e-6
MOST_STEPS = 60


def printed_volatility(
    spot: float, strikes: Floats, calls: Bools, prices: Floats, expiry: date, at: float
) -> Floats:
    """In percent, two digits, for every option; 0 where it cannot be computed."""
    years = (epoch(expiry, EXPIRES_AT) - at) / YEAR_SECONDS
    if years <= 0:
        return np.zeros(len(strikes))
    side = np.where(calls, 1.0, -1.0)
    low, high = np.full(len(strikes), LEAST), np.full(len(strikes), MOST)
    cheapest, _ = _worth(spot, strikes, side, low, years)
    dearest, _ = _worth(spot, strikes, side, high, years)
    found = np.full(len(strikes), 0.2)
    for _ in range(MOST_STEPS):
        worth, slope = _worth(spot, strikes, side, found, years)
        above = worth > prices
        low, high = np.where(above, low, found), np.where(above, found, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            newton = found - (worth - prices) / slope
        # Newton's step where it stays between the bounds, else half the way.
        inside = (newton > low) & (newton < high)
        following = np.where(inside, newton, (low + high) / 2)
        moved = np.abs(following - found).max()
        found = following
        if moved < CLOSE_ENOUGH:
            break
    computable = (prices > cheapest) & (prices < dearest)
    return np.where(computable, np.round(found * 100, 2), 0.0)


def _worth(
    spot: float, strikes: Floats, side: Floats, volatility: Floats, years: float
) -> tuple[Floats, Floats]:
    """Black-Scholes on the spot, and its slope in the volatility."""
    spread = volatility * sqrt(years)
    d1 = (np.log(spot / strikes) + RATE * years) / spread + spread / 2
    owed = strikes * np.exp(-RATE * years)
    worth = side * (spot * _normal(side * d1) - owed * _normal(side * (d1 - spread)))
    slope = spot * sqrt(years) * np.exp(-(d1**2) / 2) / sqrt(2 * np.pi)
    return worth, slope


def _normal(x: Floats) -> Floats:
    below: Floats = np.array([*map(erfc, (x / -sqrt(2)).tolist())]) / 2
    return below
