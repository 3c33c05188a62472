"""Queries an archive again and again: DATABASE SECONDS. Prints what it saw as JSON.

Every query must see whole slots (a quote of each of two stocks), legs with their snapshots, and
every row once.
"""

import json
import sys
import time
from collections import Counter

import duckdb

WRONG = {
    "a slot in part": "SELECT count(*) FROM "
    "(SELECT timestamp FROM ltp_data GROUP BY timestamp HAVING count(*) != 2)",
    "a row twice": "SELECT count(*) - count(DISTINCT (underlying, expiry, source, timestamp, "
    "strike, option_type)) FROM option_chain_data",
    "fewer rows than before": "SELECT greatest(0, {least} - count(*)) FROM ltp_data",
}


def main(database: str, seconds: str) -> None:
    until, least, seen = time.monotonic() + float(seconds), 0, Counter[str]()
    while time.monotonic() < until:
        try:
            with duckdb.connect(database, read_only=True) as opened:
                for what, query in WRONG.items():
                    (wrong,) = opened.execute(query.format(least=least)).fetchone()
                    seen[what] += wrong
                (least,) = opened.execute("SELECT count(*) FROM ltp_data").fetchone()
        except duckdb.Error as problem:
            seen[str(problem)[:200]] += 1
        seen["queries"] += 1
    print(json.dumps({**seen, "rows": least}))


if __name__ == "__main__":
    main(*sys.argv[1:])
