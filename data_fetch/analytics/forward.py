"""The forward of an expiry, from put-call parity over several strikes.

At one strike K, call minus put is worth D (F - K), D being the discount factor. Each strike
quoted on both sides so names a forward; one bad quote must not move the answer, and far strikes
are quoted too widely to be asked.
"""

import numpy as np

from data_fetch.analytics.columns import Floats, StrikeColumns
from data_fetch.core.chains.valuation import Forward, ForwardMethod

# How many of the strikes where call and put are worth nearly the same say where the money is,
# and how many around it are asked.
NEAREST, ASKED = 3, 9

UNKNOWN = Forward(value=None, method=None, strikes=0, spread=None)


def parity_forward(prices: StrikeColumns, widths: StrikeColumns, discount: float) -> Forward:
    """The forward that the strikes around the money agree on (rupees); UNKNOWN without any.

    *widths* are how uncertain each price is (rupees): the median is weighted with their inverse.
    """
    difference = prices.call - prices.put
    both = np.isfinite(difference)
    if not both.any():
        return UNKNOWN
    strikes, difference = prices.strike[both], difference[both]
    named = strikes + difference / discount
    money = np.median(named[np.argsort(np.abs(difference), kind="stable")[:NEAREST]])
    asked = np.argsort(np.abs(strikes - money), kind="stable")[:ASKED]
    weights = 1 / (widths.call + widths.put)[both][asked]
    low, middle, high = weighted_quantiles(named[asked], weights, (0.25, 0.5, 0.75))
    if not middle > 0:
        return UNKNOWN
    method = ForwardMethod.PARITY if len(asked) > 1 else ForwardMethod.PARITY_OF_ONE
    return Forward(value=middle, method=method, strikes=len(asked), spread=(high - low) / 2)


def carried_spot(spot: float | None, rate: float, years: float) -> Forward:
    """The spot carried to the expiry at *rate* a year; UNKNOWN without a spot."""
    if spot is None:
        return UNKNOWN
    value = float(spot * np.exp(rate * years))
    return Forward(value=value, method=ForwardMethod.SPOT_CARRIED, strikes=0, spread=None)


def weighted_quantiles(values: Floats, weights: Floats, shares: tuple[float, ...]) -> list[float]:
    """Where the running weight passes each of *shares*, between the values on a straight line.

    >>> weighted_quantiles(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0]), (0.5,))
    [2.0]
    """
    order = np.argsort(values, kind="stable")
    weight = weights[order]
    middles = (np.cumsum(weight) - weight / 2) / weight.sum()
    found: list[float] = np.interp(shares, middles, values[order]).tolist()
    return found
