"""Implied volatility of undiscounted prices, for whole arrays at once.

After P. Jäckel, "Let's Be Rational" (Wilmott 2015): the time value is that of the side that is
out of the money, divided by sqrt(F K), and the unknown is s = volatility * sqrt(years). Two
steps of the fourth order on the logarithm of the price bring nearly every option to the
precision of its price. The others are recognised by the size of their last step; they are solved
inside a bracket, so that every option that has a volatility gets one.

Words: *distance* is abs(ln F/K), *value* the time value over sqrt(F K), *deviation* is s.
"""

from dataclasses import dataclass
from enum import IntEnum
from itertools import cycle

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_fetch.analytics.blocks import blockwise
from data_fetch.analytics.pricing import ROOT_HALF, Bools, Floats, intrinsic
from data_fetch.analytics.special import erfcx

Codes = NDArray[np.int8]

# A fourth-order step of this relative size leaves an error of about its fourth power.
SMALL_STEP = 1e-4
# A bracket of this relative width contains only a few doubles.
CLOSED = 1e-15
# At this deviation every price is the greatest one in doubles, and erfcx is still in their range.
MOST_DEVIATION = 64.0
# At the money the formulas divide 0 by 0; at this distance they do not.
LEAST_DISTANCE = 1e-100
# The least double above 0.
LEAST_VALUE = 5e-324
LOG_2, LOG_2_PI, ROOT_HALF_PI = np.log(2.0), np.log(2 * np.pi), np.sqrt(np.pi / 2)


class Unsolved(IntEnum):
    """Why a price has no implied volatility. Where it has one, the code is 0."""

    NOT_A_PRICE = 1
    BELOW_INTRINSIC = 2
    ABOVE_MAXIMUM = 3


@dataclass(frozen=True, slots=True)
class Implied:
    """*volatility* is a yearly fraction, NaN exactly where *unsolved* holds an `Unsolved`."""

    volatility: Floats
    unsolved: Codes


def implied_volatility(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    is_call: ArrayLike,
) -> Implied:
    """The volatility at which Black-76 gives each undiscounted *price*; arguments broadcast."""
    arguments = [np.asarray(one, float) for one in (price, forward, strike, years)]
    volatility, unsolved = blockwise(
        _implied, [float, np.int8], [*arguments, np.asarray(is_call, bool)]
    )
    return Implied(volatility, unsolved)


def _implied(
    price: Floats, forward: Floats, strike: Floats, years: Floats, is_call: Bools
) -> tuple[Floats, Codes]:
    time_value = price - intrinsic(forward, strike, is_call)
    unsolved = _reasons(price, time_value, forward, strike, years, is_call)
    solvable = unsolved == 0
    distance = np.maximum(np.abs(np.log(forward / strike)), LEAST_DISTANCE)
    value = np.maximum(time_value / np.sqrt(forward * strike), LEAST_VALUE)
    log_value = np.log(value)
    volatility = _deviation(distance, log_value, solvable) / np.sqrt(years)
    volatility[~solvable] = np.nan
    return volatility, unsolved


def _reasons(
    price: Floats,
    time_value: Floats,
    forward: Floats,
    strike: Floats,
    years: Floats,
    is_call: Bools,
) -> Codes:
    total = price + forward + strike + years
    valid = (price > 0) & (forward > 0) & (strike > 0) & (years > 0) & (total < np.inf)
    above = price >= np.where(is_call, forward, strike)
    unsolved = above * np.int8(Unsolved.ABOVE_MAXIMUM)
    unsolved[time_value <= 0] = Unsolved.BELOW_INTRINSIC
    unsolved[~valid] = Unsolved.NOT_A_PRICE
    return unsolved


