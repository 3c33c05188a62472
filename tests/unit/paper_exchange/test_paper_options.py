"""The paper exchange's option values are Black-76 with its documented smile."""

from datetime import date, datetime
from math import log, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import INDEX, MarketCalendar
from data_fetch.paper_exchange.market.days import TradingDays
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.options import (
    YEAR_SECONDS,
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
    group=INDEX,
    base=24_000,
    daily=0.006,
    lot_size=65,
    strike_step=50,
)
spots = st.floats(20_000, 28_000)
strikes = st.floats(21_000, 27_000)
times = st.floats(2 / 365, 0.25)


def price(kind: str, strike: float, spot: float, years: float) -> float:
    inputs = (UNDERLYING, strike, kind == "CE", np.array([spot]), np.array([years]))
    return premium(*inputs).item()


def greeks_of(kind: str, strike: float, spot: float, years: float) -> Greeks:
    return greeks(UNDERLYING, strike, kind == "CE", np.array([spot]), np.array([years]))


@given(spots, strikes, times)
def test_put_call_parity_on_the_forward(spot: float, strike: float, years: float) -> None:
    [carried] = forward(np.array([spot]), np.array([years]))
    call, set_to = (greeks_of(kind, strike, spot, years) for kind in ("CE", "PE"))

    parity = price("CE", strike, spot, years) - price("PE", strike, spot, years)
    assert parity == pytest.approx(carried - strike, abs=1e-6)
    assert (call.delta - set_to.delta).item() == pytest.approx(1)
    assert call.iv == set_to.iv
    assert (call.pop + set_to.pop).item() == pytest.approx(1)


@given(strikes, times)
def test_the_smile_is_the_stated_one(strike: float, years: float) -> None:
    forwards = np.array([24_000.0])
    x = np.log(strike / forwards) / np.sqrt(years)
    stated = at_the_money_iv(UNDERLYING) * (1 - 0.25 * x + 0.9 * x**2)

    shown = smile(UNDERLYING, strike, forwards, np.array([years]))
    assert shown.item() == pytest.approx(np.clip(stated, 0.04, 2.0).item())


@given(strikes)
def test_greeks_are_slopes_of_the_price(strike: float) -> None:
    """Black-76 Greeks are derivatives on the forward at constant volatility."""
    years, bump = 20 / 365, 1.0
    computed = greeks_of("CE", strike, 24_000, years)
    carried = forward(np.array([24_000.0]), np.array([years])).item()

    up, down = (
        black76(carried + each, strike, years, computed.iv.item()) for each in (bump, -bump)
    )
    middle = black76(carried, strike, years, computed.iv.item())
    more_volatile = black76(carried, strike, years, computed.iv.item() + 1e-4)
    tomorrow = black76(carried, strike, years - 1e-4 / 365, computed.iv.item())

    assert price("CE", strike, 24_000, years) == pytest.approx(middle)
    assert computed.delta.item() == pytest.approx((up - down) / (2 * bump), abs=1e-4)
    assert computed.gamma.item() == pytest.approx((up - 2 * middle + down) / bump**2, abs=1e-5)
    assert computed.vega.item() == pytest.approx((more_volatile - middle) / 1e-4 / 100, abs=1e-2)
    assert computed.theta.item() == pytest.approx((tomorrow - middle) / 1e-4, rel=1e-2, abs=1e-3)


def black76(forwards: float, strike: float, years: float, iv: float) -> float:
    """The textbook formula, undiscounted."""
    spread = iv * sqrt(years)
    d1 = log(forwards / strike) / spread + spread / 2
    normal = NormalDist().cdf
    return forwards * normal(d1) - strike * normal(d1 - spread)


@given(spots, times)
def test_all_legs_at_once_equal_each_alone(spot: float, years: float) -> None:
    ladder = np.repeat(np.arange(21_000.0, 27_000.0, 500.0), 2)
    calls = np.arange(len(ladder)) % 2 == 0
    at = (np.array(spot), np.array(years))

    together = premium(UNDERLYING, ladder, calls, *at)
    deltas = greeks(UNDERLYING, ladder, calls, *at).delta

    kinds = ["CE" if call else "PE" for call in calls]
    for number, (kind, strike) in enumerate(zip(kinds, ladder.tolist(), strict=True)):
        assert together[number] == pytest.approx(price(kind, strike, spot, years))
        assert deltas[number] == pytest.approx(greeks_of(kind, strike, spot, years).delta.item())


@pytest.mark.parametrize(
    ("expiry", "closes"),
    [
        pytest.param("2025-09-02", "15:30", id="an ordinary day"),
        pytest.param("2026-07-28", "15:30", id="the last expiry of the old hours"),
        pytest.param("2026-08-04", "15:40", id="the first of the new ones"),
        pytest.param("2025-10-21", "14:45", id="a Muhurat session"),
        pytest.param("2024-03-02", "12:30", id="a drill with two windows"),
        pytest.param("2031-05-06", "15:40", id="beyond the calendar"),
    ],
)
def test_contracts_expire_when_derivatives_close(expiry: str, closes: str) -> None:
    days = TradingDays(MarketCalendar.reviewed())
    expires_at = days.expires_at(date.fromisoformat(expiry))
    assert f"{datetime.fromtimestamp(expires_at, IST):%Y-%m-%d %H:%M}" == f"{expiry} {closes}"


@pytest.mark.parametrize(
    ("seconds", "years"),
    [
        pytest.param(86_400, 1 / 365, id="a day"),
        pytest.param(1, 1 / YEAR_SECONDS, id="a second"),
        pytest.param(0, 1 / YEAR_SECONDS, id="none: still a second"),
        pytest.param(-600, 1 / YEAR_SECONDS, id="after it"),
    ],
)
def test_time_to_expiry(seconds: int, years: float) -> None:
    expires_at = 1_790_000_000
    assert float(years_left(expires_at, expires_at - seconds)) == pytest.approx(years)


@given(spots, strikes)
def test_at_the_close_of_its_last_day_an_option_has_its_exercise_value(
    spot: float, strike: float
) -> None:
    years = 1 / YEAR_SECONDS
    assert price("CE", strike, spot, years) == pytest.approx(max(spot - strike, 0), abs=2.5)
    assert price("PE", strike, spot, years) == pytest.approx(max(strike - spot, 0), abs=2.5)
