"""Prices and Greeks that others computed, to one unit of the last digit that they print."""

import csv
from math import floor, log10
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data_fetch.analytics.greeks import Greeks, spot_sensitivities
from data_fetch.analytics.pricing import black

Floats = NDArray[np.float64]

VOLLIB = "reference_values/black_scholes_101_rows_py_vollib.csv"
HAUG = "reference_values/haug_1998_prices_part1.csv"
FIELDS = ("delta", "gamma", "theta", "vega", "rho")
HAUGS_DIGIT = 1e-4


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def numbers(rows: list[dict[str, str]], column: str) -> Floats:
    return np.array([float(row[column]) for row in rows])


def last_digit(text: str) -> float:
    """One unit of the last digit that the table of vollib prints of a value.

    It prints ten significant digits but no more than nine decimals, below 0.0001 ten, and
    drops zeros at the end: ``-1.0`` stands for -1.000000000, and ``0.0`` for less than half of
    the tenth decimal. Values below 1e-10 that it does print have their last digit in the text.
    ``call_vals`` goes further where its text has more decimals.
    """
    value = abs(float(text))
    if value == 0:
        return 1e-10
    mantissa, _, exponent = text.partition("e")
    written = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    if value < 1e-4:
        return written
    return min(written, 10.0 ** (floor(log10(max(value, 1.0))) - 9))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("875.309912", 1e-7),
        ("-487.6549524", 1e-7),
        ("-1182.857007", 1e-6),
        ("9.430294286", 1e-9),
        ("404.9718860326", 1e-10),
        ("0.000378292", 1e-9),
        ("-1.0", 1e-9),
        ("1.609e-05", 1e-8),
        ("0.0", 1e-10),
        ("-0.0", 1e-10),
        ("5.42866e-27", 1e-32),
    ],
)
def test_last_digit(text: str, unit: float) -> None:
    assert last_digit(text) == pytest.approx(unit, rel=1e-12)


def test_spot_black_scholes_of_vollib(shared_data: Path) -> None:
    """101 rows, prices and Greeks of calls and puts, down to 1e-27; Greeks by the year and by 1."""
    rows = rows_of(shared_data / VOLLIB)
    spot, strike, rate, years, volatility = (numbers(rows, column) for column in "SKRtv")
    discount = np.exp(-rate * years)
    forward = spot / discount

    def price(is_call: bool) -> Floats:
        return discount * black(forward, strike, years, volatility, is_call)

    def greeks(is_call: bool) -> Greeks:
        return spot_sensitivities(spot, rate, strike, years, volatility, is_call, rate)

    ours = {"bs_call": price(True), "call_vals": price(True), "bs_put": price(False)}
    for side, of in (("C", greeks(True)), ("P", greeks(False))):
        for letter, name in zip("DGTVR", FIELDS, strict=True):
            ours[side + letter] = getattr(of, name)

    assert len(rows) == 101
    assert set(rows[0]) == {"S", "K", "R", "t", "v", *ours}
    off = [
        (column, number, row[column], value)
        for column, values in ours.items()
        for number, (row, value) in enumerate(zip(rows, values.tolist(), strict=True))
        if not abs(value - float(row[column])) <= last_digit(row[column])
    ]
    assert off == []


def test_textbook_prices_of_haug(shared_data: Path) -> None:
    """Six generalised Black-Scholes and eighteen Black-76 prices, printed to four decimals."""
    rows = rows_of(shared_data / HAUG)
    strike, spot, dividend, rate, years, volatility, printed = (
        numbers(rows, column) for column in ("strike", "spot", "q", "r", "t_years", "vol", "value")
    )
    is_call = np.array([row["type"] == "Call" for row in rows])
    forward = spot * np.exp((rate - dividend) * years)

    ours = np.exp(-rate * years) * black(forward, strike, years, volatility, is_call)

    assert len(rows) == 24
    assert {row["quantity"] for row in rows} == {"price"}
    assert np.flatnonzero(~(np.abs(ours - printed) <= HAUGS_DIGIT)).tolist() == []
