"""`python -m benchmarks`: every measurement, with the bound it is held to.

A ratio against a bare version of the same work in the same run counts; absolute figures
depend on the machine and are for orientation. Exit status 1 when a bound is not kept.
"""

import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.table import Table

from benchmarks import (
    bench_archive,
    bench_backfill,
    bench_beside,
    bench_chains,
    bench_commands,
    bench_coverage,
    bench_dashboard,
    bench_day_candles,
    bench_feed,
    bench_growth,
    bench_ingest,
    bench_options,
    bench_questions,
    bench_serving,
    bench_serving_ranges,
    bench_slot,
    bench_streams,
    bench_ticks,
    bench_windows,
    bench_workers,
)
from benchmarks.figure import Figure

MEASUREMENTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "slot": bench_slot.measure,
    "ingest": bench_ingest.measure,
    "coverage": bench_coverage.measure,
    "dashboard": bench_dashboard.measure,
    "backfill": bench_backfill.measure,
    "day-candles": bench_day_candles.measure,
    "questions": bench_questions.measure,
    "commands": bench_commands.measure,
    "serving": bench_serving.measure,
    "streams": bench_streams.measure,
    "serving-ranges": bench_serving_ranges.measure,
    "feed": bench_feed.measure,
    "ticks": bench_ticks.measure,
    "options": bench_options.measure,
    "chains": bench_chains.measure,
    "archive": bench_archive.measure,
    "growth": bench_growth.measure,
    "beside": bench_beside.measure,
    "windows": bench_windows.measure,
    "workers": bench_workers.measure,
}


def main(chosen: list[str]) -> int:
    console = Console()
    table = Table("measurement", "figure", "bound", "kept", "detail")
    broken = 0
    for name in chosen or MEASUREMENTS:
        with console.status(f"measuring {name} ..."):
            for figure in MEASUREMENTS[name]():
                broken += not figure.kept
                table.add_row(*figure.cells())
    console.print(table)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
