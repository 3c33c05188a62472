"""`data-fetch run`: collect until stopped."""

import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime
from types import FrameType
from typing import NoReturn

import click

from data_fetch.cli.shared.output import REFUSED, counted, print_out, remark
from data_fetch.cli.shared.parent import with_parent_option
from data_fetch.cli.shared.run_lines import slot_line
from data_fetch.core.chains.polls import Poll
from data_fetch.core.clock import IST, LONGEST_NAP_SECONDS, stopwatch
from data_fetch.core.errors import OutsideError
from data_fetch.core.ports import WorkQueue
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import QUOTES
from data_fetch.core.world import World
from data_fetch.runtime.reporting import CollectorStart
from data_fetch.runtime.settings import process_settings
from data_fetch.scheduling.scheduler import data_scheduler

# Longer than the scheduler waits for its jobs, shorter than a slot.
STOP_SECONDS = 55.0


class SlotLines:
    """Prints one line a slot."""

    def __init__(self) -> None:
        self.slots = 0
        self.quotes = 0
        self.snapshots = 0
        self._last_errors: dict[str, str | None] = {}

    def message(self, text: str) -> None:
        remark(text)

    def started(self, start: CollectorStart) -> None:
        for line in introduction(start):
            remark(line)

    def polled(self, poll: Poll) -> None:
        self.snapshots += poll.stored

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        # A slot may have another run: of the feed, or of a repair.
        collected = {Outcome.COMPLETED, Outcome.INCOMPLETE}
        self.slots += run.job == QUOTES and run.outcome in collected
        self.quotes += run.stored
        # A lasting problem is printed in full once.
        again = run.error is not None and run.error == self._last_errors.get(run.job)
        self._last_errors[run.job] = run.error
        print_out(slot_line(replace(run, error="as before") if again else run))


def introduction(start: CollectorStart) -> list[str]:
    """World, store, universe and clock, as a collector has them when it starts."""
    prices = "invented prices" if start.world is World.PAPER else "real prices"
    due = f"{_day_and_time(start.first_due)} IST" if start.first_due else "not known"
    return [
        f"World     {start.world} ({prices} from {start.base_url})",
        f"Store     {start.store}",
        f"Universe  {start.members} of {start.listed} symbols resolved through the instrument "
        "master",
        f"Clock     {_day_and_time(start.now)} IST; first {start.first_job} due {due}",
    ]


def _day_and_time(at: datetime) -> str:
    return f"{at.astimezone(IST):%a %d %b %Y %H:%M:%S}"


class Stopping:
    """Ends a collector by signals: the first stops it, a second one ends the process at once."""

    def __init__(self) -> None:
        self.latest: float | None = None
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    @property
    def overdue(self) -> bool:
        return self.latest is not None and stopwatch() > self.latest

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        # The system's own action needs no thread of ours, whatever they wait for.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self.latest = stopwatch() + STOP_SECONDS
        data_scheduler.stop()


@click.command()
@click.option(
    "--minutes", type=click.IntRange(min=1), help="Stop after so many minutes of the market."
)
@click.option(
    "--distributed",
    is_flag=True,
    help="Leave backfills, option numbers and the files of days to `data-fetch worker`.",
)
@with_parent_option
def command(minutes: int | None, distributed: bool) -> None:
    """Collect quotes every minute until Ctrl-C or SIGTERM; the current slot is finished.

    A second signal ends the process at once.
    """
    queue = _queue() if distributed else None
    reporter, stopping = SlotLines(), Stopping()
    # This thread waits for nothing else, so that a signal has an effect whatever hangs.
    collecting = ThreadPoolExecutor(1, "collector").submit(
        data_scheduler.start, minutes=minutes, reporter=reporter, queue=queue
    )
    while not wait([collecting], LONGEST_NAP_SECONDS).done:
        if stopping.overdue:
            remark(f"data-fetch: stopped after {STOP_SECONDS:.0f} s of waiting; something hangs.")
            _end_at_once()
    problem = collecting.exception()
    if stopping.latest is not None and isinstance(problem, OutsideError):
        remark(f"data-fetch: {problem}")
        _end_at_once()
    collecting.result()
    remark(
        f"Stopped after {counted(reporter.slots, 'slot')}: {counted(reporter.quotes, 'quote')} "
        f"and {counted(reporter.snapshots, 'chain snapshot')} stored. See what is held: "
        "data-fetch status"
    )


def _queue() -> WorkQueue:
    # It takes longer to load than most commands take to run.
    from data_fetch.runtime.broker import queue_for

    return queue_for(process_settings())


def _end_at_once() -> NoReturn:
    # Not by an exception: the interpreter would wait for the threads that hang.
    sys.stdout.flush()
    os._exit(REFUSED)
