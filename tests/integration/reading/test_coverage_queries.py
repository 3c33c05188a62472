"""Coverage and gaps as tables: counts by state, causes, and when the ledger last changed."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import pytest
from candle_shelf import EVENING, RELIANCE, TUESDAY, WEDNESDAY, Shelf, whole_day

from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError
from data_fetch.reading import coverage, gaps


@pytest.fixture
def ledger(shelf: Shelf) -> Shelf:
    """RELIANCE: a whole Tuesday, and a Wednesday that lacks 10:00 to 10:02 for good and has
    nothing after 14:14."""
    shelf.keeps(RELIANCE, TUESDAY, whole_day())
    there = {minute: 10.0 for minute in range(300) if minute not in (45, 46)}
    shelf.keeps(RELIANCE, WEDNESDAY, there)
    return shelf


def read(of: Callable[..., Any], shelf: Shelf, **how: Any) -> Any:
    given = {"symbols": "RELIANCE", "first": TUESDAY, "last": WEDNESDAY, **how}
    return of(settings=shelf.settings, **given)


def test_coverage_has_a_row_for_each_instrument_and_day(ledger: Shelf) -> None:
    found = read(coverage, ledger)

    rows = found.table.to_pylist()
    assert [(row["date"], row["state"], row["present"]) for row in rows] == [
        (TUESDAY, "present", 375),
        (WEDNESDAY, "missed", 298),
    ]
    held = found.completeness
    assert (held.complete, held.counts.expected, held.counts.missed) == (False, 750, 77)
    assert orjson.loads(found.table.schema.metadata[b"completeness"]) == held.document()


def test_a_whole_day_is_complete(ledger: Shelf) -> None:
    assert read(coverage, ledger, last=TUESDAY).completeness.complete
    assert read(gaps, ledger, last=TUESDAY).completeness.complete


def test_gaps_have_instants_cause_and_attempts(ledger: Shelf) -> None:
    found = read(gaps, ledger)

    first, last = found.table.to_pylist()
    assert (first["trading_date"], first["minutes"], first["cause"]) == (WEDNESDAY, 2, "missed")
    assert first["first"] == datetime(2025, 6, 11, 10, 0, tzinfo=IST)
    assert (last["end"] - last["first"]).total_seconds() == last["minutes"] * 60
    assert found.completeness.document() == {
        "complete": False,
        "no_trade": 0,
        "source_empty": 0,
        "unknown_instrument": 0,
        "missed": 77,
        "pending": 0,
    }


def test_gaps_of_one_cause_are_listed_and_all_are_counted(ledger: Shelf) -> None:
    found = read(gaps, ledger, causes=["no_trade"])

    assert len(found.table) == 0
    assert found.completeness.lacking.total() == 77


@pytest.mark.parametrize("of", [coverage, gaps])
def test_freshness_has_the_last_change_of_the_ledger(ledger: Shelf, of: Callable[..., Any]) -> None:
    found = read(of, ledger).freshness

    assert found.newest == EVENING
    assert found.age_seconds > 0


@pytest.mark.parametrize("form", ["arrow", "pandas", "polars"])
@pytest.mark.parametrize(("of", "rows"), [(coverage, 2), (gaps, 2)])
def test_each_form_has_the_rows(
    ledger: Shelf, of: Callable[..., Any], rows: int, form: str
) -> None:
    assert len(read(of, ledger, form=form).table) == rows


@pytest.mark.parametrize("of", [coverage, gaps])
def test_a_range_without_a_trading_day_has_no_row(ledger: Shelf, of: Callable[..., Any]) -> None:
    found = read(of, ledger, first="2025-06-14", last="2025-06-15")

    assert len(found.table) == 0
    assert found.completeness.complete


@pytest.mark.parametrize("of", [coverage, gaps])
def test_an_instrument_that_was_never_requested_is_missed(
    shelf: Shelf, of: Callable[..., Any]
) -> None:
    found = read(of, shelf, last=TUESDAY)

    assert found.freshness.newest is None
    assert found.completeness.document()["missed"] == 375


@pytest.mark.parametrize("of", [coverage, gaps])
@pytest.mark.parametrize(
    ("how", "message"),
    [
        pytest.param({"symbols": "RELIANC"}, "Near: RELIANCE", id="unknown symbol"),
        pytest.param({"interval": "5minute"}, "Known: 1minute, day", id="unknown interval"),
        pytest.param({"first": WEDNESDAY, "last": TUESDAY}, "is later than", id="wrong order"),
        pytest.param({"first": "2999-01-01", "last": None}, "the present day", id="to come"),
        pytest.param({"form": "excel"}, "Known: arrow", id="unknown form"),
    ],
)
def test_invalid_arguments_are_rejected_with_a_hint(
    shelf: Shelf, of: Callable[..., Any], how: dict[str, Any], message: str
) -> None:
    with pytest.raises(SetupError, match=message) as rejected:
        read(of, shelf, **how)

    assert rejected.value.hint


def test_an_unknown_cause_is_rejected(shelf: Shelf) -> None:
    with pytest.raises(
        SetupError, match="Known: no_trade, source_empty, unknown_instrument, missed, pending"
    ):
        read(gaps, shelf, causes=["lazy"])
