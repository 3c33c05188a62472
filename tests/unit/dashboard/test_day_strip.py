"""The strip of a day: a cell for each slot, and in words what is missing."""

from datetime import UTC, datetime, timedelta

from data_fetch.core.clock import MINUTE
from data_fetch.dashboard.day_strip import cell_text, holes, strip_html
from data_fetch.reading.market_day import DaySlot, SlotState

# 09:58 IST.
FIRST = datetime(2026, 9, 16, 4, 28, tzinfo=UTC)
HTML = "<the provider> returned 'HTML'"


def slot(minute: int, state: SlotState, reason: str | None = None) -> DaySlot:
    return DaySlot(slot=FIRST + minute * MINUTE, state=state, reason=reason)


SLOTS = [
    DaySlot(
        slot=FIRST,
        state=SlotState.COLLECTED,
        requested=214,
        stored=214,
        lag=timedelta(seconds=0.42),
    ),
    slot(1, SlotState.MISSED, HTML),
    slot(2, SlotState.MISSED, HTML),
    slot(3, SlotState.UNRECORDED),
    slot(5, SlotState.UNRECORDED),
    slot(6, SlotState.PENDING),
]


def test_a_cell_says_what_became_of_its_slot() -> None:
    assert cell_text(SLOTS[0]) == "09:58 collected, 214 of 214 stored, 420 ms after the minute"
    assert cell_text(SLOTS[1]) == f"09:59 missed: {HTML}"


def test_holes_are_stretches_with_one_reason() -> None:
    assert [each.sentence for each in holes(SLOTS)] == [
        f"09:59 to 10:00: 2 slots missed: {HTML}",
        "10:01: 1 slot unrecorded",
        "10:03: 1 slot unrecorded",
    ]


def test_the_strip_has_a_row_for_each_hour_and_no_markup_of_a_reason() -> None:
    html = strip_html(SLOTS)

    assert html.count("class='strip-hour'") == 2
    assert html.count("title=") == len(SLOTS)
    assert "<the provider>" not in html
    assert "2 missed" in html
