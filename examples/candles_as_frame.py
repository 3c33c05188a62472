"""Stored minutes as a pandas DataFrame.

python examples/candles_as_frame.py RELIANCE 2026-10-26 2026-10-30
"""

import sys

from data_fetch.reading import candles


def main(symbol: str, first: str, last: str) -> None:
    """Print the day's open, high, low, close and volume of *symbol*, and what its minutes lack."""
    found = candles(symbol, first, last, form="pandas")
    minutes = found.table.set_index("timestamp").tz_convert("Asia/Kolkata")
    days = minutes.groupby(minutes.index.date).agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    print(days)
    counts = found.completeness
    print(f"{counts.present} of {counts.expected} minutes; {counts.missed} missed")


if __name__ == "__main__":
    main(*sys.argv[1:])
