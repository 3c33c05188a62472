"""The paper exchange prints implied volatility by the convention of NSE's website."""

import csv
from datetime import date, datetime
from math import exp, log, sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.nse.iv import printed_volatility

EXPIRY = date(2026, 9, 29)
SPOT = 24_000.0
WEEK_BEFORE = datetime(2026, 9, 22, 15, 30, tzinfo=IST).timestamp()


def printed(kind: str, strike: float, price: float, at: float = WEEK_BEFORE) -> float:
    calls = np.array([kind == "CE"])
    volatilities = printed_volatility(
        SPOT, np.array([strike]), calls, np.array([price]), EXPIRY, at
    )
    return float(volatilities[0])


def black_scholes(kind: str, strike: float, volatility: float) -> float:
    """The textbook formula: a week to go, 10 % interest."""
    years, side = 7 / 365, 1 if kind == "CE" else -1
    spread = volatility * sqrt(years)
    d1 = (log(SPOT / strike) + 0.10 * years) / spread + spread / 2
    normal = NormalDist().cdf
    discounted = strike * exp(-0.10 * years) * normal(side * (d1 - spread))
    return side * (SPOT * normal(side * d1) - discounted)


@given(
    kind=st.sampled_from(["CE", "PE"]),
    strike=st.floats(23_000, 25_000),
    volatility=st.floats(0.08, 3.0),
)
def test_it_is_the_volatility_that_gives_the_price(
    kind: str, strike: float, volatility: float
) -> None:
    price = black_scholes(kind, strike, volatility)
    assert printed(kind, strike, price) == pytest.approx(volatility * 100, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "strike", "price", "at"),
    [
        pytest.param("CE", 23_000, 1_000.0, WEEK_BEFORE, id="below its discounted intrinsic value"),
        pytest.param("PE", 25_000, 900.0, WEEK_BEFORE, id="a put below it"),
        pytest.param("CE", 24_000, 0.0, WEEK_BEFORE, id="never traded"),
        pytest.param("CE", 24_000, 24_000.0, WEEK_BEFORE, id="above the index"),
        pytest.param("CE", 24_000, 50.0, WEEK_BEFORE + 7 * 86_400, id="at 15:30 on the last day"),
        pytest.param("CE", 24_000, 50.0, WEEK_BEFORE + 7 * 86_400 + 300, id="after it"),
    ],
)
def test_it_is_0_where_it_cannot_be_computed(
    kind: str, strike: float, price: float, at: float
) -> None:
    assert printed(kind, strike, price, at) == 0.0


def test_it_is_what_the_website_printed(shared_data: Path) -> None:
    """NIFTY on 2026-06-19, as captured: to 0.02 volatility points."""
    file = shared_data / "reference_values" / "nse_published_iv_NIFTY_2026-06-19.csv"
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    at = datetime.fromisoformat(rows[0]["exchange_timestamp"]).replace(tzinfo=IST)

    volatilities = printed_volatility(
        float(rows[0]["underlying_value"]),
        np.array([float(row["strike"]) for row in rows]),
        np.array([row["type"] == "CE" for row in rows]),
        np.array([float(row["last_price"]) for row in rows]),
        date.fromisoformat(rows[0]["expiry"]),
        at.timestamp(),
    )

    assert len(rows) > 100
    published = [float(row["nse_iv_percent"]) for row in rows]
    assert volatilities.tolist() == pytest.approx(published, abs=0.02)
