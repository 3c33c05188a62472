"""Black-76: textbook prices, the laws of option prices, and the tails to many digits."""

import numpy as np
import pytest
from exact_prices import exact_black
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.analytics.blocks import BLOCK
from data_fetch.analytics.pricing import black

prices = st.floats(0.05, 1e6)
moneyness = st.floats(0.2, 5.0)
years = st.floats(1 / 365, 5.0)
volatilities = st.floats(0.01, 3.0)
sides = st.booleans()


@pytest.mark.parametrize(
    ("forward", "strike", "years", "volatility", "is_call", "price"),
    [
        # Haug, "The Complete Guide to Option Pricing Formulas" (1998), table on p. 24 has
        # exp(-rT) of these at r = 10 %.
        pytest.param(90, 100, 0.1, 0.15, True, 0.0205 * np.exp(0.01), id="Haug, out of the money"),
        pytest.param(100, 100, 0.5, 0.25, True, 6.6997 * np.exp(0.05), id="Haug, at the money"),
        pytest.param(110, 100, 0.5, 0.35, True, 15.3086 * np.exp(0.05), id="Haug, in the money"),
    ],
)
def test_prices_from_a_textbook(
    forward: float, strike: float, years: float, volatility: float, is_call: bool, price: float
) -> None:
    assert black(forward, strike, years, volatility, is_call) == pytest.approx(price, abs=6e-5)


@pytest.mark.parametrize(
    ("forward", "strike", "years", "volatility", "is_call", "price"),
    [
        pytest.param(110, 100, 0.0, 0.2, True, 10.0, id="a call at expiry"),
        pytest.param(110, 100, 0.0, 0.2, False, 0.0, id="a put at expiry"),
        pytest.param(90, 100, 0.5, 0.0, False, 10.0, id="a put without volatility"),
        pytest.param(100, 100, 0.5, 0.0, True, 0.0, id="at the money, no volatility"),
        pytest.param(100, 100, 0.0, 0.2, False, 0.0, id="at the money, at expiry"),
        pytest.param(90, 100, 1.0, 500.0, True, 90.0, id="a call without bounds"),
        pytest.param(90, 100, 1.0, 500.0, False, 100.0, id="a put without bounds"),
    ],
)
def test_prices_at_the_limits(
    forward: float, strike: float, years: float, volatility: float, is_call: bool, price: float
) -> None:
    assert black(forward, strike, years, volatility, is_call) == price


def test_out_of_the_money_every_price_has_twelve_digits() -> None:
    """Against fifty-digit arithmetic, down to 1e-300 rupees."""
    random = np.random.default_rng(76)
    strike = 24_000 * np.exp(random.uniform(-np.log(2), np.log(2), 1_000))
    year, volatility = random.uniform(1 / 365, 2, 1_000), random.uniform(0.03, 2, 1_000)
    is_call = strike > 24_000

    ours = black(24_000, strike, year, volatility, is_call)

    rows = zip(strike.tolist(), year.tolist(), volatility.tolist(), is_call.tolist(), strict=True)
    exact = np.array([float(exact_black(24_000, *row)) for row in rows])
    held = exact > 1e-300
    assert held.sum() > 950
    assert np.abs(ours[held] / exact[held] - 1).max() < 1e-12


@given(prices, moneyness, years, volatilities)
def test_call_minus_put_is_the_forward(
    forward: float, ratio: float, year: float, volatility: float
) -> None:
    strike = forward * ratio
    call, put = black(forward, strike, year, volatility, [True, False])
    assert call - put == pytest.approx(forward - strike, abs=1e-13 * (forward + strike))


@given(prices, moneyness, years, volatilities, sides)
def test_a_price_lies_between_intrinsic_and_maximum(
    forward: float, ratio: float, year: float, volatility: float, is_call: bool
) -> None:
    strike = forward * ratio
    price = black(forward, strike, year, volatility, is_call)
    intrinsic = max(forward - strike if is_call else strike - forward, 0)
    assert intrinsic <= price <= (forward if is_call else strike) * (1 + 1e-15)


@given(prices, moneyness, years, volatilities, sides, st.floats(1.0001, 3.0))
def test_more_volatility_is_worth_more(
    forward: float, ratio: float, year: float, volatility: float, is_call: bool, more: float
) -> None:
    strike = forward * ratio
    less, dearer = black(forward, strike, year, [volatility, volatility * more], is_call)
    assert dearer >= less - 1e-14 * (forward + strike)


@given(prices, moneyness, years, volatilities, sides, st.integers(-20, 20))
def test_scaling_all_prices_changes_nothing(
    forward: float, ratio: float, year: float, volatility: float, is_call: bool, power: int
) -> None:
    strike, unit = forward * ratio, 4.0**power
    price = black(forward, strike, year, volatility, is_call)
    scaled = black(forward * unit, strike * unit, year, volatility, is_call)
    assert scaled == pytest.approx(float(price * unit), rel=1e-15, abs=1e-290)


@given(prices, moneyness, years, volatilities)
def test_a_call_is_a_put_with_forward_and_strike_exchanged(
    forward: float, ratio: float, year: float, volatility: float
) -> None:
    """Up to the rounding of the ratio, times the elasticity of the price: about 1.25 by the
    deviation at the money, and the distance in squared deviations far from it."""
    strike = forward * ratio
    call = black(forward, strike, year, volatility, True)
    put = black(strike, forward, year, volatility, False)
    deviation = volatility * year**0.5
    elasticity = abs(np.log(ratio)) / deviation**2 + 1.25 / deviation
    rounding = 4 * np.finfo(float).eps * elasticity
    assert call == pytest.approx(float(put), rel=1e-13 + rounding, abs=1e-300)


def test_arguments_broadcast() -> None:
    table = black(100, [[90], [100], [110]], 0.5, [0.1, 0.2], True)
    assert table.shape == (3, 2)
    assert table[2, 1] == black(100, 110, 0.5, 0.2, True)
    assert black(100, [], 0.5, 0.2, True).shape == (0,)


def test_an_option_does_not_depend_on_its_neighbours() -> None:
    strike = np.linspace(50, 200, 2 * BLOCK + 3)
    together = black(100, strike, 0.5, 0.2, True)
    apart = [black(100, one, 0.5, 0.2, True) for one in strike[:: BLOCK // 4]]
    np.testing.assert_allclose(together[:: BLOCK // 4], apart, rtol=1e-15)


def test_nan_stays_nan() -> None:
    assert np.isnan(black([np.nan, -1, 100], 100, 0.5, [0.2, 0.2, np.nan], True)).all()
