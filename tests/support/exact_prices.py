"""Black-76 and generalised Black-Scholes to fifty digits, written as the textbooks write them."""

from mpmath import exp, log, mp, mpf, ncdf, sqrt

mp.dps = 50


def exact_black(forward: float, strike: float, years: float, volatility: float, call: bool) -> mpf:
    """The undiscounted price."""
    forward, strike, years, volatility = map(mpf, (forward, strike, years, volatility))
    s = volatility * sqrt(years)
    d1 = log(forward / strike) / s + s / 2
    side = 1 if call else -1
    return side * (forward * ncdf(side * d1) - strike * ncdf(side * (d1 - s)))


def exact_on_spot(
    spot: float,
    carry: float,
    strike: float,
    years: float,
    volatility: float,
    call: bool,
    rate: float,
) -> mpf:
    """The price today of an option on a spot with cost of carry."""
    forward = mpf(spot) * exp(mpf(carry) * years)
    return exp(-mpf(rate) * years) * exact_black(forward, strike, years, volatility, call)
