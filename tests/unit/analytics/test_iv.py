"""Implied volatility: every option counted, on whole grids; no mean hides a miss.

A price in the money is intrinsic plus time value, rounded to one double. Its last place is
then all that can be known of the time value, which makes up to 3e-12 of volatility for a tick
of time value at a price of 24,000.
"""

from collections.abc import Callable

import numpy as np
import pytest
from exact_prices import exact_black
from hypothesis import example, given
from hypothesis import strategies as st
from mpmath import mpf
from numpy.typing import NDArray

from data_fetch.analytics.blocks import BLOCK
from data_fetch.analytics.iv import Unsolved, implied_volatility
from data_fetch.analytics.pricing import black

Floats = NDArray[np.float64]


FORWARD, TICK = 24_000.0, 0.05
LARGEST_ERROR = 1e-11
LEAST, MOST = np.log(0.5), np.log(2.0)
NAN, INFINITE = float("nan"), float("inf")


def systematic() -> tuple[Floats, ...]:
    """Moneyness 0.5 to 2, a day to two years, 3 % to 200 %, calls and puts: 194,688 options."""
    axes = np.meshgrid(
        FORWARD * np.exp(np.linspace(LEAST, MOST, 52)),
        np.concatenate([np.arange(1, 15), np.linspace(15, 730, 22)]) / 365,
        np.concatenate([np.arange(3, 30), np.linspace(30, 200, 25)]) / 100,
        [0.0, 1.0],
    )
    return tuple(axis.ravel() for axis in axes)


def at_random() -> tuple[Floats, ...]:
    """The same ranges, 120,000 options."""
    random, many = np.random.default_rng(2015), 120_000
    return (
        FORWARD * np.exp(random.uniform(LEAST, MOST, many)),
        random.uniform(1 / 365, 2, many),
        random.uniform(0.03, 2, many),
        random.integers(0, 2, many).astype(float),
    )


@pytest.mark.parametrize("options", [systematic, at_random])
def test_no_option_with_a_tick_of_time_value_is_missed(
    options: Callable[[], tuple[Floats, ...]],
) -> None:
    strike, years, volatility, side = options()
    is_call = side == 1
    price = black(FORWARD, strike, years, volatility, is_call)
    time_value = black(FORWARD, strike, years, volatility, strike >= FORWARD)

    implied = implied_volatility(price, FORWARD, strike, years, is_call)

    counted = time_value >= TICK
    wrong = ~(np.abs(implied.volatility - volatility) <= LARGEST_ERROR)
    assert counted.sum() > 100_000
    assert (wrong & counted).sum() == 0
    assert implied.unsolved[counted].max() == 0


def test_prices_made_with_fifty_digits() -> None:
    """The exact price, rounded once to a double: the double nearest to what the market shows."""
    strike, years, volatility, side = (one[:2_000] for one in at_random())
    rows = zip(strike.tolist(), years.tolist(), volatility.tolist(), side.tolist(), strict=True)
    exact = [exact_black(FORWARD, *row) for row in rows]
    intrinsic = np.maximum((FORWARD - strike) * (2 * side - 1), 0)
    time_value = np.array(
        [float(price - mpf(part)) for price, part in zip(exact, intrinsic.tolist(), strict=True)]
    )

    implied = implied_volatility(
        [float(price) for price in exact], FORWARD, strike, years, side == 1
    )

    error = np.abs(implied.volatility - volatility)[time_value >= TICK]
    assert error.size > 1_500
    assert (~(error <= LARGEST_ERROR)).sum() == 0


def test_out_of_the_money_a_fraction_of_a_tick_has_a_volatility() -> None:
    """There the price itself is the time value, so any double has a volatility."""
    strike, years, volatility, _ = systematic()
    is_call = strike >= FORWARD
    price = black(FORWARD, strike, years, volatility, is_call)

    implied = implied_volatility(price, FORWARD, strike, years, is_call)

    error = np.abs(implied.volatility - volatility)[price > 1e-300]
    assert error.size > 160_000
    assert error.max() < 1e-12


