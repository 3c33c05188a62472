"""The paper exchange's option values are Black-76 under the smile it states."""

from datetime import date, datetime
from math import log, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.clock import IST
from data_fetch.core.market import INDEX
from data_fetch.paper_exchange.contracts import Contract
from data_fetch.paper_exchange.listings import Listing
from data_fetch.paper_exchange.options import (
    Greeks,
    at_the_money_iv,
    forward,
    greeks,
    premium,
    smile,
    years_left,
)

UNDERLYING = Listing(
    symbol="NIFTY",
    name="Nifty 50",
    key="NSE_INDEX|Nifty 50",
    segment="NSE_INDEX",
    venue=INDEX,
    base=24_000,
    daily=0.006,
    lot_size=65,
    strike_step=50,
)
spots = st.floats(20_000, 28_000)
strikes = st.floats(21_000, 27_000)
times = st.floats(2 / 365, 0.25)


def contract(kind: str, strike: float) -> Contract:
    return Contract(
        token="1",
        underlying=UNDERLYING,
        expiry=date(2026, 9, 29),
        kind=kind,
        strike=strike,
        weekly=False,
    )


def price(kind: str, strike: float, spot: float, years: float) -> float:
    return premium(contract(kind, strike), np.array([spot]), np.array([years])).item()


def greeks_of(kind: str, strike: float, spot: float, years: float) -> Greeks:
    return greeks(contract(kind, strike), np.array([spot]), np.array([years]))


@given(spots, strikes, times)
def test_put_call_parity_on_the_forward(spot: float, strike: float, years: float) -> None:
    [carried] = forward(np.array([spot]), np.array([years]))
    call, put = (greeks_of(kind, strike, spot, years) for kind in ("CE", "PE"))

    parity = price("CE", strike, spot, years) - price("PE", strike, spot, years)
    assert parity == pytest.approx(carried - strike, abs=1e-6)
    assert (call.delta - put.delta).item() == pytest.approx(1)
    assert call.iv == put.iv
    assert (call.pop + put.pop).item() == pytest.approx(1)


@given(strikes, times)
def test_the_smile_is_the_stated_one(strike: float, years: float) -> None:
    forwards = np.array([24_000.0])
    x = np.log(strike / forwards) / np.sqrt(years)
    stated = at_the_money_iv(UNDERLYING) * (1 - 0.25 * x + 0.9 * x**2)

    told = smile(UNDERLYING, strike, forwards, np.array([years]))
    assert told.item() == pytest.approx(np.clip(stated, 0.04, 2.0).item())


@given(strikes)
def test_greeks_are_slopes_of_the_price(strike: float) -> None:
    """On the forward, with the volatility held: how Black-76 Greeks are meant."""
    years, bump = 20 / 365, 1.0
    told = greeks_of("CE", strike, 24_000, years)
    carried = forward(np.array([24_000.0]), np.array([years])).item()

    up, down = (black76(carried + each, strike, years, told.iv.item()) for each in (bump, -bump))
    middle = black76(carried, strike, years, told.iv.item())
    dearer = black76(carried, strike, years, told.iv.item() + 1e-4)
    tomorrow = black76(carried, strike, years - 1e-4 / 365, told.iv.item())

    assert price("CE", strike, 24_000, years) == pytest.approx(middle)
    assert told.delta.item() == pytest.approx((up - down) / (2 * bump), abs=1e-4)
    assert told.gamma.item() == pytest.approx((up - 2 * middle + down) / bump**2, abs=1e-5)
    assert told.vega.item() == pytest.approx((dearer - middle) / 1e-4 / 100, abs=1e-2)
    assert told.theta.item() == pytest.approx((tomorrow - middle) / 1e-4, rel=1e-2, abs=1e-3)


def black76(forwards: float, strike: float, years: float, iv: float) -> float:
    """The textbook formula, undiscounted."""
    spread = iv * sqrt(years)
    d1 = log(forwards / strike) / spread + spread / 2
    normal = NormalDist().cdf
    return forwards * normal(d1) - strike * normal(d1 - spread)


def test_expiry_is_at_half_past_three() -> None:
    at = int(datetime(2026, 9, 28, 15, 30, tzinfo=IST).timestamp())
    assert years_left(date(2026, 9, 29), np.array([at])).item() == pytest.approx(1 / 365)
