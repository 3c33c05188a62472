"""The jobs that are due at an instant, and the next instant of a job."""

from datetime import datetime, time

import pytest

from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    INDEX,
    INDIA_VIX,
    OTHER_STOCK,
    MarketCalendar,
    TradingGroup,
)
from data_fetch.core.timetable import (
    CANDLES,
    CHAINS,
    COVERAGE,
    DAILY,
    FEED_CLOSE,
    FINALISE,
    FRESHNESS,
    QUOTES,
    WEEKLY,
    DailyAt,
    EverySlot,
    next_due,
    next_morning,
    standard_timetable,
)

CALENDAR = MarketCalendar.reviewed()
SLOT = [QUOTES, FEED_CLOSE]
TIMETABLE = standard_timetable(CALENDAR, {F_AND_O_STOCK, INDEX})


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@pytest.mark.parametrize(
    ("at", "jobs"),
    [
        pytest.param("2026-07-01 09:15:00", [], id="the open: no slot is over yet"),
        pytest.param("2026-07-01 09:16:00", SLOT, id="slot 09:15 is over"),
        pytest.param(
            "2026-07-01 15:30:00",
            SLOT,
            id="slot 15:29, though the market is closed",
        ),
        pytest.param("2026-07-01 15:31:00", [], id="there is no slot 15:30"),
        pytest.param("2026-07-01 09:16:20", [FRESHNESS], id="freshness, every second minute"),
        pytest.param("2026-07-01 09:17:20", [], id="not every minute"),
        pytest.param("2026-07-01 09:20:40", [COVERAGE], id="coverage, every fifth minute"),
        pytest.param("2026-07-01 16:00:00", [DAILY], id="the day's gaps"),
        pytest.param("2026-07-01 09:16:10", [CANDLES], id="the candle of 09:15 is published"),
        pytest.param("2026-07-01 15:30:10", [CANDLES], id="the candle of 15:29"),
        pytest.param("2026-07-01 15:31:10", [], id="there is no candle of 15:30"),
        pytest.param("2026-09-16 15:15:10", [CANDLES], id="the candle of 15:14 before the auction"),
        pytest.param("2026-09-16 15:36:10", [], id="the auction has no candle of its own minute"),
        pytest.param("2026-07-01 20:00:00", [FINALISE], id="the last days become final"),
        pytest.param("2026-07-04 20:00:00", [], id="a Saturday"),
        pytest.param("2026-07-04 16:00:00", [], id="a Saturday has no 16:00"),
        pytest.param("2026-07-05 10:00:00", [WEEKLY], id="Sunday 10:00"),
        pytest.param("2026-07-05 09:16:00", [], id="no quotes on a Sunday"),
        pytest.param("2026-02-01 09:16:00", SLOT, id="but on the Budget Sunday"),
        pytest.param("2026-01-26 09:16:00", [], id="a holiday"),
        pytest.param("2025-10-21 13:46:00", SLOT, id="Muhurat in the afternoon"),
        pytest.param("2025-10-21 09:16:00", [], id="and no morning before it"),
        pytest.param("2026-09-16 15:15:00", SLOT, id="slot 15:14 before the closing auction"),
        pytest.param("2026-09-16 15:16:00", [], id="no slot while the auction runs"),
        pytest.param("2026-09-16 15:36:00", SLOT, id="the auction's one slot"),
        pytest.param("2026-09-16 15:16:20", [], id="no freshness alarm in the auction gap"),
    ],
)
def test_jobs_due_at_an_instant(at: str, jobs: list[str]) -> None:
    assert [job for job in TIMETABLE.due(ist(at)) if job != CHAINS] == jobs


