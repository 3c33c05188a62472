"""Which days of some symbols lack minutes, and why.

python examples/coverage_report.py 2026-10-15 2026-10-30 RELIANCE TCS
"""

import sys

from data_fetch.reading import gaps


def main(first: str, last: str, *symbols: str) -> None:
    """Print each gap with its state and cause, then how many minutes each state has."""
    found = gaps(symbols, first, last, form="pandas")
    print(found.table.to_string(index=False))
    for state, minutes in found.completeness.lacking.items():
        print(f"{state}: {minutes:,} minutes")


if __name__ == "__main__":
    main(*sys.argv[1:])
