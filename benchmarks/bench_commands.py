"""Whole commands: a rehearsed day, and how soon help is there. For orientation."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.figure import Figure, seconds

PROGRAM = [sys.executable, "-m", "data_fetch"]


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        day = _run([*PROGRAM, "rehearse", "--date", "2026-09-16", "--json"], folder)
    told = json.loads(day)
    yield Figure("rehearsed day, SQLite", told["seconds"], "s", detail="orientation: about 30 s")
    yield Figure("rehearsed day, peak memory", told["peak_memory_mb"], "MB", 250)
    took = [seconds(lambda: _run([*PROGRAM, "--help"], ".")) for _ in range(7)]
    yield Figure(
        "data-fetch --help", statistics.median(took), "s", detail="orientation: about 0.3 s"
    )


def _run(command: list[str], folder: str) -> bytes:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE).stdout
