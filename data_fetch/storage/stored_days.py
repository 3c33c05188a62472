"""Which Indian dates have rows in the store: a few look-ups for each, no scan of a large table."""

from collections.abc import Callable, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, FromClause, Table, exists, func, literal, select, true, union_all

from data_fetch.core.archive.days import TABLES, Dataset, bounds_of, day_of, spans_beside
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.chains.chains import ChainSource
from data_fetch.storage.candles.candles import candles
from data_fetch.storage.candles.coverage import coverage_table
from data_fetch.storage.chains.rows import receipts, snapshots
from data_fetch.storage.database.distinct import distinct_query, distinct_values
from data_fetch.storage.database.layouts import Layout, layout_of
from data_fetch.storage.quotes import ltp_data

# The first instant with a row at or after one and before another; None: without an end.
First = Callable[[datetime | None, datetime | None], datetime | None]
INSTANTS = {name: time for tables in TABLES.values() for name, time in tables.items()}


def stored_days(connection: Connection, dataset: Dataset) -> list[date]:
    """The Indian dates of which rows of *dataset* are stored, oldest first."""
    match dataset:
        case Dataset.QUOTES:
            return _with_others([], _first_row(connection, ltp_data))
        case Dataset.CHAINS:
            # An index has the instants of snapshots. On some days nothing new was received.
            known = _with_others([], _first_row(connection, snapshots))
            return _with_others(known, _first_row(connection, receipts, _chains(receipts)))
        case Dataset.CANDLES:
            # The ledger has nearly every day.
            return _with_others(_days_in_ledger(connection), _first_candle(connection))


def _with_others(known: Sequence[date], first: First) -> list[date]:
    """*known* and the other days on which *first* finds a row."""
    found = set(known)
    for since, until in spans_beside(known):
        instant = first(since, until)
        while instant is not None:
            found.add(day_of(instant))
            instant = first(bounds_of(day_of(instant))[1], until)
    return sorted(found)


def _first_row(connection: Connection, of: Table, series: FromClause | None = None) -> First:
    """In an index of the instants; with *series* in the key that begins with its columns."""
    instant = of.c[INSTANTS[of.name]]

    def first(since: datetime | None, until: datetime | None) -> datetime | None:
        span = [] if since is None else [instant >= since]
        span += [] if until is None else [instant < until]
        query = select(func.min(instant)).where(*span)
        if series is not None:
            own = (of.c[column.name] == column for column in series.c)
            query = select(func.min(query.where(*own).scalar_subquery())).select_from(series)
        found: datetime | None = connection.scalar(query)
        return found

    return first


def _first_candle(connection: Connection) -> First:
    # Compressed rows are found by their time; a look-up of each instrument would unpack them all.
    by_time = layout_of(connection) is Layout.HYPERTABLES
    return _first_row(connection, candles, None if by_time else _candle_series())


def _candle_series() -> FromClause:
    keys = distinct_query(candles.c.instrument_key).subquery("keys")
    intervals = _values("interval", [each.value for each in CandleInterval])
    named = select(keys.c.value.label("instrument_key"), intervals.c.interval)
    return named.select_from(keys.join(intervals, true())).cte("series")


def _chains(of: Table) -> FromClause:
    """Every underlying and expiry of *of*, with each source: a look-up for each."""
    underlyings = distinct_query(of.c.underlying).subquery("underlyings")
    name = underlyings.c.value
    nearest = select(func.min(of.c.expiry)).where(of.c.underlying == name).scalar_subquery()
    chains = select(name.label("underlying"), nearest.label("expiry")).cte("chains", recursive=True)
    following = select(func.min(of.c.expiry)).where(
        of.c.underlying == chains.c.underlying, of.c.expiry > chains.c.expiry
    )
    chains = chains.union_all(
        select(chains.c.underlying, following.scalar_subquery()).where(chains.c.expiry.is_not(None))
    )
    sources = _values("source", [each.value for each in ChainSource])
    named = select(chains.c.underlying, chains.c.expiry, sources.c.source)
    return (
        named.select_from(chains.join(sources, true()))
        .where(chains.c.expiry.is_not(None))
        .cte("series")
    )


def _values(name: str, values: Sequence[str]) -> FromClause:
    return union_all(*(select(literal(value).label(name)) for value in values)).subquery(name)


def _days_in_ledger(connection: Connection) -> list[date]:
    """The days of which the coverage ledger has candles."""
    known = coverage_table.c
    found: set[date] = set()
    for interval in CandleInterval:
        of_interval = known.interval == interval.value
        for day in distinct_values(connection, known.trading_date, of_interval):
            present = exists().where(of_interval, known.trading_date == day, known.present > 0)
            if connection.scalar(select(present)):
                found.add(day)
    return sorted(found)
