"""How a stock of today's master is the successor of one we knew: by ISIN or by symbol.

And, the other way, under which key the history of a stock stands on a given day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import is_equity

RENAMED_FROM = "renamed from "


@dataclass(frozen=True, slots=True)
class KeyChange:
    """From *valid_from* on, what was *old_key* is *new_key*. *reason* is for people.

    A rename keeps the key (it is made of the ISIN) and changes the symbol. A new ISIN, after
    a split or a merger, changes the key, and the provider's history begins again under it.
    """

    old_key: str
    new_key: str
    valid_from: date
    reason: str

    @property
    def is_rename(self) -> bool:
        return self.old_key == self.new_key

    @property
    def former_symbol(self) -> str | None:
        """The symbol that a rename gave up; None for a new ISIN."""
        if not self.is_rename:
            return None
        # No symbol has a space in it.
        return self.reason.removeprefix(RENAMED_FROM).split(" ", 1)[0]


@dataclass(frozen=True, slots=True)
class KeyPeriod:
    """From *first* to *last*, both included, a stock's history stands under *instrument_key*."""

    instrument_key: str
    first: date
    last: date


def detect_lineage(
    known: Iterable[Instrument], listed: Iterable[Instrument], valid_from: date
) -> tuple[KeyChange, ...]:
    """What changed its name or its ISIN between the stocks *known* and those now *listed*."""
    before = {stock.instrument_key: stock for stock in known if is_equity(stock)}
    now = {stock.instrument_key: stock for stock in listed if is_equity(stock)}
    renamed = [
        KeyChange(key, key, valid_from, f"{RENAMED_FROM}{before[key].symbol} to {stock.symbol}")
        for key, stock in now.items()
        if key in before and before[key].symbol != stock.symbol
    ]
    gone = {stock.symbol: key for key, stock in before.items() if key not in now}
    reissued = [
        KeyChange(gone[stock.symbol], key, valid_from, f"new ISIN of {stock.symbol}")
        for key, stock in now.items()
        if key not in before and stock.symbol in gone
    ]
    return (*renamed, *reissued)


def present_key(instrument_key: str, key_changes: Iterable[KeyChange]) -> str:
    """What *instrument_key* has become by now."""
    for each in sorted(key_changes, key=lambda one: one.valid_from):
        if each.old_key == instrument_key:
            instrument_key = each.new_key
    return instrument_key


def key_periods(
    instrument_key: str, key_changes: Iterable[KeyChange], first: date, last: date
) -> tuple[KeyPeriod, ...]:
    """Under which keys the days from *first* to *last* stand, oldest first.

    Each day belongs to one key: those before a new ISIN to the old one, whatever the provider
    may have under the new one for them.
    """
    found: list[KeyPeriod] = []
    for each in sorted(key_changes, key=lambda one: one.valid_from, reverse=True):
        if each.new_key != instrument_key or each.is_rename:
            continue
        if each.valid_from <= last:
            found.append(KeyPeriod(instrument_key, max(first, each.valid_from), last))
            last = each.valid_from - timedelta(days=1)
        instrument_key = each.old_key
        if last < first:
            return tuple(found[::-1])
    return (KeyPeriod(instrument_key, first, last), *found[::-1])
