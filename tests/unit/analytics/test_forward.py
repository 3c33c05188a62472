"""The forward, from put-call parity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.analytics.columns import StrikeColumns
from data_fetch.analytics.forward import (
    UNKNOWN,
    carried_spot,
    parity_forward,
    weighted_quantiles,
)
from data_fetch.core.chains.valuation import ForwardMethod

NAN = float("nan")
STRIKES = np.arange(90.0, 111.0, 1.0)


def prices(forward: float, discount: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Calls and puts that obey parity, with some time value on both sides."""
    time_value = 5 * np.exp(-np.abs(STRIKES - forward) / 5)
    call = discount * (np.maximum(forward - STRIKES, 0) + time_value)
    return call, call - discount * (forward - STRIKES)


def sides(call: np.ndarray, put: np.ndarray) -> StrikeColumns:
    return StrikeColumns(STRIKES, call, put)


ALIKE = sides(np.full(21, 0.1), np.full(21, 0.1))


@given(
    forward=st.floats(93, 107),
    discount=st.floats(0.7, 1.0),
)
def test_prices_that_obey_parity_give_their_forward(forward: float, discount: float) -> None:
    found = parity_forward(sides(*prices(forward, discount)), ALIKE, discount)

    assert found.value == pytest.approx(forward, abs=1e-9)
    assert (found.method, found.strikes) == (ForwardMethod.PARITY, 9)
    assert found.spread == pytest.approx(0, abs=1e-9)


@given(bad=st.sets(st.integers(0, 20), max_size=3), off=st.floats(-20, 20))
def test_three_absurd_prices_do_not_move_it_far(bad: set[int], off: float) -> None:
    call, put = prices(100.3)
    call[list(bad)] += off

    found = parity_forward(sides(call, put), ALIKE, 1.0)

    assert found.value == pytest.approx(100.3, abs=1.0)


def test_an_absurd_price_at_one_strike_does_not_become_the_money() -> None:
    """Call and put of 90 have one price, as only those at the money have; far from the money
    the calls are old."""
    call, put = prices(105.3)
    call[:9] += 3.0
    put[0] = call[0]

    found = parity_forward(sides(call, put), ALIKE, 1.0)

    assert found.value == pytest.approx(105.3, abs=0.05)


def test_a_wide_book_has_little_weight() -> None:
    call, put = prices(100.0)
    call[8:13] += 2.0
    widths = np.full(21, 0.1)
    widths[8:13] = 50.0

    found = parity_forward(sides(call, put), sides(widths, widths), 1.0)

    assert found.value == pytest.approx(100.0, abs=0.3)


def test_strikes_with_one_side_only_are_not_used() -> None:
    call, put = prices(100.0)
    put[:] = NAN

    assert parity_forward(sides(call, put), ALIKE, 1.0) == UNKNOWN


def test_a_forward_of_one_strike_has_its_own_method() -> None:
    call, put = prices(100.0)
    put[[n for n in range(21) if n != 12]] = NAN

    found = parity_forward(sides(call, put), ALIKE, 1.0)

    assert found.value == pytest.approx(100.0)
    assert (found.method, found.strikes) == (ForwardMethod.PARITY_OF_ONE, 1)


def test_a_forward_below_zero_is_none() -> None:
    call, put = prices(100.0)

    assert parity_forward(sides(call, put + 500), ALIKE, 1.0) == UNKNOWN


def test_without_parity_the_spot_is_carried() -> None:
    """24,000 at 6.5 % for a year: 24,000 e^0.065."""
    found = carried_spot(24_000.0, 0.065, 1.0)

    assert found.value == pytest.approx(25_611.8170)
    assert (found.method, found.strikes, found.spread) == (ForwardMethod.SPOT_CARRIED, 0, None)


def test_without_a_spot_there_is_none() -> None:
    assert carried_spot(None, 0.065, 1.0) == UNKNOWN


@pytest.mark.parametrize(
    ("values", "weights", "middle"),
    [
        pytest.param([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 2.0, id="equal weights"),
        pytest.param([3.0, 1.0, 2.0], [1.0, 1.0, 1.0], 2.0, id="in any order"),
        pytest.param(
            [1.0, 2.0, 9.0], [100.0, 100.0, 1.0], 1.505, id="the last one has little weight"
        ),
        pytest.param([7.0], [0.3], 7.0, id="one"),
    ],
)
def test_weighted_median(values: list[float], weights: list[float], middle: float) -> None:
    [found] = weighted_quantiles(np.array(values), np.array(weights), (0.5,))

    assert found == pytest.approx(middle)
