"""Records check their values when they are made."""

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.batches import RejectedRow
from data_fetch.core.quotes.quotes import Quote
from data_fetch.core.text import LONGEST_TEXT

prices = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)


def quote(last_price: float, prev_close: float | None) -> Quote:
    return Quote(instrument_key="K", last_price=last_price, volume=0, prev_close=prev_close)


@pytest.mark.parametrize(
    ("prev_close", "change", "percent"),
    [
        pytest.param(95.0, 5.0, 5.2632, id="up"),
        pytest.param(120.0, -20.0, -16.6667, id="down"),
        pytest.param(None, None, None, id="no previous close"),
        pytest.param(1e-320, 100.0, None, id="too small to divide by"),
    ],
)
def test_the_change_from_the_previous_close(
    prev_close: float | None, change: float | None, percent: float | None
) -> None:
    moved = quote(100.0, prev_close)

    assert (moved.change, moved.change_percent) == (change, percent)


@given(prices, prices)
def test_changes_are_finite_or_none(last_price: float, prev_close: float) -> None:
    moved = quote(last_price, prev_close)

    assert all(c is None or isfinite(c) for c in (moved.change, moved.change_percent))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param("NSE_INDEX|Nifty 50", "NSE_INDEX|Nifty 50", id="a key"),
        pytest.param("A\0B\x1b[1mC\n\x9fD", "AB[1mCD", id="control characters"),
        pytest.param("A\ud800B", "AB", id="half a character"),
        pytest.param("भारत\u00a0₹", "भारत\u00a0₹", id="other scripts"),
        pytest.param("x" * 1000, "x" * (LONGEST_TEXT - 1) + "…", id="long"),
    ],
)
def test_a_rejected_row_is_presentable(sent: str, kept: str) -> None:
    assert RejectedRow(sent, sent) == RejectedRow(kept, kept)
    assert RejectedRow(sent, sent).reason == kept
