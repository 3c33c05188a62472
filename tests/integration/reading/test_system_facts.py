"""Storage growth, jobs and log lines, at known instants of a small store."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from logging import getLogger
from pathlib import Path

import pytest
from candle_shelf import RELIANCE, TUESDAY, Shelf, whole_day
from freezegun import freeze_time

from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.reading.job_figures import collector_state
from data_fetch.reading.log_lines import READ_BYTES, log_lines
from data_fetch.reading.store_growth import store_growth
from data_fetch.runtime.logs import logs_for
from data_fetch.storage.runs import record_runs

# 09:15 IST of Wednesday; the IST day began at 18:30 UTC of Tuesday.
OPENS = datetime(2025, 6, 11, 3, 45, tzinfo=UTC)
BEGINS = datetime(2025, 6, 10, 18, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def run_at(job: str, at: datetime, stored: int) -> SyncRun:
    return SyncRun.begin(job, at).finish(at + SECOND, Outcome.COMPLETED, stored=stored)


def test_growth_counts_the_rows_of_each_indian_day_by_job(shelf: Shelf) -> None:
    record_runs(
        shelf.store,
        [
            run_at("quotes", BEGINS - SECOND, 5),
            run_at("quotes", BEGINS, 7),
            run_at("candles", OPENS, 11),
            run_at("candles", OPENS, 13),
            run_at("freshness", OPENS, 0),
            run_at("quotes", OPENS - timedelta(days=30), 17),
        ],
    )
    with freeze_time(OPENS):
        found = store_growth(shelf.settings)

    assert found.size_bytes > 100_000
    assert [each.day for each in found.days] == [
        date(2025, 5, 29) + timedelta(days=count) for count in range(14)
    ]
    assert [each.stored for each in found.days if each.stored] == [
        {"quotes": 5},
        {"candles": 24, "quotes": 7},
    ]


def test_jobs_have_their_runs_of_today_and_when_they_are_due(shelf: Shelf) -> None:
    shelf.keeps(RELIANCE, TUESDAY, whole_day())
    record_runs(shelf.store, [run_at("quotes", OPENS, 214), run_at("backfill", OPENS, 375)])
    with freeze_time(OPENS + 30 * SECOND):
        found = collector_state(shelf.settings)

    jobs = {each.name: each for each in found.jobs}
    assert found.runs is False
    assert jobs["quotes"].outcomes == {"completed": 1}
    assert (jobs["quotes"].stored, jobs["quotes"].last_ended) == (214, OPENS + SECOND)
    # A slot is collected when it is over.
    assert jobs["quotes"].next_due == OPENS + timedelta(minutes=1)
    assert (jobs["backfill"].stored, jobs["backfill"].next_due) == (375, None)


@pytest.fixture
def logged(shelf: Shelf) -> Iterator[Path]:
    """The folder of log files that a collector writes to."""
    with logs_for(shelf.settings, lambda: "a-secret-token"):
        log = getLogger("data_fetch.ltp_service")
        log.info("slot", extra={"stored": 214})
        log.warning("refused", extra={"token": "a-secret-token"})
        getLogger("data_fetch.data_scheduler").error("ended")
        yield shelf.settings.log_folder


def test_log_lines_are_of_all_services_the_newest_first(shelf: Shelf, logged: Path) -> None:
    found = log_lines(shelf.settings)

    assert [(each.service, each.level, each.event) for each in found] == [
        ("data_scheduler", "error", "ended"),
        ("ltp_service", "warning", "refused"),
        ("ltp_service", "info", "slot"),
    ]
    assert found[2].fields == {"stored": 214}
    assert [each.event for each in log_lines(shelf.settings, least="error")] == ["ended"]
    assert len(log_lines(shelf.settings, limit=1)) == 1


@pytest.mark.parametrize("junk", [b"not json\n", b"{}\n", b"[]\n", b"\xff\xfe\n", b'"text"\n'])
def test_what_is_no_log_line_is_left_out(shelf: Shelf, logged: Path, junk: bytes) -> None:
    with (logged / "ltp_service.log").open("ab") as file:
        file.write(junk * (READ_BYTES // len(junk) - 1000))

    assert [each.event for each in log_lines(shelf.settings)] == ["ended", "refused", "slot"]


def test_without_logs_there_are_no_lines(shelf: Shelf) -> None:
    assert log_lines(shelf.settings) == []
