"""Fetch the minutes of one symbol and store them: python examples/collect_one_symbol.py RELIANCE

Prices come from where the settings of the working folder say; without any they are invented ones.
"""

import sys

from data_fetch.backfill_service import backfill_service


def main(symbol: str = "RELIANCE") -> None:
    """Store the last seven days of *symbol*; what is stored already is not requested again."""
    report = backfill_service.run([symbol], days=7)
    print(f"{symbol}: {report.inserted:,} candles stored, {report.missed:,} minutes still missing")


if __name__ == "__main__":
    main(*sys.argv[1:])
