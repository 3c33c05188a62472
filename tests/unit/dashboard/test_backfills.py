"""Backfills of a page: the command of a selection, its plan, its progress and its end in words."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import Proof, State
from data_fetch.core.candles.day_counts import DayCounts
from data_fetch.core.errors import SetupError
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.dashboard.backfills import Progress, Selection, progress_of
from data_fetch.dashboard.cells import shares
from data_fetch.dashboard.child import report_in
from data_fetch.dashboard.coverage_texts import (
    completeness_text,
    minute_text,
    plan_text,
    progress_text,
    report_text,
    selection_text,
)
from data_fetch.reading.coverage_minutes import MinuteFacts

NOW = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
SELECTED = Selection(
    symbols=("TCS", "M&M"),
    interval=CandleInterval.MINUTE,
    first=date(2026, 9, 1),
    last=date(2026, 9, 8),
)
PLAN = {"requests": 2, "minutes": 123_456, "seconds": 90.0, "held_back": 0, "next_attempt": None}
REPORT = {
    "run_id": "run-1",
    "outcome": "completed",
    "requests": 2,
    "windows": 2,
    "windows_done": 2,
    "stored": 750,
    "missed": 0,
    "stopped_by": None,
    "reasons": {},
}


@pytest.mark.parametrize(
    ("selection", "command"),
    [
        (SELECTED, "data-fetch backfill --symbols 'TCS,M&M' --from 2026-09-01 --to 2026-09-08"),
        (
            replace(SELECTED, symbols=("TCS",), interval=CandleInterval.DAY),
            "data-fetch backfill --symbols TCS --from 2026-09-01 --to 2026-09-08 --interval day",
        ),
    ],
)
def test_a_selection_is_a_command(selection: Selection, command: str) -> None:
    assert selection.command == command


@pytest.mark.parametrize(
    ("selection", "text"),
    [
        (SELECTED, "2 instruments, 01 Sep 2026 to 08 Sep 2026"),
        (replace(SELECTED, symbols=("TCS",), last=SELECTED.first), "TCS, 01 Sep 2026"),
    ],
)
def test_a_selection_in_words(selection: Selection, text: str) -> None:
    assert selection_text(selection) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {},
            "The plan: 2 requests for 1,23,456 minutes. Started now, the rate limits allow the "
            "last one at 15:31:30 IST.",
        ),
        ({"requests": 0}, "The plan: nothing to request."),
        (
            {"requests": 0, "held_back": 1, "next_attempt": "2026-09-17T10:00:00+05:30"},
            "The plan: nothing to request. 1 day requested before and still incomplete; the next "
            "attempt is due 17 Sep 2026 10:00:00 IST. To request now: retry failed.",
        ),
        (
            {"requests": 1, "seconds": 86_400.0},
            "The plan: 1 request for 1,23,456 minutes. Started now, the rate limits allow the last "
            "one at 17 Sep 15:30:00 IST.",
        ),
    ],
)
def test_a_plan_in_words(changes: dict[str, Any], text: str) -> None:
    assert plan_text(PLAN | changes, NOW, "minutes") == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "Backfill completed (run run-1): 2 requests, 750 candles stored, 0 minutes still "
         "missing."),
        (
            {"outcome": "incomplete", "windows_done": 1, "missed": 375},
            "Backfill incomplete (run run-1): 2 requests, 750 candles stored, 375 minutes still "
            "missing. Paused after 1 of 2 requests: resume it.",
        ),
        (
            {"outcome": "failed", "stopped_by": "the token is rejected."},
            "Backfill failed (run run-1): 2 requests, 750 candles stored, 0 minutes still missing. "
            "Stopped: the token is rejected.",
        ),
    ],
)  # fmt: skip
def test_an_end_in_words(changes: dict[str, Any], text: str) -> None:
    assert report_text(REPORT | changes, "minutes") == text


def test_the_share_that_is_present_is_that_of_the_bar() -> None:
    """Of a third each, one is rounded up."""
    thirds = DayCounts(expected=3, present=1, missed=1, no_trade=1)

    [present] = [share for state, _, share in shares(thirds) if state is State.PRESENT]

    assert completeness_text(thirds, "minutes") == f"{present:.2f} % of 3 minutes present"


@pytest.mark.parametrize("status", [0, 3, 4])
def test_a_backfill_prints_its_report(status: int) -> None:
    assert report_in(status, '{"missed": 1}\n', "Plan: ...") == {"missed": 1}


@pytest.mark.parametrize(
    ("status", "remarks", "words"),
    [
        (2, "World  paper\ndata-fetch: no token. Put it there.\n", "no token. Put it there."),
        (2, "", "the command ended without a report, with status 2"),
        (-2, "", "the command was interrupted before it began"),
    ],
)
def test_a_backfill_without_a_report_says_why(status: int, remarks: str, words: str) -> None:
    with pytest.raises(SetupError) as refused:
        report_in(status, "", remarks)

    assert refused.value.message == words


def run(pid: int, **details: object) -> SyncRun:
    begun = SyncRun.begin("backfill", NOW)
    facts = {"process": {"pid": pid, "host": "here"}, **details}
    return begun.finish(NOW, Outcome.RUNNING, requested=8, stored=750, details=facts)


def test_progress_is_that_of_the_run_of_the_process() -> None:
    runs = [run(7, windows_done=1), run(8, windows_done=2), SyncRun.begin("backfill", NOW)]

    assert progress_of(8, runs) == Progress(windows=8, done=2, stored=750)
    assert progress_of(9, runs) is None
    assert progress_text(progress_of(8, runs)) == "2 of 8 requests done, 750 candles stored."
    assert progress_text(None) == "The backfill is starting."


def test_a_minute_says_its_request_and_its_run() -> None:
    made = SyncRun.begin("backfill", NOW).finish(NOW, Outcome.COMPLETED, requests=5)
    proof = Proof("complete response", made.run_id, NOW + timedelta(seconds=1))

    facts = MinuteFacts(state=State.SOURCE_EMPTY, origin=None, proof=proof, run=made)

    assert minute_text(facts) == (
        "empty at the provider. Proof: complete response, 16 Sep 2026 15:30:01 IST. "
        f"Run {made.run_id}: backfill, begun 16 Sep 2026 15:30:00 IST, 5 requests, completed."
    )
    unproved = MinuteFacts(state=State.MISSED, origin=None, proof=None, run=None)
    assert minute_text(unproved) == "missed. No response says anything of it."
    assert minute_text(None) == "nothing is expected."
