"""How a stock of today's master is the successor of one we knew: by ISIN or by symbol."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from data_fetch.core.records import Instrument
from data_fetch.core.universe import is_equity


@dataclass(frozen=True, slots=True)
class Succession:
    """From *valid_from* on, what was *old_key* is *new_key*. *reason* is for people.

    A rename keeps the key (it is made of the ISIN) and changes the symbol. A new ISIN, after
    a split or a merger, changes the key, and the provider's history begins again under it.
    """

    old_key: str
    new_key: str
    valid_from: date
    reason: str


def detect_lineage(
    known: Iterable[Instrument], listed: Iterable[Instrument], valid_from: date
) -> tuple[Succession, ...]:
    """What changed its name or its ISIN between the stocks *known* and those now *listed*."""
    before = {stock.instrument_key: stock for stock in known if is_equity(stock)}
    now = {stock.instrument_key: stock for stock in listed if is_equity(stock)}
    renamed = [
        Succession(key, key, valid_from, f"renamed from {before[key].symbol} to {stock.symbol}")
        for key, stock in now.items()
        if key in before and before[key].symbol != stock.symbol
    ]
    gone = {stock.symbol: key for key, stock in before.items() if key not in now}
    reissued = [
        Succession(gone[stock.symbol], key, valid_from, f"new ISIN of {stock.symbol}")
        for key, stock in now.items()
        if key not in before and stock.symbol in gone
    ]
    return (*renamed, *reissued)
