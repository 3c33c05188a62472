"""Which chain a page shows, by its address."""

from datetime import UTC, date, datetime

import pytest

from data_fetch.dashboard.chain_view import ChainView, days_left, expiries_offered, lenient_view

DAY = date(2026, 9, 16)
VIEW = ChainView(
    symbol="M&M",
    expiry=date(2026, 9, 29),
    at=datetime(2026, 9, 16, 5, 0, 30, tzinfo=UTC),
    baseline="2026-09-16T09:30:00+05:30",
    around="all",
    columns=("oi", "ltp"),
)


@pytest.mark.parametrize("view", [VIEW, ChainView(symbol="NIFTY"), ChainView()])
def test_an_address_restores_its_view(view: ChainView) -> None:
    assert ChainView.of(view.parameters()) == view


def test_what_is_as_usual_is_not_in_the_address() -> None:
    assert ChainView(symbol="NIFTY").parameters() == {"symbol": "NIFTY"}


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        pytest.param({"expiry": "soon"}, "'soon' is not a date", id="an expiry"),
        pytest.param({"at": "noon"}, "'noon' is not an instant", id="an instant"),
        pytest.param({"at": "2026-09-16T10:00"}, "has no time zone", id="no time zone"),
        pytest.param({"baseline": "lunch"}, "'lunch' is not an instant", id="a baseline"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(parameters: dict[str, str], sentence: str) -> None:
    view, problem = lenient_view({"symbol": "NIFTY", **parameters})

    assert view == ChainView(symbol="NIFTY")
    assert problem is not None
    assert sentence in problem


def test_unknown_columns_and_strikes_are_as_usual() -> None:
    assert ChainView.of({"columns": "oi,price", "strikes": "7"}) == ChainView(columns=("oi",))


@pytest.mark.parametrize(
    ("expiry", "text"),
    [
        pytest.param(date(2026, 9, 22), "22 Sep · 6 d", id="next week"),
        pytest.param(DAY, "16 Sep · today", id="today"),
        pytest.param(date(2026, 9, 15), "15 Sep · over", id="yesterday"),
        pytest.param(date(2027, 6, 24), "24 Jun 2027 · 281 d", id="next year"),
    ],
)
def test_an_expiry_has_the_days_to_it(expiry: date, text: str) -> None:
    assert days_left(expiry, DAY) == text


def test_an_expiry_that_passed_can_be_wanted() -> None:
    assert expiries_offered([date(2026, 9, 22)], DAY) == [DAY, date(2026, 9, 22)]
