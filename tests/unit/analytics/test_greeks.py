"""Greeks: compared with derivatives of fifty digits, at their limits, and with each other."""

from collections.abc import Callable
from dataclasses import astuple
from itertools import product

import numpy as np
import pytest
from exact_prices import exact_black, exact_on_spot
from hypothesis import given
from hypothesis import strategies as st
from mpmath import diff, exp, mpf

from data_fetch.analytics.greeks import (
    Greeks,
    forward_greeks,
    forward_sensitivities,
    spot_greeks,
    spot_sensitivities,
)

FIELDS = ("delta", "gamma", "theta", "vega", "rho")
RATE, DIVIDEND = 0.065, 0.012
CARRY = RATE - DIVIDEND
STRIKES = (15_000.0, 22_500.0, 24_000.0, 25_100.0, 40_000.0)
YEARS = (1 / 365, 0.1, 1.5)
VOLATILITIES = (0.05, 0.2, 1.1)
OPTIONS = tuple(product(STRIKES, YEARS, VOLATILITIES, (True, False)))
STRIKE, YEAR, VOLATILITY, IS_CALL = (np.array(column) for column in zip(*OPTIONS, strict=True))


def on_the_forward(
    strike: float, years: float, volatility: float, is_call: bool
) -> tuple[float, ...]:
    """Delta, gamma, theta, vega and rho by differentiating the price itself."""

    def price(forward: mpf, left: mpf, deviation: mpf, rate: mpf) -> mpf:
        return exp(-rate * left) * exact_black(forward, strike, left, deviation, is_call)

    return derivatives(price, mpf(24_000), years, volatility)


def on_the_spot(strike: float, years: float, volatility: float, is_call: bool) -> tuple[float, ...]:
    def price(spot: mpf, left: mpf, deviation: mpf, rate: mpf) -> mpf:
        carry = rate - mpf(RATE) + mpf(CARRY)
        return exact_on_spot(spot, carry, strike, left, deviation, is_call, rate)

    return derivatives(price, mpf(24_000), years, volatility)


