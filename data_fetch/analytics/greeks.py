"""Delta, gamma, theta, vega and rho of options, computed together.

Two hedges: with the forward (Black-76) and with the spot (generalised Black-Scholes with cost
of carry b). Formulas: E. G. Haug, "The Complete Guide to Option Pricing Formulas" (1998), p. 7
and pp. 10-15. The `_sensitivities` are partial derivatives, per year and per unit; the `_greeks`
are the same in the platform's units. Arguments are arrays or numbers and broadcast.

An option whose price cannot change any more (no time left, no volatility, far out of the money)
has Greeks too: they are the limits, not NaN.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from data_fetch.analytics.blocks import blockwise
from data_fetch.analytics.pricing import LEAST_DEVIATION, Bools, Floats
from data_fetch.analytics.special import ndtr

DAYS_A_YEAR = 365
POINTS = 100
ROOT_2_PI = np.sqrt(2 * np.pi)


@dataclass(frozen=True, slots=True)
class Greeks:
    """The change of the price per unit of: the hedge's price (*delta*, *gamma*), elapsed time
    (*theta*), volatility (*vega*), the interest rate (*rho*).
    """

    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats


def forward_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike,
) -> Greeks:
    """Hedged with the forward: delta per rupee of it; theta per calendar day, vega per
    volatility point; rho per rate point with the forward constant.
    """
    return _in_units(forward_sensitivities(forward, strike, years, volatility, is_call, rate))


def spot_greeks(
    spot: ArrayLike,
    carry: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike,
) -> Greeks:
    """Hedged with the spot: delta per rupee of it; theta per calendar day, vega per volatility
    point; rho per rate point, the carry rising with the rate (its dividend part is constant).
    """
    return _in_units(spot_sensitivities(spot, carry, strike, years, volatility, is_call, rate))


def forward_sensitivities(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike,
) -> Greeks:
    """The partial derivatives of the discounted Black-76 price, per year and per unit."""
    numbers = [np.asarray(one, float) for one in (forward, strike, years, volatility, rate)]
    return Greeks(*blockwise(_forward, [float] * 5, [*numbers, np.asarray(is_call, bool)]))


def spot_sensitivities(
    spot: ArrayLike,
    carry: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike,
) -> Greeks:
    """The partial derivatives of the generalised Black-Scholes price, per year and per unit."""
    numbers = [np.asarray(one, float) for one in (spot, carry, strike, years, volatility, rate)]
    return Greeks(*blockwise(_spot, [float] * 5, [*numbers, np.asarray(is_call, bool)]))


def _in_units(plain: Greeks) -> Greeks:
    return Greeks(
        delta=plain.delta,
        gamma=plain.gamma,
        theta=np.asarray(plain.theta / DAYS_A_YEAR),
        vega=np.asarray(plain.vega / POINTS),
        rho=np.asarray(plain.rho / POINTS),
    )


Five = tuple[Floats, Floats, Floats, Floats, Floats]


@dataclass(frozen=True, slots=True)
class _Parts:
    """The terms that the Greeks have in common, discounted.

    The option is worth *asset* - *cash*, each with the option's sign; *bell* is the forward
    times the density at d1, *s* is volatility times *root*, the root of the years.
    """

    asset: Floats
    cash: Floats
    bell: Floats
    root: Floats
    s: Floats


def _parts(
    forward: Floats,
    strike: Floats,
    years: Floats,
    volatility: Floats,
    rate: Floats,
    is_call: Bools,
) -> _Parts:
    side = 2.0 * is_call - 1.0
    # At the money 0 / 0 would be NaN; with a value this small the result is the limit.
    root = np.maximum(np.sqrt(years), LEAST_DEVIATION)
    s = np.maximum(volatility * root, LEAST_DEVIATION)
    d1 = np.log(forward / strike) / s + s / 2
    discount = np.exp(-rate * years)
    signed = side * discount
    return _Parts(
        asset=signed * forward * ndtr(side * d1),
        cash=signed * strike * ndtr(side * (d1 - s)),
        bell=discount * forward * np.exp(d1 * d1 * -0.5) / ROOT_2_PI,
        root=root,
        s=s,
    )


def _forward(
    forward: Floats,
    strike: Floats,
    years: Floats,
    volatility: Floats,
    rate: Floats,
    is_call: Bools,
) -> Five:
    parts = _parts(forward, strike, years, volatility, rate, is_call)
    price = parts.asset - parts.cash
    return (
        parts.asset / forward,
        parts.bell / (forward * forward * parts.s),
        rate * price - parts.bell * volatility / (2 * parts.root),
        parts.bell * parts.root,
        -years * price,
    )


def _spot(
    spot: Floats,
    carry: Floats,
    strike: Floats,
    years: Floats,
    volatility: Floats,
    rate: Floats,
    is_call: Bools,
) -> Five:
    forward = spot * np.exp(carry * years)
    parts = _parts(forward, strike, years, volatility, rate, is_call)
    fading = parts.bell * volatility / (2 * parts.root)
    return (
        parts.asset / spot,
        parts.bell / (spot * spot * parts.s),
        (rate - carry) * parts.asset - rate * parts.cash - fading,
        parts.bell * parts.root,
        years * parts.cash,
    )
