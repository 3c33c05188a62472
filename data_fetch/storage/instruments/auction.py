"""The days on which stocks take part in the closing auction: by masters, and by their candles."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from sqlalchemy import Connection, select

from data_fetch.core.instruments.auction import AuctionHistory, Eligibility
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.storage.database.dialects import is_among
from data_fetch.storage.database.tables import AuctionDay, table
from data_fetch.storage.database.upsert import upsert
from data_fetch.storage.instruments.masters import master_before, master_dates
from data_fetch.storage.instruments.terms import terms_table

auction_days_table = table(AuctionDay)
COLUMNS = tuple(column.name for column in auction_days_table.columns)
DAY = timedelta(days=1)


def with_auction_history(
    connection: Connection, instruments: Iterable[Instrument]
) -> list[Instrument]:
    """*instruments*, the stocks among them with what the store has of their eligibility."""
    found = list(instruments)
    stocks = [one.instrument_key for one in found if one.segment == "NSE_EQ"]
    if not stocks:
        return found
    masters, shown = _by_masters(connection, stocks), _by_candles(connection, stocks)
    return [
        replace(one, auction=AuctionHistory(masters[key], tuple(shown.get(key, ()))))
        if (key := one.instrument_key) in masters
        else one
        for one in found
    ]


def save_auction_days(
    connection: Connection, instrument_key: str, shown: Mapping[date, bool], run_id: str
) -> None:
    """Record what the candles of these days show, inside the transaction of the candles."""
    rows = [(instrument_key, day, eligible, run_id) for day, eligible in shown.items()]
    upsert(connection, auction_days_table, COLUMNS, rows)


def _by_masters(
    connection: Connection, keys: Sequence[str]
) -> Mapping[str, tuple[Eligibility, ...]]:
    terms = terms_table.c
    query = (
        select(terms.instrument_key, terms.effective_from, terms.cas_eligible)
        .where(is_among(connection, terms.instrument_key, keys))
        .order_by(terms.instrument_key, terms.effective_from)
    )
    rows: dict[str, list[tuple[date, bool]]] = defaultdict(list)
    for key, since, eligible in connection.execute(query):
        rows[key].append((since, eligible))
    dates = master_dates(connection)
    return {key: tuple(_changes(own, dates)) for key, own in rows.items()}


def _changes(rows: Sequence[tuple[date, bool]], dates: Sequence[date]) -> Iterator[Eligibility]:
    """The *rows* of one stock's terms, oldest first, in which its eligibility changes."""
    before: tuple[date, bool] | None = None
    for since, eligible in rows:
        if before is None:
            yield Eligibility(since, eligible)
        elif eligible != before[1]:
            seen = max(before[0], master_before(dates, since) or before[0])
            yield Eligibility(since, eligible, seen + DAY)
        before = since, eligible


def _by_candles(
    connection: Connection, keys: Sequence[str]
) -> Mapping[str, list[tuple[date, bool]]]:
    days = auction_days_table.c
    query = (
        select(days.instrument_key, days.trading_date, days.eligible)
        .where(is_among(connection, days.instrument_key, keys))
        .order_by(days.instrument_key, days.trading_date)
    )
    found: dict[str, list[tuple[date, bool]]] = defaultdict(list)
    for key, day, eligible in connection.execute(query):
        found[key].append((day, eligible))
    return found
