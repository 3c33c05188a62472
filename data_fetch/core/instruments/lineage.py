"""The lineage of stocks: renames, new ISINs, and the key of a stock's history on each day.

A stock of today's master succeeds a known one by its ISIN or by its symbol.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from operator import itemgetter

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import is_equity

RENAMED_FROM = "renamed from "


@dataclass(frozen=True, slots=True)
class KeyChange:
    """From *valid_from* on, *old_key* is *new_key*. *reason* is text for users.

    A rename changes the symbol and not the key, which has the ISIN in it. A new ISIN, after a
    split or a merger, changes the key, and the provider's history begins again under it.
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
        """The symbol before a rename; None for a new ISIN."""
        if not self.is_rename:
            return None
        # The symbols of contracts have spaces in them.
        return self.reason.removeprefix(RENAMED_FROM).split(" to ", 1)[0]


@dataclass(frozen=True, slots=True)
class KeyPeriod:
    """The days, *first* to *last*, for which a stock's history is under *instrument_key*."""

    instrument_key: str
    first: date
    last: date


def detect_lineage(
    known: Iterable[Instrument], listed: Iterable[Instrument], valid_from: date
) -> tuple[KeyChange, ...]:
    """The renames and new ISINs between the stocks *known* and those now *listed*."""
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


def last_bearers(
    symbols: Iterable[str],
    last_seen: Iterable[tuple[str, str, date]],
    key_changes: Sequence[KeyChange],
) -> dict[str, str]:
    """The present key of the instrument that had each of *symbols* last; none for an unknown one.

    *last_seen*: symbol, key and date of the last master that had them together.
    """
    given_up = [
        (each.former_symbol, each.new_key, each.valid_from)
        for each in key_changes
        if each.former_symbol is not None
    ]
    wanted = set(symbols)
    borne = sorted((*last_seen, *given_up), key=itemgetter(2))
    return {symbol: present_key(key, key_changes) for symbol, key, _ in borne if symbol in wanted}


def present_key(instrument_key: str, key_changes: Iterable[KeyChange]) -> str:
    """The present key of *instrument_key*, after all key changes."""
    for each in sorted(key_changes, key=lambda one: one.valid_from):
        if each.old_key == instrument_key:
            instrument_key = each.new_key
    return instrument_key


def former_symbols(instrument_key: str, key_changes: Iterable[KeyChange]) -> frozenset[str]:
    """The symbols that the instrument of *instrument_key* has given up."""
    recorded = tuple(key_changes)
    present = present_key(instrument_key, recorded)
    return frozenset(
        each.former_symbol
        for each in recorded
        if each.former_symbol is not None and present_key(each.new_key, recorded) == present
    )


def key_periods(
    instrument_key: str, key_changes: Iterable[KeyChange], first: date, last: date
) -> tuple[KeyPeriod, ...]:
    """The keys of the days from *first* to *last*, oldest first.

    Each day belongs to one key: days before a new ISIN to the old key, even if the provider
    has candles for them under the new key.
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
