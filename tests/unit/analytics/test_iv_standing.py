"""How high a volatility is among those of earlier days."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.analytics.iv_standing import Standing, standing


@pytest.mark.parametrize(
    ("now", "earlier", "found"),
    [
        pytest.param(0.12, [0.10, 0.11, 0.12, 0.14], Standing(4, 50, 50), id="in the middle"),
        pytest.param(0.20, [0.10, 0.14], Standing(2, 100, 100), id="above all"),
        pytest.param(0.05, [0.10, 0.14], Standing(2, 0, 0), id="below all"),
        pytest.param(0.12, [0.10, 0.10], Standing(2, 100, None), id="all days equal"),
        pytest.param(0.12, [], None, id="no day"),
    ],
)
def test_percentile_and_rank(now: float, earlier: list[float], found: Standing | None) -> None:
    assert standing(now, earlier) == (
        found and Standing(found.days, found.percentile, found.rank and pytest.approx(found.rank))
    )


IV = st.floats(0.01, 3)


@given(IV, st.lists(IV, min_size=1))
def test_they_are_percents(now: float, earlier: list[float]) -> None:
    found = standing(now, earlier)
    assert found is not None
    assert 0 <= found.percentile <= 100
    assert found.rank is None or 0 <= found.rank <= 100
