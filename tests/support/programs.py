"""The product as its users run it: real processes, real signals."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import ready_interpreter
import urllib3
from effort import PATIENCE_SECONDS

PROGRAM = (sys.executable, "-m", "data_fetch")
# Of the environment of the tests: without the last one another copy of the product might run.
KEPT = ("PATH", "HOME", "PYTHONPATH")
SYMBOLS = ("NIFTY", "BANKNIFTY", "RELIANCE", "TCS", "INFY", "SBIN", "ITC", "M&M", "LT")


@dataclass
class Desk:
    """A working folder with a short symbols list, and the environment of its commands."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def at(cls, folder: Path, **environment: str) -> "Desk":
        (folder / "nse_fo_stock_symbols.txt").write_text("\n".join(SYMBOLS))
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        # What the archive is not the subject of needs no process more.
        own = {"XDG_STATE_HOME": str(folder / "state"), "ARCHIVE_ENABLED": "false"}
        return cls(folder, {**kept, **own, **environment})

    def start(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=self.folder,
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def run(
        self, *arguments: str, stdin: str | None = None, **more: str
    ) -> "subprocess.CompletedProcess[str]":
        environment = {**self.environment, **more}
        return ready_interpreter.run(arguments, self.folder, environment, stdin or "")

    def json(self, *arguments: str, status: int = 0, **more: str) -> Any:
        """The one document that a command prints with --json."""
        done = self.run(*arguments, "--json", **more)
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)

    def rehearse(self, *days: str, **more: str) -> Any:
        """The document that a rehearsal prints, however long it takes on a busy machine."""
        process = self.start("rehearse", *days, "--json", **more)
        printed, remarks = process.communicate()
        assert process.returncode == 0, remarks
        return json.loads(printed)


@contextmanager
def paper_exchange(folder: Path, start: str, speed: int, *options: str) -> Iterator[str]:
    """A paper exchange in a process of its own; its address."""
    desk = Desk.at(folder)
    process = desk.start(
        "paper-exchange", "--json", "--start", start, "--speed", str(speed), "--port", "0", *options
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        end(process, signal.SIGTERM)


def end(process: "subprocess.Popen[str]", how: signal.Signals) -> tuple[str, str]:
    """Send the signal, wait, and return what the process had still to say."""
    process.send_signal(how)
    return process.communicate(timeout=PATIENCE_SECONDS)


def order(url: str, fault: Mapping[str, Any]) -> None:
    """Tell the exchange at *url* to misbehave."""
    answer = urllib3.request(
        "POST", f"{url}/paper/faults", body=orjson.dumps({"fault": [dict(fault)]})
    )
    assert answer.status < 300, answer.data


def behave(url: str) -> None:
    """Take back every order to misbehave."""
    assert urllib3.request("DELETE", f"{url}/paper/faults").status == 200


def set_clock(url: str, at: str) -> None:
    """Make it *at* (an ISO instant with its offset) at the exchange."""
    answer = urllib3.request("POST", f"{url}/paper/clock", body=orjson.dumps({"now": at}))
    assert answer.status < 300, answer.data
