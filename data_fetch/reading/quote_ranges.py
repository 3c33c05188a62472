"""Quotes of a range as a table, and which slots have none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from operator import itemgetter
from typing import Any

from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import MINUTE, minute_of
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import former_symbols
from data_fetch.core.quotes.freshness import Judgement
from data_fetch.core.settings import Settings
from data_fetch.reading.frames import DataAge, arrow_table, converted, form_named
from data_fetch.reading.instants import Period, exact_text, instant, period
from data_fetch.reading.quote_freshness import judgement_document, judgements
from data_fetch.reading.records import Symbols, records_for, several
from data_fetch.reading.seam import Question, pinned
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.instruments.instruments import key_changes
from data_fetch.storage.quotes import present_symbols
from data_fetch.storage.quotes import quotes as stored_quotes

COLUMNS = {
    "symbol": "text",
    "timestamp": "instant",
    "instrument_key": "text",
    "ltp": "float",
    "volume": "int",
    "change": "float",
    "change_percent": "float",
    "prev_close": "float",
    "ltq": "int",
    "off_session": "bool",
    "received_at": "instant",
    "source": "text",
}
SYMBOL, TIMESTAMP, KEY, RECEIVED = map(
    list(COLUMNS).index, ("symbol", "timestamp", "instrument_key", "received_at")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolSlots:
    """The slots of one symbol in a range: how many were due, and how many have a quote."""

    symbol: str
    slots_due: int
    slots_present: int
    off_session: int

    @property
    def slots_missing(self) -> int:
        return self.slots_due - self.slots_present

    def document(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "slots_due": self.slots_due,
            "slots_present": self.slots_present,
            "slots_missing": self.slots_missing,
            "off_session": self.off_session,
        }


@dataclass(frozen=True, slots=True)
class SlotCompleteness:
    """The slots that were due up to now, by symbol.

    A slot is a minute of trading (the closing auction included); rows outside of them are
    counted as `off_session` and fill no slot.
    """

    symbols: tuple[SymbolSlots, ...]

    @property
    def slots_due(self) -> int:
        return sum(each.slots_due for each in self.symbols)

    @property
    def slots_present(self) -> int:
        return sum(each.slots_present for each in self.symbols)

    @property
    def complete(self) -> bool:
        """Every slot that was due has a quote."""
        return self.slots_due == self.slots_present

    def document(self) -> dict[str, Any]:
        return {
            "complete": self.complete,
            "slots_due": self.slots_due,
            "slots_present": self.slots_present,
            "slots_missing": self.slots_due - self.slots_present,
            "symbols": [each.document() for each in self.symbols],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteFreshness(DataAge):
    """How recent the quotes are: the newest row of the table, and each symbol's state now."""

    symbols: tuple[Judgement, ...]

    def document(self) -> dict[str, Any]:
        return {
            "as_of": exact_text(self.as_of),
            "newest": exact_text(self.newest),
            "age_seconds": self.age_seconds,
            "symbols": [judgement_document(each) for each in self.symbols],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotes:
    """A *table* of quotes by symbol, oldest first, with the slots that have none.

    Columns: symbol, timestamp (the slot: the start of its minute, aware, UTC), instrument_key,
    ltp, volume (cumulative for the day), change, change_percent, prev_close, ltq, off_session,
    received_at, source. Prices are rupees, quantities units.
    """

    symbols: tuple[str, ...]
    first: datetime
    last: datetime
    table: Any
    completeness: SlotCompleteness
    freshness: QuoteFreshness


def quotes(
    symbols: Symbols,
    first: date | str,
    last: date | str,
    *,
    as_of: datetime | str | None = None,
    form: str = "arrow",
    settings: Settings | None = None,
) -> Quotes:
    """The stored quotes of *symbols* (none named: of every listed one) from *first* to *last*.

    Each end is an IST date or an aware instant (or its ISO text), both included. A former symbol
    is followed to the present one, and quotes stored under former symbols are part of the table
    under the present one. *as_of*, an aware instant or ISO text, gives what was received by then;
    the freshness is that of the present all the same. The other arguments are those of `candles`.
    Raises SetupError for an invalid argument or a symbol that the store does not know,
    CalendarUnknown, StoreUnreachable.
    """
    convert = form_named(form)
    settings, wanted = settings or process_settings(), period(first, last)
    seen = instant(as_of)
    with records_for(settings, several(symbols)) as records:
        expectation = records.expectation
        if seen is not None:
            expectation = replace(expectation, now=min(seen, expectation.now))
        with pinned(settings, records.store) as asked:
            series = {
                one.symbol: _quote_columns(asked, one, wanted, seen) for one in records.instruments
            }
        states = judgements(
            settings,
            records.store,
            records.instruments,
            expectation.calendar,
            records.expectation.now,
        )
    slots = tuple(
        _slots_of(one, series[one.symbol], wanted, expectation) for one in records.instruments
    )
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for found in series.values():
        for name, values in found.items():
            columns[name] += values
    freshness = QuoteFreshness(
        as_of=expectation.now,
        newest=max(columns["received_at"], default=None),
        symbols=tuple(states),
    )
    completeness = SlotCompleteness(slots)
    return Quotes(
        symbols=tuple(series),
        first=wanted.begin,
        last=wanted.end,
        table=converted(convert, arrow_table(columns, COLUMNS), completeness, freshness),
        completeness=completeness,
        freshness=freshness,
    )


def _quote_columns(
    asked: Question, of: Instrument, wanted: Period, seen: datetime | None
) -> Mapping[str, list[Any]]:
    """The quotes of one instrument, under former symbols too, oldest first.

    With *seen* only those that were received by then."""
    connection = asked.connection
    symbols = {of.symbol, *former_symbols(of.instrument_key, key_changes(connection))}
    asked.recall_quotes(symbols, wanted.begin, wanted.end)
    found = stored_quotes(connection, sorted(symbols), wanted.begin, wanted.end)
    # Other instruments may have one of these symbols today, or may have had it before.
    present = present_symbols(connection, set(found["instrument_key"]))
    rows = zip(*(found[name] for name in COLUMNS), strict=True)
    ours = [
        row
        for row in rows
        if present.get(row[KEY], row[SYMBOL]) == of.symbol
        and (seen is None or row[RECEIVED] <= seen)
    ]
    ours.sort(key=itemgetter(TIMESTAMP))
    columns = zip(*ours, strict=True) if ours else [()] * len(COLUMNS)
    series = {name: list(values) for name, values in zip(COLUMNS, columns, strict=True)}
    return series | {"symbol": [of.symbol] * len(ours)}


def _slots_of(
    instrument: Instrument,
    columns: Mapping[str, Sequence[Any]],
    wanted: Period,
    expectation: Expectation,
) -> SymbolSlots:
    over = minute_of(expectation.now) - MINUTE
    end = min(wanted.end, over)
    due = {
        slot
        for session in expectation.sessions(instrument, wanted.first, wanted.last)
        for slot in session.slot_instants
        if wanted.begin <= slot <= end
    }
    in_session = [
        slot
        for slot, off_session in zip(columns["timestamp"], columns["off_session"], strict=True)
        if not off_session
    ]
    return SymbolSlots(
        symbol=instrument.symbol,
        slots_due=len(due),
        slots_present=len(due.intersection(in_session)),
        off_session=len(columns["timestamp"]) - len(in_session),
    )
