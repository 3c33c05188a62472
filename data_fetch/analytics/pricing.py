"""Undiscounted Black-76: the price of an option on a forward, in money of its expiry.

With x = abs(ln F/K), s = volatility * sqrt(years), a = x / s and t = s / 2, the side that is
out of the money is worth sqrt(F K) b (P. Jäckel, "Let's Be Rational", Wilmott 2015), where

    b = exp(-(a^2 + t^2) / 2) / 2 * (erfcx((a - t) / sqrt 2) - erfcx((a + t) / sqrt 2))

Unlike the difference of two normal distributions it loses no digits in the tails. The side that
is in the money follows by parity.

The generalised Black-Scholes price of an option on a spot S with cost of carry b and rate r
(E. G. Haug, "The Complete Guide to Option Pricing Formulas", 1998, p. 7) is this price on the
forward S exp(b T), discounted by exp(-r T).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_fetch.analytics.blocks import blockwise
from data_fetch.analytics.special import erfcx

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ROOT_HALF = np.sqrt(0.5)
# Used instead of a deviation of 0, which would give 0 / 0 at the money.
LEAST_DEVIATION = 1e-150


def black(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
) -> Floats:
    """The undiscounted price of each option; arguments broadcast.

    *years* to expiry and the yearly *volatility* (a fraction) may be 0: then it is the
    intrinsic value.
    """
    arguments = [np.asarray(one, float) for one in (forward, strike, years, volatility)]
    [price] = blockwise(_black, [float], [*arguments, np.asarray(is_call, bool)])
    return price


def intrinsic(forward: Floats, strike: Floats, is_call: Bools) -> Floats:
    """The value of exercise at the forward."""
    value: Floats = np.maximum((forward - strike) * (2.0 * is_call - 1.0), 0.0)
    return value


def _black(
    forward: Floats, strike: Floats, years: Floats, volatility: Floats, is_call: Bools
) -> tuple[Floats]:
    s = np.maximum(volatility * np.sqrt(years), LEAST_DEVIATION)
    a, t = np.abs(np.log(forward / strike)) / s, s / 2
    bell = np.sqrt(forward * strike) / 2 * np.exp((a * a + t * t) * -0.5)
    near, far = erfcx(np.abs(a - t) * ROOT_HALF), erfcx((a + t) * ROOT_HALF)
    # erfcx overflows for large negative arguments: there erfcx(-z) = 2 exp(z^2) - erfcx(z), and
    # the exponentials add up to the greatest value of the option.
    most = np.minimum(forward, strike)
    time_value = np.where(a > t, bell * (near - far), most - bell * (near + far))
    return (intrinsic(forward, strike, is_call) + time_value,)