def derivatives(
    price: Callable[..., mpf], hedge: mpf, years: float, volatility: float
) -> tuple[float, ...]:
    at = (hedge, mpf(years), mpf(volatility), mpf(RATE))
    orders = ((1, 0, 0, 0), (2, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    delta, gamma, aging, vega, rho = (float(diff(price, at, order)) for order in orders)
    return delta, gamma, -aging, vega, rho


@pytest.mark.parametrize(
    ("ours", "exact"),
    [
        pytest.param(
            forward_sensitivities(24_000, STRIKE, YEAR, VOLATILITY, IS_CALL, RATE),
            on_the_forward,
            id="forward",
        ),
        pytest.param(
            spot_sensitivities(24_000, CARRY, STRIKE, YEAR, VOLATILITY, IS_CALL, RATE),
            on_the_spot,
            id="spot",
        ),
    ],
)
def test_they_are_the_derivatives_of_the_price(
    ours: Greeks, exact: Callable[..., tuple[float, ...]]
) -> None:
    expected = np.array([exact(*option) for option in OPTIONS])
    for name, column in zip(FIELDS, expected.T, strict=True):
        # Theta and rho contain the price, which is a difference of two terms; below 1e-50 fifty
        # digits are not enough to differentiate a price in the money.
        floor = 24_000 * 1e-15 if name in {"theta", "rho"} else 1e-50
        np.testing.assert_allclose(
            getattr(ours, name), column, rtol=2e-12, atol=floor, err_msg=name
        )


def test_units_are_the_day_and_the_point() -> None:
    plain = forward_sensitivities(24_000, STRIKE, YEAR, VOLATILITY, IS_CALL, RATE)
    ours = forward_greeks(24_000, STRIKE, YEAR, VOLATILITY, IS_CALL, RATE)
    for name, unit in zip(FIELDS, (1, 1, 365, 100, 100), strict=True):
        np.testing.assert_allclose(getattr(ours, name) * unit, getattr(plain, name), rtol=1e-15)


def test_a_day_a_point_and_a_rupee_by_hand() -> None:
    """At the money, 10 days, 20 %: N(d1) = 0.5066, phi(d1) = 0.39889, computed by hand.

    Gamma is 0.39889 / (24000 * 0.2 * sqrt(10/365)), vega 24000 * 0.39889 * sqrt(10/365) / 100,
    a day costs vega * 20 points / (2 * 10 days), and a point of interest 10/365 of a hundredth
    of the price, which is 24000 * (2 * 0.5066 - 1) = 316.9.
    """
    one = forward_greeks(24_000, 24_000, 10 / 365, 0.2, True, 0.0)
    assert one.delta == pytest.approx(0.5066, abs=5e-5)
    assert one.gamma == pytest.approx(0.000502, abs=5e-7)
    assert one.vega == pytest.approx(15.846, abs=5e-4)
    assert one.theta == pytest.approx(-15.846, abs=5e-4)
    assert one.rho == pytest.approx(-0.0868, abs=5e-5)


# A hundredth of a second, or no volatility: the price cannot change any more.
STANDSTILLS = [(1e-10, 0.2), (0.0, 0.2), (0.5, 1e-12), (0.5, 0.0), (0.0, 0.0), (1e-300, 1e-300)]


@pytest.mark.parametrize(("years", "volatility"), STANDSTILLS)
@pytest.mark.parametrize(
    ("strike", "is_call", "delta"),
    [
        pytest.param(23_000, True, 1.0, id="call in the money"),
        pytest.param(25_000, True, 0.0, id="call out of the money"),
        pytest.param(25_000, False, -1.0, id="put in the money"),
        pytest.param(23_000, False, 0.0, id="put out of the money"),
    ],
)
def test_an_option_that_cannot_change_has_the_delta_of_the_forward_or_none(
    strike: float, is_call: bool, delta: float, years: float, volatility: float
) -> None:
    ours = forward_greeks(24_000, strike, years, volatility, is_call, 0.0)
    assert ours.delta == delta
    assert (ours.gamma, ours.theta, ours.vega) == (0, 0, 0)
    assert ours.rho == pytest.approx(-years * abs(delta) * 1_000 / 100)


@pytest.mark.parametrize(("years", "volatility"), STANDSTILLS)
def test_at_the_money_without_time_all_greeks_are_finite(years: float, volatility: float) -> None:
    """Delta is between 0 and 1; gamma and theta become very large and stay finite."""
    ours = forward_greeks(24_000, 24_000, years, volatility, True, 0.05)
    assert ours.delta == pytest.approx(0.5, rel=0.03)
    assert all(np.isfinite(value) for value in astuple(ours))


@given(
    hedge=st.floats(0.01, 1e6),
    ratio=st.floats(1e-3, 1e3),
    years=st.floats(0, 10),
    volatility=st.floats(0, 10),
    is_call=st.booleans(),
    rate=st.floats(-0.1, 0.3),
    carry=st.floats(-0.2, 0.2),
)
def test_valid_options_always_have_greeks(
    hedge: float,
    ratio: float,
    years: float,
    volatility: float,
    is_call: bool,
    rate: float,
    carry: float,
) -> None:
    strike = hedge * ratio
    ours = (
        forward_greeks(hedge, strike, years, volatility, is_call, rate),
        spot_greeks(hedge, carry, strike, years, volatility, is_call, rate),
    )
    for greeks in ours:
        assert all(np.isfinite(value) for value in astuple(greeks))
        assert greeks.gamma >= 0
        assert greeks.vega >= 0
        assert greeks.delta >= 0 if is_call else greeks.delta <= 0


lively = {
    "ratio": st.floats(0.5, 2.0),
    "years": st.floats(1 / 365, 3),
    "volatility": st.floats(0.03, 2),
    "rate": st.floats(-0.05, 0.2),
    "carry": st.floats(-0.1, 0.2),
}


@given(**lively)
def test_a_call_less_a_put_is_the_forward(
    ratio: float, years: float, volatility: float, rate: float, carry: float
) -> None:
    """So they share gamma and vega, and their deltas differ by that of the forward."""
    both = spot_greeks(100, carry, 100 * ratio, years, volatility, [True, False], rate)
    call_less_put = {name: float(np.subtract(*getattr(both, name))) for name in FIELDS}

    growth, discount = np.exp((carry - rate) * years), np.exp(-rate * years)
    cash = 100 * ratio * discount
    assert call_less_put == pytest.approx(
        {
            "delta": growth,
            "gamma": 0,
            "theta": ((rate - carry) * 100 * growth - rate * cash) / 365,
            "vega": 0,
            "rho": years * cash / 100,
        },
        rel=1e-12,
        abs=1e-12,
    )


@given(**lively)
def test_the_two_hedges_differ_by_the_carry(
    ratio: float, years: float, volatility: float, rate: float, carry: float
) -> None:
    """A rupee more of spot is exp(bT) more of forward."""
    strike, growth = 100 * ratio, np.exp(carry * years)
    spot = spot_greeks(100, carry, strike, years, volatility, True, rate)
    forward = forward_greeks(100 * growth, strike, years, volatility, True, rate)
    assert spot.delta == pytest.approx(float(forward.delta * growth), rel=1e-12)
    assert spot.gamma == pytest.approx(float(forward.gamma * growth**2), rel=1e-12)
    assert spot.vega == pytest.approx(float(forward.vega), rel=1e-12)


def test_arguments_broadcast() -> None:
    ours = spot_greeks(100, 0.02, [[90], [100]], 0.5, [0.1, 0.2, 0.3], True, 0.05)
    assert [value.shape for value in (ours.delta, ours.gamma, ours.theta, ours.vega, ours.rho)] == [
        (2, 3)
    ] * 5


def test_an_unsolved_volatility_has_no_greeks() -> None:
    ours = forward_greeks(100, 100, 0.5, [np.nan, 0.2], True, 0.05)
    assert all(np.isnan(value).tolist() == [True, False] for value in astuple(ours))
