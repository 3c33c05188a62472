"""Commands that pages start: `data-fetch` in processes of their own, each with one report."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from data_fetch.core.errors import SetupError

PROGRAM = (sys.executable, "-m", "data_fetch")
# Like those of a shell: complete, incomplete with a report, and refused with one.
REPORTED = (0, 3, 4)

Report = dict[str, Any]


def report_in(status: int, printed: str, remarks: str) -> Report:
    """The report that a command *printed*. Raises SetupError when there is none."""
    if status in REPORTED and printed.strip():
        report: Report = json.loads(printed)
        return report
    said = [line for line in remarks.splitlines() if line.startswith("data-fetch: ")]
    if said:
        raise SetupError(said[-1].removeprefix("data-fetch: "))
    if status == -signal.SIGINT:
        raise SetupError("the command was interrupted before it began", hint="Start it again.")
    raise SetupError(
        f"the command ended without a report, with status {status}", hint="Start it again."
    )


@dataclass(slots=True)
class Child:
    """A command that was started. It goes on when the dashboard ends."""

    process: "subprocess.Popen[str]"
    _printed: IO[str]
    _remarks: IO[str]

    @classmethod
    def start(cls, arguments: Sequence[str], folder: Path) -> "Child":
        """Start `data-fetch` with *arguments* in *folder*."""
        # Open for as long as the report is looked at.
        printed, remarks = _temporary(), _temporary()
        process = subprocess.Popen(
            (*PROGRAM, *arguments, "--json"),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=remarks,
            text=True,
            # Ctrl-C in the terminal of the dashboard is not meant for it.
            start_new_session=True,
        )
        return cls(process, printed, remarks)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def report(self) -> Report:
        """The report of its end. Raises SetupError when it ended without one."""
        for file in (self._printed, self._remarks):
            file.seek(0)
        return report_in(self.process.returncode, self._printed.read(), self._remarks.read())

    def interrupt(self) -> None:
        """Let it finish its requests in flight, and end."""
        self.process.send_signal(signal.SIGINT)


def report_of(arguments: Sequence[str], folder: Path) -> Report:
    """The report of a command that takes a moment. Raises SetupError with its words when it is
    refused."""
    child = Child.start(arguments, folder)
    child.process.wait()
    return child.report


def _temporary() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8")
