"""A reader beside a collector: python -m benchmarks.archive_questions FOLDER SECONDS.

Like a dashboard it asks a question every PAUSE, of the archive and of the store in turn. Its only
line is the seconds that each took, as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import duckdb

from data_fetch import reading
from data_fetch.core.settings import Settings

PAUSE = 0.05
OF_ARCHIVE = (
    "SELECT underlying, expiry, count(*), max(timestamp), sum(oi) FROM option_chain GROUP BY ALL",
    "SELECT symbol, arg_max(ltp, timestamp), count(*) FROM ltp_data GROUP BY symbol",
)


def main(folder: str, seconds: str) -> None:
    settings = Settings.load(os.environ, Path(folder))
    database = str(settings.data_folder / "options_chain_data.duckdb")

    def asked(query: str) -> Callable[[], object]:
        def ask() -> object:
            with duckdb.connect(database, read_only=True) as archive:
                return archive.execute(query).fetchall()

        return ask

    questions = cycle(
        [*map(asked, OF_ARCHIVE), lambda: reading.chain("NIFTY", settings=settings).table]
    )
    # What is loaded at the first question belongs to neither phase.
    for _ in range(3):
        next(questions)()
    took, until = [], time.monotonic() + float(seconds)
    while time.monotonic() < until:
        began = time.perf_counter()
        next(questions)()
        took.append(time.perf_counter() - began)
        time.sleep(PAUSE)
    print(json.dumps(took))


if __name__ == "__main__":
    main(*sys.argv[1:])
