"""A command that asks the store, beside the query in it: what the user waits for besides.

The start is that of an interpreter with the libraries that no command can do without.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.bench_coverage import (
    FIRST,
    INSTRUMENTS,
    LAST,
    NOW,
    instrument,
    ledger_days,
    question,
)
from benchmarks.figure import Figure, seconds
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.coverage_days import DayRange
from data_fetch.reading.coverage_gaps import gap_list
from data_fetch.storage.candles.coverage import save_days
from data_fetch.storage.database.store import open_store
from data_fetch.storage.instruments.instruments import save_master

ROUNDS = 7
START = [sys.executable, "-c", "import click, sqlalchemy.orm"]
GAPS = [sys.executable, "-m", "data_fetch", "gaps", "--from", str(FIRST), "--to", str(LAST)]


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        listed = place / "symbols.txt"
        listed.write_text("\n".join(f"S{number}" for number in range(INSTRUMENTS)))
        environment = {
            "DATA_SOURCE": "upstox",
            "DATABASE_URL": f"sqlite:///{place}/store.db",
            "FNO_SYMBOLS_FILE": str(listed),
        }
        _fill(environment["DATABASE_URL"])
        settings = Settings.load(environment, place)
        asked = DayRange(symbols=(), first=FIRST, last=LAST)
        query = _typical(lambda: gap_list(settings, asked))
        start = _typical(lambda: _run(START, environment, place))
        whole = _typical(lambda: _run(GAPS, environment, place))
    yield Figure(
        f"gaps of {INSTRUMENTS} x 42 days, the command without its start",
        (whole - start) / query,
        "x query",
        3,
        f"command {whole * 1e3:.0f} ms, start {start * 1e3:.0f} ms, query {query * 1e3:.0f} ms",
    )


def _typical(work: Callable[[], object]) -> float:
    return median(seconds(work) for _ in range(ROUNDS))


def _run(command: list[str], environment: dict[str, str], folder: Path) -> None:
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**inherited, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    # 3: some of the minutes are missing.
    assert done.returncode in {0, 3}, done.stderr


def _fill(url: str) -> None:
    """The instruments of the question as listed shares, and their ledger."""
    with closing(open_store(url, World.LIVE)) as store:
        asked = question(map(listed_share, range(INSTRUMENTS)))
        save_master(store, iter(asked.instruments), date(2025, 5, 1), NOW)
        for days in ledger_days(asked):
            with store.writing() as connection:
                save_days(connection, days, "0" * 16, NOW)


def listed_share(number: int) -> Instrument:
    key = f"NSE_EQ|INE{number:09d}"
    return replace(instrument(number), instrument_key=key, live_key=key, symbol=f"S{number}")