@pytest.mark.parametrize(
    ("price", "forward", "strike", "years", "is_call", "reason"),
    [
        pytest.param(10.0, 110, 100, 0.5, True, Unsolved.BELOW_INTRINSIC, id="call at intrinsic"),
        pytest.param(9.0, 110, 100, 0.5, True, Unsolved.BELOW_INTRINSIC, id="call below intrinsic"),
        pytest.param(19.9, 80, 100, 0.5, False, Unsolved.BELOW_INTRINSIC, id="put below intrinsic"),
        pytest.param(110.0, 110, 100, 0.5, True, Unsolved.ABOVE_MAXIMUM, id="call at the forward"),
        pytest.param(100.0, 110, 100, 0.5, False, Unsolved.ABOVE_MAXIMUM, id="put at the strike"),
        pytest.param(
            500.0, 110, 100, 0.5, False, Unsolved.ABOVE_MAXIMUM, id="put above the strike"
        ),
        pytest.param(0.0, 110, 100, 0.5, False, Unsolved.NOT_A_PRICE, id="a price of 0"),
        pytest.param(-1.0, 110, 100, 0.5, False, Unsolved.NOT_A_PRICE, id="a negative price"),
        pytest.param(NAN, 110, 100, 0.5, False, Unsolved.NOT_A_PRICE, id="no price"),
        pytest.param(INFINITE, 110, 100, 0.5, True, Unsolved.NOT_A_PRICE, id="infinite price"),
        pytest.param(5.0, NAN, 100, 0.5, False, Unsolved.NOT_A_PRICE, id="no forward"),
        pytest.param(5.0, 0, 100, 0.5, False, Unsolved.NOT_A_PRICE, id="a forward of 0"),
        pytest.param(5.0, 110, -100, 0.5, False, Unsolved.NOT_A_PRICE, id="negative strike"),
        pytest.param(5.0, 110, INFINITE, 0.5, False, Unsolved.NOT_A_PRICE, id="infinite strike"),
        pytest.param(5.0, 110, 100, 0.0, False, Unsolved.NOT_A_PRICE, id="at expiry"),
        pytest.param(5.0, 110, 100, -0.1, False, Unsolved.NOT_A_PRICE, id="after expiry"),
        pytest.param(5.0, 110, 100, NAN, False, Unsolved.NOT_A_PRICE, id="no expiry"),
    ],
)
def test_a_price_without_a_volatility_has_a_reason(
    price: float, forward: float, strike: float, years: float, is_call: bool, reason: Unsolved
) -> None:
    implied = implied_volatility(price, forward, strike, years, is_call)
    assert np.isnan(implied.volatility)
    assert Unsolved(int(implied.unsolved)) is reason


number = st.floats(-1.0, 1e5) | st.sampled_from([0.0, NAN, INFINITE, -INFINITE, 100.0])


@given(number, number, number, number, st.booleans())
def test_nan_and_a_reason_are_always_together(
    price: float, forward: float, strike: float, years: float, is_call: bool
) -> None:
    implied = implied_volatility(price, forward, strike, years, is_call)
    assert np.isnan(implied.volatility) == (implied.unsolved != 0)
    assert not np.isinf(implied.volatility)


@given(st.floats(0.05, 1e6), st.floats(0.05, 20.0), st.floats(1e-4, 30.0), st.floats(0.001, 5.0))
@example(100.0, 1.0, 1.0, 0.2)
@example(100.0, 1.0, 4.0, 3.0)
@example(100.0, 1.0, 30.0, 2.0)
@example(24_000.0, 1.0 + 1e-15, 0.1, 0.1)
@example(100.0, 20.0, 1e-4, 0.001)
def test_the_volatility_found_gives_the_price_again(
    forward: float, ratio: float, years: float, volatility: float
) -> None:
    strike = forward * ratio
    is_call = strike >= forward
    price = black(forward, strike, years, volatility, is_call)
    implied = implied_volatility(price, forward, strike, years, is_call)
    if implied.unsolved:
        # The price is too small for a double, or the greatest possible.
        assert price == 0 or price >= min(forward, strike) * (1 - 1e-15)
        return
    again = black(forward, strike, years, implied.volatility, is_call)
    assert again == pytest.approx(float(price), rel=1e-12, abs=1e-15 * (forward + strike))


@given(st.floats(0.5, 2.0), st.floats(0.1, 2.0), st.floats(0.1, 2.0), st.integers(-20, 20))
def test_scaling_all_prices_changes_nothing(
    ratio: float, years: float, volatility: float, power: int
) -> None:
    unit = 4.0**power
    price = black(100, 100 * ratio, years, volatility, ratio > 1)
    here = implied_volatility(price, 100, 100 * ratio, years, ratio > 1)
    there = implied_volatility(price * unit, 100 * unit, 100 * ratio * unit, years, ratio > 1)
    np.testing.assert_array_equal(here.volatility, there.volatility)


@given(st.floats(0.05, 80.0), st.floats(1.0001, 1.2), st.floats(0.5, 2.0), st.floats(0.01, 2.0))
def test_a_higher_price_has_a_higher_volatility(
    price: float, dearer: float, ratio: float, years: float
) -> None:
    strike = 100 * ratio
    one, other = implied_volatility(
        [price, price * dearer], 100, strike, years, ratio > 1
    ).volatility
    assert np.isnan(one) or np.isnan(other) or one < other


def test_arguments_broadcast() -> None:
    prices = np.array([[2.0, 3.0, 4.0], [5.0, 6.0, 200.0]])
    implied = implied_volatility(prices, 100, [95, 100, 105], 0.25, [[False], [True]])
    assert implied.volatility.shape == implied.unsolved.shape == (2, 3)
    assert implied.unsolved.tolist() == [
        [0, 0, Unsolved.BELOW_INTRINSIC],
        [Unsolved.BELOW_INTRINSIC, 0, Unsolved.ABOVE_MAXIMUM],
    ]
    assert implied_volatility([], 100, 100, 0.25, True).volatility.shape == (0,)


def test_an_option_does_not_depend_on_its_neighbours() -> None:
    """Those that need more steps, and those that have no volatility, are solved in between."""
    many = 2 * BLOCK + 3
    volatility = np.resize([0.1, 0.5, 4.0, 7.0], many)
    price = black(100, 110, 1.0, volatility, True)
    price[::7] = -1
    together = implied_volatility(price, 100, 110, 1.0, True).volatility
    apart = [implied_volatility(one, 100, 110, 1.0, True).volatility for one in price[:28]]
    np.testing.assert_allclose(together, np.resize(apart, many), rtol=1e-14)
