"""`data-fetch archive run`: the workers of the archive."""

import os
import signal
import sys
from threading import Event
from typing import Any

import click

from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, print_out, remark
from data_fetch.cli.shared.parent import follow_parent
from data_fetch.core.clock import LONGEST_NAP_SECONDS
from data_fetch.core.runs import SyncRun
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import ARCHIVE_DAYS, ARCHIVE_LOAD, ARCHIVE_MINUTES
from data_fetch.runtime.archive import (
    DayRounds,
    archive_folder_for,
    archive_workers_for,
    days_by_workers,
    days_here,
)
from data_fetch.runtime.archive_threads import OptionsThreadedManager
from data_fetch.runtime.logs import ARCHIVE, logs_for
from data_fetch.runtime.settings import process_settings

# What each job counts.
FILES = {ARCHIVE_MINUTES: "minute file", ARCHIVE_LOAD: "file", ARCHIVE_DAYS: "sealed day"}
# A collector in the same machine comes first.
NICENESS = 10


@click.command()
@click.option("--once", is_flag=True, help="One round of each worker, then a report.")
@click.option("--distributed", is_flag=True, help="Leave the files of days to `data-fetch worker`.")
@click.option("--with-parent", is_flag=True, hidden=True)
@json_option
def command(once: bool, distributed: bool, with_parent: bool, as_json: bool) -> None:
    """Write each minute to Parquet files, and join them every five minutes, until Ctrl-C.

    Works beside a collector or without one; `data-fetch run` does the same by itself unless
    ARCHIVE_ENABLED=false.
    """
    settings = process_settings()
    days = days_by_workers if distributed else days_here
    if once:
        _one_round(settings, days, as_json)
        return
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    if with_parent:
        # In the background of the collector that has started it.
        if hasattr(os, "nice"):
            os.nice(NICENESS)
        follow_parent()
    token = settings.access_token.get_secret_value()
    with logs_for(settings, lambda: token, ARCHIVE):
        _until(stop, settings, days, as_json)


def _one_round(settings: Settings, days: DayRounds, as_json: bool) -> None:
    with archive_workers_for(settings, remark, days) as workers:
        runs = workers.once()
    if as_json:
        emit({**_place(settings), "runs": [_document(run) for run in runs]})
    else:
        for run in runs:
            print_out(_line(run))
        if days is days_by_workers:
            print_out("Days that are due wait for `data-fetch worker`: data-fetch status")
        print_out(f"Query it: duckdb -readonly {archive_folder_for(settings).database}")
    if any(run.error for run in runs):
        sys.exit(INCOMPLETE)


def _line(run: SyncRun) -> str:
    if run.error is not None:
        return f"{run.job}: failed. {run.error}"
    rows = run.details.get("rows", 0)
    return f"{run.job}: {counted(run.stored, FILES[run.job])} with {rows:,} rows written"


def _document(run: SyncRun) -> dict[str, Any]:
    facts = {"rows": 0, "removed": 0, **run.details}
    return {"job": run.job, "outcome": str(run.outcome), "files": run.stored, **facts} | {
        "error": run.error
    }


def _place(settings: Settings) -> dict[str, Any]:
    folder = archive_folder_for(settings)
    return {"folder": str(folder.root), "database": str(folder.database)}


def _until(stop: Event, settings: Settings, days: DayRounds, as_json: bool) -> None:
    manager = OptionsThreadedManager(settings, remark, days)
    manager.start_all_threads()
    if not as_json:
        remark(f"Archiving into {archive_folder_for(settings).root}. Ctrl-C ends it.")
    # Some systems deliver a signal only between two waits.
    while not stop.wait(LONGEST_NAP_SECONDS):
        pass
    statuses = manager.get_thread_status()
    manager.stop_all_threads()
    rounds = {job: status.rounds for job, status in statuses.items()}
    if as_json:
        errors = {job: status.error for job, status in statuses.items()}
        emit({**_place(settings), "rounds": rounds, "errors": errors})
    else:
        done = ", ".join(f"{counted(number, 'round')} of {job}" for job, number in rounds.items())
        remark(f"Stopped after {done}.")
