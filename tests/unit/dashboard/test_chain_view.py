"""Which chain a page shows, by its address."""

from datetime import UTC, date, datetime

import pytest
from option_chains import CALL, chain_of, leg
from shown_chains import stored

from data_fetch.dashboard.chain_view import (
    ChainView,
    baseline_text,
    days_left,
    expiries_offered,
    lenient_view,
)
from data_fetch.reading.chain_metrics import ComparedWith

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


@pytest.mark.parametrize(
    ("name", "is_stored", "text"),
    [
        ("previous-close", False, "previous close"),
        ("15m", True, "15 minutes before (16 Sep 2026 11:00:00 IST)"),
        ("first-of-day", True, "first snapshot of the day (16 Sep 2026 11:00:00 IST)"),
        ("2026-09-16T11:00:10+05:30", True, "the snapshot of 16 Sep 2026 11:00:00 IST"),
    ],
)
def test_a_baseline_is_named(name: str, is_stored: bool, text: str) -> None:
    snapshot = stored(chain_of([leg(100, CALL)])) if is_stored else None
    assert baseline_text(ComparedWith(name, {}, snapshot)) == text


def test_an_expiry_that_passed_can_be_wanted() -> None:
    assert expiries_offered([date(2026, 9, 22)], DAY) == [DAY, date(2026, 9, 22)]