@pytest.mark.parametrize(
    ("at", "due"),
    [
        pytest.param("2026-07-01 09:14:55", False, id="before the open"),
        pytest.param("2026-07-01 09:15:00", True, id="the open"),
        pytest.param("2026-07-01 09:15:05", True, id="every five seconds"),
        pytest.param("2026-07-01 09:15:07", False, id="not in between"),
        pytest.param("2026-07-01 15:30:00", True, id="the close itself"),
        pytest.param("2026-07-01 15:30:05", False, id="after the close"),
        pytest.param("2026-09-16 15:20:00", True, id="contracts trade through the cash auction"),
        pytest.param("2026-09-16 15:40:00", True, id="to 15:40"),
        pytest.param("2026-09-16 15:40:05", False, id="not longer"),
        pytest.param("2026-09-16 15:45:00", True, id="a look five minutes after the close"),
        pytest.param("2026-09-16 15:45:05", False, id="one look, not a session"),
        pytest.param("2026-09-16 16:10:00", True, id="and one half an hour after it"),
        pytest.param("2024-03-02 10:05:00", False, id="not after the first window of a day"),
        pytest.param("2025-10-21 13:45:00", True, id="Muhurat in the afternoon"),
        pytest.param("2026-07-04 11:00:00", False, id="a Saturday"),
    ],
)
def test_chains_are_due_in_the_hours_of_futures_and_options(at: str, due: bool) -> None:
    assert (CHAINS in TIMETABLE.due(ist(at))) is due


def test_the_time_of_finalising_can_be_configured() -> None:
    late = standard_timetable(CALENDAR, {F_AND_O_STOCK}, time(22, 30))

    assert late.due(ist("2026-07-01 22:30:00")) == [FINALISE]
    assert late.due(ist("2026-07-01 20:00:00")) == []


@pytest.mark.parametrize(
    ("groups", "slots"),
    [
        pytest.param({F_AND_O_STOCK}, 361, id="an F&O stock: 360 minutes and the auction"),
        pytest.param({F_AND_O_STOCK, INDEX}, 361, id="indices have the same slots"),
        pytest.param({OTHER_STOCK}, 375, id="another stock trades to 15:30"),
        pytest.param({INDIA_VIX}, 375, id="India VIX has no auction"),
        pytest.param({FUTURES_AND_OPTIONS}, 385, id="F&O to 15:40"),
        pytest.param({F_AND_O_STOCK, INDIA_VIX}, 376, id="together: every minute and the auction"),
    ],
)
def test_slots_of_a_closing_auction_day(groups: set[TradingGroup], slots: int) -> None:
    assert len(EverySlot(CALENDAR, groups).on(ist("2026-09-16").date())) == slots


@pytest.mark.parametrize(
    ("after", "due"),
    [
        pytest.param("2026-07-01 12:00:30", "2026-07-01 12:01:00", id="within the session"),
        pytest.param("2026-07-01 12:01:00", "2026-07-01 12:02:00", id="never the same again"),
        pytest.param("2026-07-01 15:30:00", "2026-07-02 09:16:00", id="over night"),
        pytest.param("2026-07-03 20:00:00", "2026-07-06 09:16:00", id="over a weekend"),
        pytest.param("2026-01-23 20:00:00", "2026-01-27 09:16:00", id="over a long weekend"),
        pytest.param("2024-03-02 10:00:00", "2024-03-02 11:31:00", id="between a drill's windows"),
    ],
)
def test_the_next_slot_after_an_instant(after: str, due: str) -> None:
    assert next_due(EverySlot(CALENDAR, {F_AND_O_STOCK}), ist(after)) == ist(due)


def test_a_rule_that_is_never_due_has_no_next_instant() -> None:
    never = DailyAt(CALENDAR, set(), time(16, 0))

    assert next_due(never, ist("2026-07-01")) is None


@pytest.mark.parametrize(
    ("after", "morning"),
    [
        ("2026-07-01 08:29:59", "2026-07-01 08:30:00"),
        ("2026-07-01 08:30:00", "2026-07-02 08:30:00"),
        ("2026-12-31 15:00:00", "2027-01-01 08:30:00"),
    ],
)
def test_the_next_morning_does_not_depend_on_the_calendar(after: str, morning: str) -> None:
    assert next_morning(ist(after)) == ist(morning)
