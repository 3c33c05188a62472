"""The newest quote of each of several symbols, and what became of those without one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Connection

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import former_symbols
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.settings import Settings
from data_fetch.reading.records import listed_instruments, store_of
from data_fetch.runtime.stores import instruments_with_near
from data_fetch.storage.instruments.instruments import key_changes
from data_fetch.storage.quotes import newest_quotes, present_symbols


@dataclass(frozen=True, slots=True)
class LatestQuote:
    """The newest quote of what was *asked* for.

    *instrument* is None for a symbol that the store does not know, with the *near* ones; *stored*
    is None when it has no quote of the instrument.
    """

    asked: str
    instrument: Instrument | None
    stored: StoredQuote | None = None
    near: Sequence[str] = ()


def latest_quotes(settings: Settings, symbols: Sequence[str], at: datetime) -> list[LatestQuote]:
    """The newest quote received by *at* of each of *symbols* (none named: of every listed one).

    Raises StoreUnreachable, SymbolsFileBad.
    """
    with store_of(settings) as store, store.reading() as connection:
        if not symbols:
            listed = listed_instruments(connection, settings)
            found = {one.symbol: LatestQuote(one.symbol, one) for one in listed}
        else:
            found = {asked: _resolved(connection, asked) for asked in dict.fromkeys(symbols)}
        known = [each.instrument for each in found.values() if each.instrument is not None]
        stored = _newest(connection, known, at)
    return [
        LatestQuote(
            each.asked,
            each.instrument,
            None if each.instrument is None else stored.get(each.instrument.symbol),
            each.near,
        )
        for each in found.values()
    ]


def _resolved(connection: Connection, asked: str) -> LatestQuote:
    named = instruments_with_near(connection, [asked])
    if named.members:
        return LatestQuote(asked, named.members[0])
    return LatestQuote(asked, None, near=named.unresolved[0].near)


def _newest(
    connection: Connection, instruments: Sequence[Instrument], at: datetime
) -> Mapping[str, StoredQuote]:
    """The newest quotes by present symbol, those under former symbols too."""
    changes = key_changes(connection)
    symbols = {one.symbol for one in instruments}
    for one in instruments:
        symbols |= former_symbols(one.instrument_key, changes)
    rows = newest_quotes(connection, sorted(symbols), at)
    names = present_symbols(connection, {row.quote.instrument_key for row in rows})
    rows.sort(key=attrgetter("slot"))
    return {names.get(row.quote.instrument_key, row.symbol): row for row in rows}
