"""Backfills that a page plans and starts: `data-fetch backfill` in a process of its own.

A page that is closed does not end one, and neither does the end of the dashboard.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from threading import Lock

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.errors import SetupError
from data_fetch.core.runs import SyncRun
from data_fetch.dashboard.child import Child, Report, report_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The days of *symbols* from *first* to *last*, both included, that are selected on a page."""

    symbols: tuple[str, ...]
    interval: CandleInterval
    first: date
    last: date

    @property
    def options(self) -> tuple[str, ...]:
        """It as options of `data-fetch backfill`."""
        options = (
            "--symbols",
            ",".join(self.symbols),
            "--from",
            f"{self.first}",
            "--to",
            f"{self.last}",
        )
        return (
            options if self.interval is CandleInterval.MINUTE else (*options, "--interval", "day")
        )

    @property
    def command(self) -> str:
        """What to type to fetch what it lacks."""
        return shlex.join(("data-fetch", "backfill", *self.options))


def plan_of(selection: Selection, folder: Path) -> Report:
    """The document of its plan: requests, minutes, starts_at, finishes_at, held_back. Sends none.

    Raises SetupError with the words of the command that refuses it.
    """
    return report_of(("backfill", *selection.options, "--plan"), folder)


@dataclass(frozen=True, slots=True)
class RunningBackfill:
    """A backfill of *selection* that this dashboard started, and its process."""

    selection: Selection
    child: Child


@dataclass(slots=True)
class Backfills:
    """The backfill that this dashboard started last, for all of its sessions."""

    last: RunningBackfill | None = None
    _lock: Lock = field(default_factory=Lock)

    def start(self, selection: Selection, folder: Path, *more: str) -> None:
        """Start one with *more* options. Raises SetupError while another one is running."""
        with self._lock:
            if self.last is not None and self.last.child.running:
                raise SetupError(
                    "a backfill of this dashboard is running",
                    hint="Pause it, or wait until it has ended.",
                )
            child = Child.start(("backfill", *selection.options, *more), folder)
            self.last = RunningBackfill(selection, child)

    def pause(self) -> None:
        """Let the running one finish its requests in flight, and end."""
        with self._lock:
            if self.last is not None and self.last.child.running:
                self.last.child.interrupt()


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of *windows* requests are *done*, and how many candles are stored."""

    windows: int
    done: int
    stored: int

    @property
    def share(self) -> float:
        return self.done / self.windows if self.windows else 0.0


def progress_of(pid: int, runs: Sequence[SyncRun]) -> Progress | None:
    """The progress of process *pid* by the rows of its run; None before its first row."""
    for run in runs:
        process, facts = run.details.get("process"), run.details
        if isinstance(process, Mapping) and process.get("pid") == pid:
            done = facts.get("windows_done", 0)
            return Progress(run.requested, int(str(done)), run.stored)
    return None
