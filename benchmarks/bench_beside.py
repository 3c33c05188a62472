"""A collector with its archiver beside a reader: is a slot late, does the reader wait?

A paper exchange at the speed of a real one; BESIDE_MINUTES (2) is how long each phase takes.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.figure import Figure
from data_fetch.core.clock import MINUTE
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import QUOTES
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store
from data_fetch.storage.runs import recent_runs

MINUTES = int(os.environ.get("BESIDE_MINUTES", "2"))
PROGRAM = (sys.executable, "-m", "data_fetch")
# A slot is late when the next one is due before it is stored.
LATE_SECONDS, MOST_TIMES = 60.0, 2.0


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="beside-") as temporary:
        folder = Path(temporary)
        with _exchange(folder / "market") as exchange:
            desk = folder / "desk"
            desk.mkdir()
            environment = _environment(desk, exchange)
            # So many that the archiver's five minutes come up and there is something to read.
            _collect(desk, environment, minutes=6).communicate()
            before_reader = len(_slots(environment))
            idle = _questions(desk, environment)
            collector = _collect(desk, environment, minutes=MINUTES + 1)
            busy = _questions(desk, environment)
            collector.communicate()
        slots = _slots(environment)[before_reader:]
    before, beside = _p99(idle), _p99(busy)
    yield Figure(
        "p99 of a reader beside collector and archiver",
        beside / before,
        "x idle",
        MOST_TIMES,
        f"{beside * 1e3:.0f} and {before * 1e3:.0f} ms, {len(busy)} and {len(idle)} questions",
    )
    # The minute of the first one had ended when the collector was started.
    took = sorted(map(_took, slots[1:]))
    yield Figure(
        "the latest slot beside archiver and reader",
        took[-1],
        "s",
        LATE_SECONDS,
        f"{len(took)} slots, the median {statistics.median(took):.1f} s",
    )
    missed = [slot for slot in slots if slot.outcome in {Outcome.FAILED, Outcome.INCOMPLETE}]
    yield Figure("slots that were not collected whole", len(missed), "slots", 0)


def _slots(environment: dict[str, str]) -> list[SyncRun]:
    """The slots of quotes so far, oldest first."""
    with closing(open_store(environment["DATABASE_URL"], World.PAPER)) as store:
        return recent_runs(store, 1000, job=QUOTES)[::-1]


def _took(slot: SyncRun) -> float:
    """Seconds from the end of a slot's minute until it was stored."""
    assert slot.due_slot is not None
    return (slot.finished_at - slot.due_slot - MINUTE).total_seconds()


def _p99(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=100)[-1]


@contextmanager
def _exchange(folder: Path) -> Iterator[str]:
    folder.mkdir()
    start = ("--start", "2026-09-16T09:20:30", "--speed", "1", "--port", "0", "--json")
    with subprocess.Popen(
        [*PROGRAM, "paper-exchange", *start], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.send_signal(signal.SIGTERM)


def _environment(desk: Path, exchange: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {
        **kept,
        "XDG_STATE_HOME": str(desk / "state"),
        "UPSTOX_BASE_URL": exchange,
        "DATA_SOURCE": "paper",
        "DATABASE_URL": f"sqlite:///{desk}/store.db",
        "NSE_ENABLED": "false",
    }


def _collect(desk: Path, environment: dict[str, str], minutes: int) -> "subprocess.Popen[bytes]":
    command = [*PROGRAM, "run", "--minutes", str(minutes)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=desk, env=environment, stdout=quiet, stderr=quiet)


def _questions(desk: Path, environment: dict[str, str]) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.archive_questions", str(desk), str(60 * MINUTES)]
    found = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    took: list[float] = json.loads(found.stdout)
    return took
