"""The lineage of stocks: renames, new ISINs, and the key of a stock's history on each day.

A stock of today's master succeeds a known one by its ISIN or by its symbol.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from operator import attrgetter, itemgetter
from types import MappingProxyType

from data_fetch.core.instruments.bearers import Bearing
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import is_equity

RENAMED_FROM = "renamed from "
DAY = timedelta(days=1)

# The days of which there are candles under each key.
CandleDays = Mapping[str, Collection[date]]
NO_CANDLES: CandleDays = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class KeyChange:
    """From *valid_from* on, *old_key* is *new_key*. *reason* is text for users.

    It is the date of the first master that had the change; that of a new ISIN becomes the first
    day of its history when that is known. A rename changes the symbol and not the key, which has
    the ISIN in it. A new ISIN, after a split or a merger, changes the key, and the provider's
    history begins again under it.
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
        return self._symbols()[0]

    @property
    def new_symbol(self) -> str | None:
        """The symbol after a rename; None for a new ISIN."""
        return self._symbols()[1] if self.is_rename else None

    def _symbols(self) -> list[str]:
        # The symbols of contracts have spaces in them.
        return self.reason.removeprefix(RENAMED_FROM).split(" to ", 1)


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
        KeyChange(key, key, valid_from, renamed_text(before[key], stock))
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


def renamed_text(before: Instrument, now: Instrument) -> str:
    """The reason of a rename."""
    return f"{RENAMED_FROM}{before.symbol} to {now.symbol}"


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


def symbol_bearings(
    listed: Iterable[tuple[Instrument, date]], key_changes: Sequence[KeyChange]
) -> list[Bearing[str, str]]:
    """Since when each symbol of the instruments *listed* stands for which present key.

    *listed*: an instrument as the last master had it, and the date of the first one.
    """
    found: list[Bearing[str, str]] = []
    for one, first_seen in listed:
        key = one.instrument_key
        bearer = present_key(key, key_changes)
        renames = [each for each in key_changes if each.is_rename and each.old_key == key]
        first = (renames[0].former_symbol if renames else None) or one.symbol
        borne = [(first, first_seen), *((each.new_symbol, each.valid_from) for each in renames)]
        # A change that no two masters in succession have shown is not recorded.
        borne.append((one.symbol, borne[-1][1]))
        found += (Bearing(since, symbol, bearer) for symbol, since in borne if symbol is not None)
    return found


def key_periods(
    instrument_key: str,
    key_changes: Iterable[KeyChange],
    first: date,
    last: date,
    candle_days: CandleDays = NO_CANDLES,
) -> tuple[KeyPeriod, ...]:
    """The history of an instrument: its keys on the days from *first* to *last*, oldest first.

    Each day belongs to one key: the one that is valid by *key_changes*, unless only another one
    has candles of that day.
    """
    begins = _begins(instrument_key, key_changes)

    def holder(day: date) -> str:
        valid = [key for since, key in begins if since <= day][-1]
        stored = [key for _, key in begins if day in candle_days.get(key, ())]
        return valid if valid in stored or not stored else stored[-1]

    if len(begins) == 1:
        return (KeyPeriod(instrument_key, first, last),)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    periods = []
    for key, together in groupby(days, key=holder):
        of_key = list(together)
        periods.append(KeyPeriod(key, of_key[0], of_key[-1]))
    return tuple(periods)


def every_key(instrument_key: str, key_changes: Iterable[KeyChange]) -> tuple[str, ...]:
    """The keys that led to *instrument_key*, oldest first, and itself."""
    return tuple(dict.fromkeys(key for _, key in _begins(instrument_key, key_changes)))


def key_by(
    instrument_key: str, key_changes: Iterable[KeyChange], known: Iterable[KeyChange]
) -> str:
    """The key that an instrument had before those of *key_changes* that were not *known* yet."""
    recorded = {(each.old_key, each.new_key) for each in known}
    for each in sorted(key_changes, key=attrgetter("valid_from"), reverse=True):
        unknown = (each.old_key, each.new_key) not in recorded
        if each.new_key == instrument_key and not each.is_rename and unknown:
            instrument_key = each.old_key
    return instrument_key


def first_day_under(
    change: KeyChange,
    key_changes: Iterable[KeyChange],
    oldest_candle: date,
    newest_empty: date | None,
) -> date:
    """The first day on which the new key of *change* has a history, as far as is known.

    *oldest_candle* is the first day with a candle under the new key, *newest_empty* the last one
    before it that a complete response had no candle of. The day lies between the changes before
    and after it.
    """
    listed_before = newest_empty is not None and newest_empty >= change.valid_from
    begins = oldest_candle if listed_before else min(change.valid_from, oldest_candle)
    others = [each for each in key_changes if not each.is_rename and each != change]
    earliest = [one.valid_from + DAY for one in others if one.new_key == change.old_key]
    latest = [one.valid_from - DAY for one in others if one.old_key == change.new_key]
    return max([min([begins, *latest]), *earliest])


def recorded_once(key_changes: Iterable[KeyChange]) -> list[KeyChange]:
    """*key_changes*, oldest first, each as of the day on which it was noticed first.

    Two stores that were merged may have noticed one change on different days.
    """
    kept: list[KeyChange] = []
    newest: dict[str, tuple[str, str, str]] = {}
    for each in sorted(key_changes, key=attrgetter("valid_from")):
        what = (each.old_key, each.new_key, each.reason)
        if newest.get(each.old_key) == newest.get(each.new_key) == what:
            continue
        newest[each.old_key] = newest[each.new_key] = what
        kept.append(each)
    return kept


def _begins(instrument_key: str, key_changes: Iterable[KeyChange]) -> list[tuple[date, str]]:
    """The first day of each key that led to *instrument_key*, oldest first."""
    found: list[tuple[date, str]] = []
    for each in sorted(key_changes, key=attrgetter("valid_from"), reverse=True):
        if each.new_key == instrument_key and not each.is_rename:
            found.append((each.valid_from, instrument_key))
            instrument_key = each.old_key
    return [(date.min, instrument_key), *found[::-1]]
