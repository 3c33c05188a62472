"""Numbers as Indian traders write them."""

from decimal import Decimal

import pytest

from data_fetch.dashboard.numbers import age_text, grouped, short


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 0, "0"),
        (999, 0, "999"),
        (1_000, 0, "1,000"),
        (99_999, 0, "99,999"),
        (100_000, 0, "1,00,000"),
        (12_345_678, 0, "1,23,45,678"),
        (-1_234_567.5, 2, "-12,34,567.50"),
        (0.05, 2, "0.05"),
        (999.999, 2, "1,000.00"),
        (Decimal("24150.5"), 1, "24,150.5"),
        (None, 2, "–"),
    ],
)
def test_digits_are_grouped_by_three_and_then_by_two(
    value: float | Decimal | None, digits: int, text: str
) -> None:
    assert grouped(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (99_999, "99,999"),
        (100_000, "1.00 L"),
        (1_234_567, "12.35 L"),
        (10_000_000, "1.00 Cr"),
        (-45_678_901, "-4.57 Cr"),
        (123_456_789_012, "12,345.68 Cr"),
        (None, "–"),
    ],
)
def test_large_quantities_are_in_lakh_and_crore(value: float | None, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (42.9, "42 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2.0 h"),
        (12_600, "3.5 h"),
        (345_600, "4 days"),
    ],
)
def test_an_age_is_in_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert age_text(seconds) == text
