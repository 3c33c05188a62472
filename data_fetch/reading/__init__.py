"""Every query over the stores, and its JSON document.

    from data_fetch.reading import candles, chain, quotes

    found = candles("RELIANCE", "2026-09-01", "2026-09-30", form="pandas")
    found.table, found.completeness, found.freshness

Each function reads the store of this process and working folder (or of *settings*) and contacts
no provider. *first* and *last* are the ends of a range, both included (`from` is a keyword of
Python). *form* is "arrow", "pandas" or "polars". A function's library is imported when it is
called, so importing this package is cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_fetch.reading.candle_ranges import candles
    from data_fetch.reading.chain_series import chain_history, leg_history
    from data_fetch.reading.chain_snapshots import chain
    from data_fetch.reading.coverage_days import coverage
    from data_fetch.reading.coverage_gaps import gaps
    from data_fetch.reading.instrument_lists import instruments
    from data_fetch.reading.quote_freshness import freshness
    from data_fetch.reading.quote_ranges import quotes
    from data_fetch.reading.run_records import runs

__all__ = [
    "candles",
    "chain",
    "chain_history",
    "coverage",
    "freshness",
    "gaps",
    "instruments",
    "leg_history",
    "quotes",
    "runs",
]

# No module bears the name of a function: importing the module would replace the function.
_MODULES = {
    "candles": "candle_ranges",
    "chain": "chain_snapshots",
    "chain_history": "chain_series",
    "coverage": "coverage_days",
    "freshness": "quote_freshness",
    "gaps": "coverage_gaps",
    "instruments": "instrument_lists",
    "leg_history": "chain_series",
    "quotes": "quote_ranges",
    "runs": "run_records",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
