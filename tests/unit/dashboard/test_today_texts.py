"""What the page Today says."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from pyarrow import parquet

from data_fetch.core.clock import MINUTE
from data_fetch.core.feed.tick_ages import TickAges
from data_fetch.core.freshness import Freshness, count_states
from data_fetch.dashboard.downloads import csv_bytes, parquet_bytes
from data_fetch.dashboard.numbers import span_text
from data_fetch.dashboard.today_texts import (
    budget_rows,
    completeness,
    error_line,
    freshness_rows,
    market_words,
    pause_lines,
    slot_table,
)
from data_fetch.reading.collector_facts import ProviderFigures
from data_fetch.reading.freshness_classes import ClassFreshness
from data_fetch.reading.last_errors import LastError
from data_fetch.reading.market_day import DaySlot, MarketDay, SlotState
from data_fetch.runtime.pauses import WindowUse

# 10:00 IST of a Wednesday.
NOW = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)


def day_with(*states: SlotState, is_open: bool = True) -> MarketDay:
    slots = [
        DaySlot(slot=NOW + minute * MINUTE, state=state) for minute, state in enumerate(states)
    ]
    return MarketDay(
        at=NOW,
        day=date(2026, 9, 16),
        is_open=is_open,
        next_open=NOW + timedelta(hours=23, minutes=15),
        slots=slots,
    )


@pytest.mark.parametrize(
    ("states", "text"),
    [
        ([], "0 of 0 slots of 16 Sep collected"),
        ([SlotState.COLLECTED, SlotState.PENDING], "1 of 1 slots of 16 Sep collected"),
        (
            [SlotState.COLLECTED, SlotState.MISSED, SlotState.MISSED, SlotState.UNRECORDED],
            "1 of 4 slots of 16 Sep collected, 2 missed, 1 unrecorded",
        ),
    ],
)
def test_completeness_counts_the_slots_that_are_over(states: list[SlotState], text: str) -> None:
    assert completeness(day_with(*states)) == text


def test_a_closed_market_says_when_it_opens() -> None:
    assert market_words(day_with()) == "open"
    assert market_words(day_with(is_open=False)) == "closed until Thu 17 Sep 09:15"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (None, "–"),
        (timedelta(milliseconds=420), "420 ms"),
        (timedelta(seconds=59.9), "59.9 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(hours=26, minutes=5), "26 h 5 min"),
    ],
)
def test_spans_are_short(span: timedelta | None, text: str) -> None:
    assert span_text(span) == text


STOCKS = ClassFreshness(
    name="stock quotes",
    counts=count_states([Freshness.FRESH, Freshness.FRESH, Freshness.STOPPED]),
    newest=NOW - MINUTE,
    notable=["TCS"],
    ticks=TickAges(),
)
UNSEEN = ClassFreshness(
    name="option chains", counts=count_states([]), newest=None, notable=[], ticks=TickAges()
)


def test_freshness_has_a_column_for_each_class() -> None:
    rows = freshness_rows([STOCKS, UNSEEN], NOW)

    assert [tuple(row.values()) for row in rows] == [
        ("fresh", "2", "0"),
        ("stopped", "1", "0"),
        ("frozen", "0", "0"),
        ("never seen", "0", "0"),
        ("market closed", "0", "0"),
        ("newest", "09:59:00", "–"),
        ("age", "1 min", "–"),
    ]
    assert list(rows[0]) == ["symbols", "stock quotes", "option chains"]


def test_freshness_has_the_age_of_ticks_while_they_are_expected() -> None:
    ticking = TickAges(
        median=timedelta(seconds=1.2),
        oldest=timedelta(seconds=42),
        oldest_symbol="IDEA",
        without=["TCS", "SBIN"],
    )

    rows = freshness_rows([replace(STOCKS, ticks=ticking), UNSEEN], NOW)

    assert [tuple(row.values()) for row in rows[-3:]] == [
        ("tick age, median", "1.2 s", "–"),
        ("oldest tick", "42.0 s IDEA", "–"),
        ("without a tick today", "2", "0"),
    ]


def test_a_budget_is_used_and_left() -> None:
    windows = [WindowUse("market-quote", timedelta(minutes=30), 1_234, 2_000)]

    assert budget_rows(ProviderFigures({}, windows)) == [
        {
            "API": "market-quote",
            "window": "30 min",
            "used": "1,234",
            "left": "766",
            "limit": "2,000",
        }
    ]
    assert pause_lines({"nse": NOW}) == [
        "nse wants no request until 16 Sep 2026 10:00:00 IST. The collector waits by itself."
    ]


def test_an_error_says_how_often_it_came() -> None:
    error = LastError(job="quotes", outcome="failed", error="Renew it.", times=3, last_ended=NOW)

    assert error_line(error) == (
        "**16 Sep 2026 10:00:00 IST** · quotes failed, 3 times in 8 days: Renew it."
    )


def test_downloads_have_what_is_shown() -> None:
    slots = [
        DaySlot(
            slot=NOW, state=SlotState.COLLECTED, requested=5, stored=5, lag=timedelta(seconds=1)
        ),
        DaySlot(slot=NOW + MINUTE, state=SlotState.MISSED, reason='a "reason", quoted'),
    ]
    table = slot_table(slots)

    assert parquet.read_table(pa.BufferReader(parquet_bytes(table))).to_pylist() == (
        table.to_pylist()
    )
    assert csv_bytes(table).decode().splitlines()[2].endswith('"a ""reason"", quoted"')
    assert [row["slot"] for row in table.to_pylist()] == [NOW, NOW + MINUTE]
