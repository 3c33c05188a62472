"""A rehearsal: the scheduler through whole trading days on a virtual clock."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from data_fetch.core.chains.polls import Poll
from data_fetch.core.clock import stopwatch
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import QUOTES
from data_fetch.runtime.rehearsal import rehearsal_for
from data_fetch.runtime.reporting import CollectorStart
from data_fetch.scheduling.scheduler import DataScheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """The result of rehearsed days.

    *unexplained_minutes* are slots without a row, and minutes of instruments that are due, have
    no candle and were never requested.
    *tallies* are the counts of the services by name: `candles` of the day that are stored,
    `missed_minutes` that are still to be fetched, `chain_polls`, and the `chain_snapshots` and
    `chain_legs` that the store holds.
    """

    first: date
    last: date
    unexplained_minutes: int
    slots_due: int
    slots_collected: int
    slots_missed: int
    rows: int
    requests: int
    errors: int
    seconds: float
    peak_memory_mb: int
    tallies: Mapping[str, int]
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class _SlotCounter:
    """Counts the slots and polls, and reports the progress."""

    due: int
    advance: Callable[[int, int], None]
    collected: int = 0
    missed: int = 0
    rows: int = 0
    polls: int = 0
    remarks: list[str] = field(default_factory=list)

    def message(self, text: str) -> None:
        self.remarks.append(text)

    def started(self, start: CollectorStart) -> None:
        return None

    def polled(self, poll: Poll) -> None:
        self.polls += 1

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        self.rows += run.stored
        if run.job != QUOTES:
            return
        if run.outcome in {Outcome.MISSED, Outcome.FAILED}:
            self.missed += 1
            self.remarks.append(f"slot {run.due_slot}: {run.outcome}: {run.error}")
        else:
            self.collected += 1
        self.advance(self.collected + self.missed, self.due)


def rehearse(
    settings: Settings, first: date, last: date, advance: Callable[[int, int], None]
) -> Rehearsal:
    """Drive the scheduler and every job of it from *first* to *last* on the paper exchange.

    *advance* receives how many slots have a result, and how many are due. Raises SetupError when
    the market is closed on all these days, or the store is not empty and not paper.
    """
    began = stopwatch()
    slots = _SlotCounter(due=0, advance=advance)
    with rehearsal_for(settings, first, last, slots) as (collector, until):
        slots.due = collector.tallies(first, last)["slots_due"]
        scheduler = DataScheduler()
        collector = scheduler.run_days(collector, until, slots)
        requests = collector.provider.api.requests_sent
        tallies = {**collector.tallies(first, last), "chain_polls": slots.polls}
    due = tallies.pop("slots_due")
    return Rehearsal(
        first=first,
        last=last,
        unexplained_minutes=tallies.pop("unexplained_minutes"),
        slots_due=due,
        slots_collected=slots.collected,
        slots_missed=due - slots.collected,
        rows=slots.rows,
        requests=requests,
        errors=len(scheduler.failures),
        seconds=stopwatch() - began,
        peak_memory_mb=peak_memory_mb(),
        tallies=tallies,
        remarks=(*slots.remarks, *scheduler.failures),
    )


def peak_memory_mb() -> int:
    """The most memory this process has held, in MiB."""
    try:
        # Not `getrusage`, where there is this: it begins with the memory of the parent process.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        values = dict(line.split(":", 1) for line in lines)
        return round(int(values["VmHWM"].split()[0]) / 1024)
    except (OSError, KeyError):
        return round(_peak_bytes() / 1024**2)


def _peak_bytes() -> int:
    # Each system has one of these modules and lacks the other.
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
