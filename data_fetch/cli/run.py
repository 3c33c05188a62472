"""`data-fetch run`: collect until told to stop."""

import signal
from collections.abc import Sequence
from dataclasses import replace
from threading import Thread
from types import FrameType

import click

from data_fetch.cli.shared.output import clock_time, note, say, slot_name
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import CHAIN_IMPORT, CHAIN_REPROCESS
from data_fetch.scheduling.scheduler import data_scheduler

# What jobs without a slot store, if not candles.
STORES = {CHAIN_IMPORT: "chains", CHAIN_REPROCESS: "chains"}


class ProgressReporter:
    """One line a slot, for somebody who watches."""

    def __init__(self) -> None:
        self.slots = 0
        self.quotes = 0
        self._last_error: str | None = None

    def message(self, text: str) -> None:
        note(text)

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        self.slots += run.outcome in {Outcome.COMPLETED, Outcome.INCOMPLETE}
        self.quotes += run.stored
        # The cure of a trouble that lasts is said once.
        again = run.error is not None and run.error == self._last_error
        self._last_error = run.error
        say(slot_line(replace(run, error="as before") if again else run))


def run_line(run: SyncRun) -> str:
    """What one run of any job came to."""
    if run.due_slot is not None:
        return slot_line(run)
    why = f": {run.error}" if run.error else ""
    return (
        f"{clock_time(run.finished_at)}  {run.job:<8} {requests_of(run)}, "
        f"{run.stored:,} {STORES.get(run.job, 'candles')} stored, {run.outcome}{why}"
    )


def slot_line(run: SyncRun) -> str:
    """What one run for a slot came to."""
    head = f"{clock_time(run.finished_at)}  {run.job:<8} slot {slot_name(run.due_slot)}"
    if run.outcome in {Outcome.MISSED, Outcome.FAILED}:
        return f"{head}  {run.outcome}: {run.error}"
    took = (run.finished_at - run.started_at).total_seconds() * 1000
    left_out = [
        f"{count} {name}"
        for name, count in (
            ("absent", run.absent),
            ("quarantined", run.quarantined),
            ("set aside", run.rejected),
            ("repeated", run.details.get("repeated")),
        )
        if count
    ]
    stored = f"{run.stored} of {run.requested} stored"
    return f"{head}  " + ", ".join([stored, *left_out, requests_of(run), f"{took:.0f} ms"])


def requests_of(run: SyncRun) -> str:
    return "1 request" if run.requests == 1 else f"{run.requests:,} requests"


@click.command()
@click.option(
    "--minutes", type=click.IntRange(min=1), help="Stop after so many minutes of the market."
)
def command(minutes: int | None) -> None:
    """Collect quotes every minute until Ctrl-C or SIGTERM; the slot in hand is finished."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # Not in the handler itself: it may have interrupted the very lock that stop() needs.
        Thread(target=data_scheduler.stop).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    reporter = ProgressReporter()
    data_scheduler.start(minutes=minutes, reporter=reporter)
    note(
        f"Stopped after {reporter.slots} slots, {reporter.quotes} quotes stored. "
        "See what is held: data-fetch status"
    )
