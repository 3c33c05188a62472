"""Instruments and runs as tables."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from candle_shelf import RELIANCE, TUESDAY, WEDNESDAY, Shelf, stock

from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.reading import instruments, runs
from data_fetch.storage.runs import record_runs

NOON = datetime(2025, 6, 10, 6, 30, tzinfo=UTC)
FUTURE = Instrument(
    instrument_key="NSE_FO|1|26-06-2025",
    live_key="NSE_FO|1",
    symbol="RELIANCE FUT 26 JUN 25",
    segment="NSE_FO",
    instrument_type="FUT",
    underlying_key=RELIANCE.instrument_key,
    underlying_symbol="RELIANCE",
    expiry=date(2025, 6, 26),
    lot_size=500,
    tick_size=Decimal("0.05"),
)


def test_instruments_are_listed_with_their_terms(shelf: Shelf) -> None:
    shelf.lists(WEDNESDAY, FUTURE, RELIANCE)

    found = instruments(settings=shelf.settings)

    rows = {row["symbol"]: row for row in found.table.to_pylist()}
    assert list(rows) == ["RELIANCE", "RELIANCE FUT 26 JUN 25"]
    future = rows["RELIANCE FUT 26 JUN 25"]
    assert (future["expiry"], future["lot_size"], future["tick_size"]) == (
        date(2025, 6, 26),
        500,
        0.05,
    )
    assert rows["RELIANCE"]["first_seen"] == TUESDAY
    assert found.completeness.document() == {
        "complete": True,
        "instruments": 2,
        "listed": 2,
        "master_date": "2025-06-11",
    }
    assert found.freshness.newest == datetime(2025, 6, 11, tzinfo=UTC)


def test_an_instrument_that_the_last_master_lacked_is_not_counted_as_listed(shelf: Shelf) -> None:
    shelf.lists(WEDNESDAY, stock("TCS", "INE467B01029"))

    held = instruments(settings=shelf.settings).completeness

    assert (held.instruments, held.listed) == (2, 1)


@pytest.mark.parametrize(
    ("how", "symbols"),
    [
        pytest.param({"symbols": "RELIANCE"}, ["RELIANCE"], id="by symbol"),
        pytest.param({"underlying": "RELIANCE"}, ["RELIANCE FUT 26 JUN 25"], id="by underlying"),
        pytest.param({"expiry": "2025-06-26"}, ["RELIANCE FUT 26 JUN 25"], id="by expiry"),
        pytest.param({"expiry": "2025-07-31"}, [], id="an expiry without contracts"),
        pytest.param({"segment": "NSE_EQ"}, ["RELIANCE"], id="by segment"),
    ],
)
@pytest.mark.parametrize("form", ["arrow", "pandas", "polars"])
def test_instruments_are_chosen(
    shelf: Shelf, how: dict[str, Any], symbols: list[str], form: str
) -> None:
    shelf.lists(TUESDAY, FUTURE, RELIANCE)

    found = instruments(form=form, settings=shelf.settings, **how)

    assert [str(symbol) for symbol in found.table["symbol"]] == symbols
    assert found.completeness.instruments == len(symbols)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        pytest.param({"symbols": "RELIANC"}, "Near: RELIANCE", id="unknown symbol"),
        pytest.param({"underlying": "TCS"}, "no instrument named TCS", id="unknown underlying"),
        pytest.param({"segment": "BSE_EQ"}, "Stored: NSE_EQ", id="unknown segment"),
        pytest.param({"expiry": "soon"}, "is not a date", id="no date"),
        pytest.param({"form": "excel"}, "Known: arrow", id="unknown form"),
    ],
)
def test_invalid_choices_are_rejected_with_a_hint(
    shelf: Shelf, how: dict[str, Any], message: str
) -> None:
    with pytest.raises(SetupError, match=message) as rejected:
        instruments(settings=shelf.settings, **how)

    assert rejected.value.hint


@pytest.fixture
def audited(shelf: Shelf) -> Shelf:
    """Three runs of Tuesday noon: quotes twice, the second one failed, and a backfill."""
    quotes = SyncRun.begin("quotes", NOON, NOON)
    failed = SyncRun.begin("quotes", NOON + timedelta(minutes=1), NOON + timedelta(minutes=1))
    backfill = SyncRun.begin("backfill", NOON + timedelta(minutes=2))
    record_runs(
        shelf.store,
        [
            quotes.finish(NOON + timedelta(seconds=1), Outcome.COMPLETED, requested=2, stored=2),
            failed.finish(NOON + timedelta(seconds=61), Outcome.FAILED, error="no token"),
            replace(
                backfill.finish(NOON + timedelta(minutes=3), Outcome.COMPLETED, stored=375),
                details={"windows": 1},
            ),
        ],
    )
    return shelf


def test_runs_are_listed_newest_first_with_their_facts(audited: Shelf) -> None:
    found = runs(TUESDAY, TUESDAY, settings=audited.settings)

    rows = found.table.to_pylist()
    assert [row["job"] for row in rows] == ["backfill", "quotes", "quotes"]
    assert [row["error"] for row in rows] == [None, "no token", None]
    assert rows[0]["details"] == '{"windows":1}'
    assert (rows[2]["due_slot"], rows[2]["stored"]) == (NOON, 2)
    assert found.freshness.newest == NOON + timedelta(minutes=3)


def test_outcomes_are_counted(audited: Shelf) -> None:
    held = runs("2025-06-10", "2025-06-10", job="quotes", settings=audited.settings).completeness

    assert held.document() == {
        "complete": False,
        "completed": 1,
        "incomplete": 0,
        "failed": 1,
        "missed": 0,
        "not_due": 0,
        "running": 0,
        "interrupted": 0,
    }


@pytest.mark.parametrize("form", ["arrow", "pandas", "polars"])
def test_a_range_without_a_run_has_no_row(audited: Shelf, form: str) -> None:
    found = runs(WEDNESDAY, WEDNESDAY, form=form, settings=audited.settings)

    assert len(found.table) == 0
    assert (found.completeness.complete, found.freshness.newest) == (True, None)


@pytest.mark.parametrize("form", ["arrow", "pandas", "polars"])
def test_each_form_has_the_runs(audited: Shelf, form: str) -> None:
    assert len(runs(NOON, NOON + timedelta(minutes=2), form=form, settings=audited.settings).table)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        pytest.param({"job": "quote"}, "Stored: backfill, quotes", id="unknown job"),
        pytest.param({"first": WEDNESDAY}, "is later than", id="wrong order"),
        pytest.param({"form": "excel"}, "Known: arrow", id="unknown form"),
    ],
)
def test_invalid_ranges_are_rejected_with_a_hint(
    audited: Shelf, how: dict[str, Any], message: str
) -> None:
    given = {"first": TUESDAY, "last": TUESDAY, **how}

    with pytest.raises(SetupError, match=message) as rejected:
        runs(settings=audited.settings, **given)

    assert rejected.value.hint


def test_a_job_without_a_run_in_the_range_has_an_empty_table(audited: Shelf) -> None:
    assert len(runs(WEDNESDAY, WEDNESDAY, job="quotes", settings=audited.settings).table) == 0
