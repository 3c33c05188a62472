"""The slots of the trading day that is shown, at known instants of a small store."""

from datetime import UTC, date, datetime, timedelta

import pytest
from candle_shelf import RELIANCE, TUESDAY, Shelf, whole_day
from freezegun import freeze_time

from data_fetch.core.clock import MINUTE
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.reading.last_errors import last_errors
from data_fetch.reading.market_day import RECORDED_WITHIN, MarketDay, SlotState, market_day
from data_fetch.storage.runs import record_runs

# 09:15 IST of Wednesday.
OPENS = datetime(2025, 6, 11, 3, 45, tzinfo=UTC)
WEDNESDAY = date(2025, 6, 11)
LAG = timedelta(seconds=2)
REASON = "the provider returned HTML"


def quotes_run(minute: int, outcome: Outcome, **counts: int) -> SyncRun:
    slot = OPENS + minute * MINUTE
    begun = SyncRun.begin("quotes", slot + MINUTE, slot)
    error = REASON if outcome in {Outcome.FAILED, Outcome.MISSED} else None
    return begun.finish(slot + MINUTE + LAG, outcome, requested=3, error=error, **counts)


@pytest.fixture
def collected(shelf: Shelf) -> Shelf:
    shelf.keeps(RELIANCE, TUESDAY, whole_day())
    record_runs(
        shelf.store,
        [
            quotes_run(0, Outcome.COMPLETED, stored=3),
            quotes_run(1, Outcome.INCOMPLETE, stored=1, absent=2),
            quotes_run(2, Outcome.MISSED),
            quotes_run(3, Outcome.FAILED),
            quotes_run(3, Outcome.COMPLETED, stored=3),
        ],
    )
    return shelf


def day_at(shelf: Shelf, now: datetime) -> MarketDay:
    with freeze_time(now):
        return market_day(shelf.settings)


def test_each_slot_has_its_state_its_lag_and_its_reason(collected: Shelf) -> None:
    found = day_at(collected, OPENS + 6 * MINUTE + RECORDED_WITHIN)

    assert [(one.state, one.stored, one.lag, one.reason) for one in found.slots[:4]] == [
        (SlotState.COLLECTED, 3, LAG, None),
        (SlotState.INCOMPLETE, 1, LAG, "2 absent"),
        (SlotState.MISSED, 0, None, REASON),
        (SlotState.COLLECTED, 3, LAG, None),
    ]
    assert {one.state for one in found.slots[4:6]} == {SlotState.UNRECORDED}
    assert {one.state for one in found.slots[6:]} == {SlotState.PENDING}
    assert (found.due, sum(found.counts.values())) == (6, len(found.slots))
    assert (found.last_lag, found.usual_lag) == (LAG, LAG)


@pytest.mark.parametrize(
    ("now", "is_open", "day", "next_open"),
    [
        pytest.param(OPENS, True, WEDNESDAY, OPENS + timedelta(days=1), id="open"),
        pytest.param(OPENS - MINUTE, False, WEDNESDAY, OPENS, id="before the open"),
        pytest.param(
            OPENS + timedelta(days=3),
            False,
            date(2025, 6, 13),
            OPENS + timedelta(days=5),
            id="on a Saturday, Friday is shown",
        ),
    ],
)
def test_the_shown_day_is_the_last_that_trades(
    collected: Shelf, now: datetime, is_open: bool, day: date, next_open: datetime
) -> None:
    found = day_at(collected, now)

    assert (found.is_open, found.day, found.next_open) == (is_open, day, next_open)


def test_an_error_is_named_once_with_how_often_it_came(collected: Shelf) -> None:
    record_runs(collected.store, [quotes_run(minute, Outcome.FAILED) for minute in (5, 6)])
    with freeze_time(OPENS + timedelta(hours=1)):
        found = last_errors(collected.settings)

    assert [(one.outcome, one.error, one.times) for one in found] == [
        ("failed", REASON, 3),
        ("missed", REASON, 1),
    ]
