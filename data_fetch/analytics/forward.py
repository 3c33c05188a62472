"""The forward of an expiry, from put-call parity over several strikes.

At one strike K, call minus put is worth D (F - K), D being the discount factor. So each strike
with both prices implies a forward. One bad quote must not change the result, and quotes of far
strikes are too wide to be used.
"""

import numpy as np

from data_fetch.analytics.columns import Floats, StrikeColumns
from data_fetch.core.chains.valuation import Forward, ForwardMethod

# The money is the median of this many strikes where call and put have nearly the same price; this
# many strikes around it are used.
NEAREST, USED = 3, 9

UNKNOWN = Forward(value=None, method=None, strikes=0, spread=None)


def parity_forward(prices: StrikeColumns, widths: StrikeColumns, discount: float) -> Forward:
    """The median forward of the strikes around the money (rupees); UNKNOWN without any.

    *widths* are the uncertainty of each price (rupees): the median is weighted with their inverse.
    """
    difference = prices.call - prices.put
    both = np.isfinite(difference)
    if not both.any():
        return UNKNOWN
    strikes, difference = prices.strike[both], difference[both]
    implied = strikes + difference / discount
    at_the_money = np.median(implied[np.argsort(np.abs(difference), kind="stable")[:NEAREST]])
    used = np.argsort(np.abs(strikes - at_the_money), kind="stable")[:USED]
    weights = 1 / (widths.call + widths.put)[both][used]
    low, middle, high = weighted_quantiles(implied[used], weights, (0.25, 0.5, 0.75))
    if not middle > 0:
        return UNKNOWN
    method = ForwardMethod.PARITY if len(used) > 1 else ForwardMethod.PARITY_OF_ONE
    return Forward(value=middle, method=method, strikes=len(used), spread=(high - low) / 2)


def carried_spot(spot: float | None, rate: float, years: float) -> Forward:
    """The spot carried to the expiry at *rate* per year; UNKNOWN without a spot."""
    if spot is None:
        return UNKNOWN
    value = float(spot * np.exp(rate * years))
    return Forward(value=value, method=ForwardMethod.SPOT_CARRIED, strikes=0, spread=None)


def weighted_quantiles(values: Floats, weights: Floats, shares: tuple[float, ...]) -> list[float]:
    """The values at which the cumulated weight reaches each of *shares*, by linear interpolation.

    >>> weighted_quantiles(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0]), (0.5,))
    [2.0]
    """
    order = np.argsort(values, kind="stable")
    weight = weights[order]
    middles = (np.cumsum(weight) - weight / 2) / weight.sum()
    found: list[float] = np.interp(shares, middles, values[order]).tolist()
    return found
