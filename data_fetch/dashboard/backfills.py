"""Backfills that a page plans and starts: `data-fetch backfill` in a process of its own.

A page that is closed does not end one, and neither does the end of the dashboard.
"""

import json
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from threading import Lock
from typing import IO, Any

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.errors import SetupError
from data_fetch.core.runs import SyncRun

PROGRAM = (sys.executable, "-m", "data_fetch")
# Like those of a shell: complete, and incomplete with a report.
REPORTED = (0, 3, 4)


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


def plan_of(selection: Selection, folder: Path) -> dict[str, Any]:
    """The document of its plan: requests, minutes, starts_at, finishes_at, held_back. Sends none.

    Raises SetupError with the words of the command that refuses it.
    """
    done = subprocess.run(
        (*PROGRAM, "backfill", *selection.options, "--plan", "--json"),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return report_in(done.returncode, done.stdout, done.stderr)


def report_in(status: int, printed: str, remarks: str) -> dict[str, Any]:
    """The document that a backfill printed. Raises SetupError when there is none."""
    if status in REPORTED and printed.strip():
        report: dict[str, Any] = json.loads(printed)
        return report
    said = [line for line in remarks.splitlines() if line.startswith("data-fetch: ")]
    if said:
        raise SetupError(said[-1].removeprefix("data-fetch: "))
    raise SetupError(
        f"the backfill ended without a report, with status {status}", hint="Start it again."
    )


@dataclass(slots=True)
class RunningBackfill:
    """A backfill of *selection* that this dashboard started."""

    selection: Selection
    process: "subprocess.Popen[str]"
    printed: IO[str]
    remarks: IO[str]

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def report(self) -> dict[str, Any]:
        """The document of its end. Raises SetupError when it ended without one."""
        for file in (self.printed, self.remarks):
            file.seek(0)
        return report_in(self.process.returncode, self.printed.read(), self.remarks.read())


@dataclass(slots=True)
class Backfills:
    """The backfill that this dashboard started last, for all of its sessions."""

    last: RunningBackfill | None = None
    _lock: Lock = field(default_factory=Lock)

    def start(self, selection: Selection, folder: Path, *more: str) -> None:
        """Start one with *more* options. Raises SetupError while another one is running."""
        with self._lock:
            if self.last is not None and self.last.running:
                raise SetupError(
                    "a backfill of this dashboard is running",
                    hint="Pause it, or wait until it has ended.",
                )
            # Open for as long as the backfill is looked at.
            printed, remarks = _temporary(), _temporary()
            process = subprocess.Popen(
                (*PROGRAM, "backfill", *selection.options, "--json", *more),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=remarks,
                text=True,
                # Ctrl-C in the terminal of the dashboard is not meant for it.
                start_new_session=True,
            )
            self.last = RunningBackfill(selection, process, printed, remarks)

    def pause(self) -> None:
        """Let the running one finish its requests in flight, and end."""
        with self._lock:
            if self.last is not None and self.last.running:
                self.last.process.send_signal(signal.SIGINT)


def _temporary() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8")


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
