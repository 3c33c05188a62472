"""The instruments that the store knows, as the last instrument master had them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import Connection, Select, func, select

from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.reading.frames import DataAge, converted, form_named, rows_table
from data_fetch.reading.instants import date_of, day_text
from data_fetch.reading.records import Symbols, clock_of, several, store_of
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import named_instruments
from data_fetch.storage.instruments.contracts import underlying_keys
from data_fetch.storage.instruments.instruments import instruments_table, last_master_date

COLUMNS = {
    **dict.fromkeys(("instrument_key", "symbol", "segment", "instrument_type"), "text"),
    **dict.fromkeys(("name", "isin", "underlying_key", "underlying_symbol"), "text"),
    "expiry": "date",
    "strike": "float",
    "lot_size": "int",
    "tick_size": "float",
    "cas_eligible": "bool",
    "live_key": "text",
    "first_seen": "date",
    "last_seen": "date",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentCompleteness:
    """How many instruments a table has, and how many of them the last master still listed.

    *master_date* is the date of that master; None when none is stored.
    """

    instruments: int
    listed: int
    master_date: date | None

    @property
    def complete(self) -> bool:
        """A master is stored, so the table has every instrument that it listed."""
        return self.master_date is not None

    def document(self) -> dict[str, Any]:
        return {
            "complete": self.complete,
            "instruments": self.instruments,
            "listed": self.listed,
            "master_date": day_text(self.master_date),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """A *table* with a row per instrument, by symbol.

    Columns: instrument_key, symbol, segment, instrument_type, name, isin, underlying_key,
    underlying_symbol, expiry, strike (rupees), lot_size, tick_size, cas_eligible, live_key,
    first_seen and last_seen (dates of instrument masters). *freshness* has the date of the
    newest master.
    """

    table: Any
    completeness: InstrumentCompleteness
    freshness: DataAge


def instruments(
    symbols: Symbols = (),
    *,
    underlying: str | None = None,
    expiry: date | str | None = None,
    segment: str | None = None,
    form: str = "arrow",
    settings: Settings | None = None,
) -> Instruments:
    """The instruments of *symbols*, or the contracts on *underlying*, or all.

    *expiry* and *segment* ("NSE_EQ", "NSE_INDEX", "NSE_FO") narrow the choice. The other
    arguments are those of `candles`. Raises SetupError for an invalid argument or a symbol that
    the store does not know, StoreUnreachable.
    """
    convert = form_named(form)
    settings, named = settings or process_settings(), several(symbols)
    expires = None if expiry is None else date_of(expiry)
    of = instruments_table.c
    query = select(*(of[name] for name in COLUMNS)).order_by(of.symbol, of.instrument_key)
    clock = clock_of(settings)
    with store_of(settings) as store, store.reading() as connection:
        if segment is not None:
            query = query.where(of.segment == _segment(connection, segment))
        if expires is not None:
            query = query.where(of.expiry == expires)
        if named:
            keys = [one.instrument_key for one in named_instruments(connection, named).members]
            query = query.where(of.instrument_key.in_(keys))
        if underlying is not None:
            [found] = named_instruments(connection, [underlying]).members
            on = underlying_keys(connection, [found.symbol])[found.symbol]
            query = query.where(of.underlying_key.in_(on))
        rows = _rows(connection, query)
        master_date, now = last_master_date(connection), clock.now()
    completeness = InstrumentCompleteness(
        instruments=len(rows),
        listed=sum(row["last_seen"] == master_date for row in rows),
        master_date=master_date,
    )
    newest = None if master_date is None else datetime.combine(master_date, time(), UTC)
    freshness = DataAge(as_of=now, newest=newest)
    return Instruments(
        table=converted(convert, rows_table(rows, COLUMNS), completeness, freshness),
        completeness=completeness,
        freshness=freshness,
    )


def _rows(connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    rows = [dict(row) for row in connection.execute(query).mappings()]
    for row in rows:
        for name in ("strike", "tick_size"):
            row[name] = None if row[name] is None else float(row[name])
    return rows


def _segment(connection: Connection, segment: str) -> str:
    count = select(func.count()).where(instruments_table.c.segment == segment)
    if not connection.scalar(count):
        known = connection.scalars(select(instruments_table.c.segment).distinct()).all()
        raise SetupError(
            f"no instrument of segment {segment!r} is stored",
            hint=f"Stored: {', '.join(sorted(known))}."
            if known
            else "Fetch an instrument master first: data-fetch collect --once",
        )
    return segment