def _deviation(distance: Floats, log_value: Floats, solvable: Bools) -> Floats:
    deviation = _first_guess(distance, log_value)
    deviation += _step(deviation, distance, log_value)[1]
    newton, step = _step(deviation, distance, log_value)
    # This comparison is false for NaN, so that NaN counts as not small.
    unsettled = np.flatnonzero(~(np.abs(newton) <= SMALL_STEP * deviation) & solvable)
    deviation += step
    if unsettled.size:
        deviation[unsettled] = _bracketed(distance[unsettled], log_value[unsettled])
    return deviation


def _first_guess(distance: Floats, log_value: Floats) -> Floats:
    """A first guess from the normal (Bachelier) model: within 10 % for deviations up to 3.

    There u = value / distance = phi(a)/a - N(-a), to be solved for a = distance / deviation.
    y = sqrt(ln(1 + 1 / (2 pi u^2))) approaches a at both ends; between them a rational function,
    fitted by least squares to 0.3 % for a from 0.001 to 38, corrects it. The last factor is the
    series of the inverse error function, which is Black's s over Bachelier's at the money.
    """
    inverse = (np.log(distance) - log_value) * 2 - LOG_2_PI
    # The logarithm of 1 + exp(inverse), where the exponential may exceed the range of doubles.
    y = np.sqrt(np.maximum(np.log1p(np.exp(np.minimum(inverse, 700.0))), inverse))
    above = 1 + y * (0.83444 + y * (-0.28514 + y * 0.29767))
    below = 1 + y * (2.1166 + y * (-0.20112 + y * 0.29697))
    normal = distance * below / (y * above)
    z = normal * normal / 24
    guess: Floats = normal * (1 + z * (1 + z * 2.1))
    return guess


def _step(deviation: Floats, distance: Floats, log_value: Floats) -> tuple[Floats, Floats]:
    """Newton's step towards *log_value*, and Householder's of the fourth order.

    With f = ln b: f' = r, f''/f' = c - r and f'''/f' = (c - r)(c - 2r) - 3 (a/s)^2 - 1/4, where
    c = (a^2 - t^2) / s is b''/b'. Jäckel's objective 1 / ln b gives the same step: methods of
    Householder's above Newton's are the same for f and f / (f + constant).
    """
    a, t = distance / deviation, deviation / 2
    difference = erfcx((a - t) * ROOT_HALF)
    difference -= erfcx((a + t) * ROOT_HALF)
    aa, tt = a * a, t * t
    log_b = np.log(difference) - LOG_2 - (aa + tt) / 2
    slope = 1 / (ROOT_HALF_PI * difference)
    newton = (log_value - log_b) / slope
    second = (aa - tt) / deviation - slope
    third = second * (second - slope) - 3 * aa / (deviation * deviation) - 0.25
    step = newton * (1 + second * newton / 2) / (1 + newton * (second + third * newton / 6))
    return newton, step


def _bracketed(distance: Floats, log_value: Floats) -> Floats:
    """The same steps inside a shrinking bracket: slow, and certain to converge.

    The bracket is halved where a step would leave it, and in every third round in any case.
    """
    found = np.empty_like(distance)
    rows = np.arange(distance.size)
    low, high = np.zeros_like(distance), np.full_like(distance, MOST_DEVIATION)
    deviation = np.minimum(np.sqrt(2 * distance), MOST_DEVIATION / 2)
    for halved in cycle((False, False, True)):
        newton, step = _step(deviation, distance, log_value)
        after = deviation + step
        small = np.abs(newton) <= SMALL_STEP * deviation
        settled = small | (high - low <= CLOSED * high)
        found[rows[settled]] = np.where(small, after, deviation)[settled]
        if settled.all():
            break
        # Below the smallest double that is not 0, Newton's step is NaN.
        too_small = ~(newton <= 0)
        low, high = np.where(too_small, deviation, low), np.where(too_small, high, deviation)
        inside = (low < after) & (after < high) & (not halved)
        deviation = np.where(inside, after, (low + high) / 2)
        going = ~settled
        rows, distance, log_value = rows[going], distance[going], log_value[going]
        low, high, deviation = low[going], high[going], deviation[going]
    return found
