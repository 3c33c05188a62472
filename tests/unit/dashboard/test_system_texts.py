"""What the page System says."""

from datetime import UTC, date, datetime

import pytest

from data_fetch.dashboard.system_texts import (
    bytes_text,
    check_line,
    collector_sentence,
    growth_figure,
)
from data_fetch.reading.job_figures import CollectorState
from data_fetch.reading.setup_checks import Check, State
from data_fetch.reading.store_growth import DayGrowth

NOW = datetime(2026, 9, 16, 10, tzinfo=UTC)
LEADER = "process 4711 on host-2"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (7_028_736, "7.0 MB"),
        (2 * 10**9, "2.0 GB"),
    ],
)
def test_sizes_are_decimal(size: int, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("runs", "leader", "text"),
    [
        (True, LEADER, f"A collector is running ({LEADER})."),
        (
            False,
            LEADER,
            f"No collector is running. The last one was {LEADER}. Start one: `data-fetch run`",
        ),
        (False, None, "No collector is running. Start one: `data-fetch run`"),
    ],
)
def test_it_says_whether_a_collector_runs(runs: bool, leader: str | None, text: str) -> None:
    state = CollectorState(at=NOW, runs=runs, leader=leader, jobs=[])

    assert collector_sentence(state) == text


def test_a_check_has_its_fix() -> None:
    check = Check("disk", State.WARNING, "1 GB free in /data", "Make room.")

    assert check_line(check) == "⚠ **disk**: 1 GB free in /data. Make room."


def test_growth_has_a_bar_for_each_job_and_day() -> None:
    days = [
        DayGrowth(date(2026, 9, 15), {"quotes": 80_250}),
        DayGrowth(date(2026, 9, 16), {"quotes": 10, "candles": 20}),
    ]

    bars = growth_figure(days).data

    assert {bar.name: list(bar.y) for bar in bars} == {"quotes": [80_250, 10], "candles": [0, 20]}
    assert bars[0].customdata[0] == "80,250"
