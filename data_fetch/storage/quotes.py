"""Quotes: one row per symbol and slot."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    case,
    func,
    not_,
    select,
    text,
    update,
)

from data_fetch.core.archive.days import Dataset
from data_fetch.core.clock import END_OF_TIME, minute_of
from data_fetch.core.market.session import KEY_PREFIXES, instant_of, midnight_number
from data_fetch.core.market.table import Segment
from data_fetch.core.quotes.quotes import Movement, Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncAttempt, SyncRun
from data_fetch.core.timetable import QUOTES, WITHDRAWN
from data_fetch.storage.archive_ledger import accept_rows, rows_in_files
from data_fetch.storage.database.dialects import (
    document_of,
    rows_in_document,
    wait_for_turn,
    wait_while_alone,
)
from data_fetch.storage.database.store import Guard, Store, refuse_invented
from data_fetch.storage.database.tables import LtpData, table
from data_fetch.storage.database.upsert import Rule, unchanged, upsert
from data_fetch.storage.instruments.instruments import present_instruments
from data_fetch.storage.runs import (
    fold_attempts,
    last_due_slot,
    record_runs,
    recorded_slots,
    sync_runs,
    write_runs,
)

# An arbitrary number, unique among the advisory locks of a database.
QUOTE_LOCK = 4_630_914_006
ltp_data = table(LtpData)
COLUMNS = tuple(column.name for column in ltp_data.columns)
RUNS_AT_ONCE = 500
# The row that is stored already stays.
AS_STORED = Rule(combined=dict.fromkeys(COLUMNS, unchanged))

# Neither database skips from symbol to symbol by itself: for the newest row of each symbol it
# would read all rows. Stepping through the key costs one look-up per symbol instead.
LATEST = (
    text(
        """
        WITH RECURSIVE symbols(symbol) AS (
            SELECT min(symbol) FROM ltp_data
            UNION ALL
            SELECT (SELECT min(symbol) FROM ltp_data WHERE symbol > symbols.symbol)
            FROM symbols WHERE symbol IS NOT NULL
        ),
        newest AS MATERIALIZED (
            SELECT symbol, (
                SELECT timestamp FROM ltp_data
                WHERE ltp_data.symbol = symbols.symbol AND NOT off_session
                AND timestamp <= :at AND received_at <= :at
                ORDER BY timestamp DESC LIMIT 1
            ) AS timestamp
            FROM symbols WHERE symbol IS NOT NULL
        )
        SELECT ltp_data.* FROM newest
        JOIN ltp_data ON ltp_data.symbol = newest.symbol AND ltp_data.timestamp = newest.timestamp
        """
    )
    .bindparams(bindparam("at", type_=ltp_data.c.timestamp.type))
    .columns(*ltp_data.columns)
)


def newest_quotes(
    connection: Connection, symbols: Collection[str], at: datetime
) -> list[StoredQuote]:
    """Of each of *symbols*, as they were stored, the newest in-session quote received by *at*."""
    dialect = connection.dialect.name
    named = rows_in_document(dialect, {"symbol": Text()}, "named")
    newest = (
        select(ltp_data.c.timestamp)
        .where(
            ltp_data.c.symbol == named.c.symbol,
            not_(ltp_data.c.off_session),
            ltp_data.c.received_at <= at,
            ltp_data.c.timestamp <= at,
        )
        .order_by(ltp_data.c.timestamp.desc())
        .limit(1)
        .correlate(named)
        .scalar_subquery()
    )
    query = select(ltp_data).join(
        named, and_(ltp_data.c.symbol == named.c.symbol, ltp_data.c.timestamp == newest)
    )
    rows = document_of(dialect, {"symbol": Text()}, ((one,) for one in symbols))
    return [stored_quote(row) for row in connection.execute(query, {"document": rows})]


# A quote over time, as `quotes` returns it.
HISTORY_COLUMNS = (
    "symbol",
    "timestamp",
    "instrument_key",
    "ltp",
    "volume",
    "change",
    "change_percent",
    "prev_close",
    "ltq",
    "off_session",
    "received_at",
    "source",
)


def quotes(
    connection: Connection, symbols: Sequence[str], first: datetime, last: datetime
) -> dict[str, tuple[Any, ...]]:
    """The quotes of *symbols* whose slots are from *first* to *last*: the columns
    HISTORY_COLUMNS, by symbol, oldest first.

    Prices are rupees, volume is the number of shares traded that day, instants are UTC.
    """
    rows = connection.execute(quotes_query(symbols, first, last)).all()
    values = zip(*rows, strict=True) if rows else ((),) * len(HISTORY_COLUMNS)
    return dict(zip(HISTORY_COLUMNS, values, strict=True))


def quotes_query(symbols: Sequence[str], first: datetime, last: datetime) -> Select[Any]:
    return (
        select(*(ltp_data.c[name] for name in HISTORY_COLUMNS))
        .where(ltp_data.c.symbol.in_(symbols), ltp_data.c.timestamp.between(first, last))
        .order_by(ltp_data.c.symbol, ltp_data.c.timestamp)
    )


def recent_quotes(
    connection: Connection, names: Collection[str], limit: int, *conditions: ColumnElement[bool]
) -> list[Row[Any]]:
    """The last *limit* quotes in trading hours of an instrument, newest first.

    *names* are the symbols and the keys that it has or had; one without a key in it is taken by
    its symbol alone.
    """
    keys = [name for name in names if "|" in name]
    query = (
        select(ltp_data)
        .where(
            ltp_data.c.symbol.in_([name for name in names if "|" not in name]),
            not_(ltp_data.c.off_session),
            *([ltp_data.c.instrument_key.in_(keys)] if keys else []),
            *conditions,
        )
        .order_by(ltp_data.c.timestamp.desc())
        .limit(limit)
    )
    return list(connection.execute(query))


def present_symbols(connection: Connection, keys: Collection[str]) -> dict[str, str]:
    """The symbol that the instrument of each of these keys has now."""
    return {key: one.symbol for key, one in present_instruments(connection, keys).items()}


@dataclass(frozen=True, slots=True)
class QuoteHoldings:
    """The number of stored quotes, those in files included, of symbols in the database, and the
    first and last slot."""

    rows: int
    symbols: int
    first_slot: datetime | None
    last_slot: datetime | None


def begin_quote_writing(connection: Connection, slots: Iterable[datetime]) -> None:
    """Let no day of *slots* be dropped until this transaction ends, which writes quotes of them.

    Raises DayArchived if one is read from its files.
    """
    wait_while_alone(connection, QUOTE_LOCK)
    accept_rows(connection, Dataset.QUOTES, slots)


def begin_quote_dropping(connection: Connection) -> None:
    """Let no other transaction write quotes until this one ends."""
    wait_for_turn(connection, QUOTE_LOCK)


class QuoteStore:
    """Stores quotes and the audit of collecting them (satisfies core.ports.QuoteRepository).

    With a *guard* (a scheduler's fence) every write is checked against it.
    """

    def __init__(self, store: Store, guard: Guard | None = None) -> None:
        self._store = store
        self._guard = guard

    def record_slot(
        self, run: SyncRun, quotes: Sequence[StoredQuote], attempts: Sequence[SyncAttempt]
    ) -> None:
        """Quotes, audit row and sync status in one transaction: all of it or nothing.

        Recording a slot twice leaves the same rows. Raises WrongWorld for invented instruments
        in a live store, LostLeadership if the guard has lost the lead.
        """
        rows = [_row(quote) for quote in quotes]
        with self._store.writing(self._guard) as connection:
            refuse_invented(connection, (quote.quote.instrument_key for quote in quotes))
            begin_quote_writing(connection, {quote.slot for quote in quotes})
            upsert(connection, ltp_data, COLUMNS, rows)
            write_runs(connection, [run])
            fold_attempts(connection, attempts)

    def symbols_at(self, slot: datetime, symbols: Collection[str]) -> set[str]:
        """Those of *symbols* that have a quote of *slot*."""
        query = select(ltp_data.c.symbol).where(
            ltp_data.c.symbol.in_(list(symbols)), ltp_data.c.timestamp == slot
        )
        with self._store.reading() as connection:
            return set(connection.scalars(query))

    def fill_slot(
        self, run: SyncRun, quotes: Sequence[StoredQuote]
    ) -> tuple[SyncRun, list[StoredQuote]]:
        """Store those of *quotes*, which *run* has made, whose symbol and slot have none.

        Returns them, and *run* with their number, as it is stored. Raises as `record_slot`.
        """
        of = ltp_data.c
        with self._store.writing(self._guard) as connection:
            refuse_invented(connection, (quote.quote.instrument_key for quote in quotes))
            begin_quote_writing(connection, {quote.slot for quote in quotes})
            upsert(connection, ltp_data, COLUMNS, [_row(quote) for quote in quotes], AS_STORED)
            # A row that a request has stored meanwhile has the run of that.
            own = select(of.symbol).where(of.timestamp == run.due_slot, of.run_id == run.run_id)
            names = set(connection.scalars(own))
            run = replace(run, stored=len(names))
            write_runs(connection, [run])
        return run, [quote for quote in quotes if quote.symbol in names]

    def record_runs(self, runs: Sequence[SyncRun]) -> None:
        """Write audit rows of runs without quotes."""
        record_runs(self._store, runs, self._guard)

    def recorded_slots(self, first: datetime, last: datetime) -> set[datetime]:
        """The slots from *first* to *last* that were collected or have a reason why not."""
        return recorded_slots(self._store, QUOTES, first, last)

    def last_recorded(self, before: datetime) -> datetime | None:
        """The newest slot before *before* that was collected or has a reason why not."""
        return last_due_slot(self._store, QUOTES, before)

    def withdraw(self, run: SyncRun, since: datetime, until: datetime) -> SyncRun:
        """Take the slots from the minute of *since* to *until* out of the account.

        Their runs keep their rows under another name; their quotes are marked off session, and
        replaced when their slot comes. *run*, with both counts, is stored and returned.
        """
        first = minute_of(since)
        ahead = (
            update(sync_runs)
            .where(sync_runs.c.job == QUOTES, sync_runs.c.due_slot.between(first, until))
            .values(job=WITHDRAWN)
        )
        marked = (
            update(ltp_data)
            .where(ltp_data.c.timestamp.between(first, until), not_(ltp_data.c.off_session))
            .values(off_session=True)
        )
        with self._store.writing(self._guard) as connection:
            slots = connection.execute(ahead).rowcount
            quotes = connection.execute(marked).rowcount
            counted = {"withdrawn_slots": slots, "withdrawn_quotes": quotes}
            run = replace(run, details={**run.details, **counted})
            write_runs(connection, [run])
        return run

    def follow_calendar(
        self, day: date, slots: Mapping[Segment, Collection[datetime]], reason: str
    ) -> int:
        """Mark what is stored of *day* by its *slots*, which the calendar has now.

        Runs for other slots become `not_due` with *reason*, and their quotes off session; those
        that were marked so before and are due again become what they were. Returns how many
        runs have changed.
        """
        begin = instant_of(midnight_number(day))
        due = set().union(*slots.values())
        runs = sync_runs.c
        of_day = and_(
            runs.job == QUOTES, runs.due_slot >= begin, runs.due_slot < begin + timedelta(days=1)
        )
        with self._store.writing(self._guard) as connection:
            stored = connection.execute(
                select(runs.run_id, runs.due_slot, runs.outcome).where(of_day)
            )
            undue, again = [], []
            for run_id, slot, outcome in stored:
                if slot not in due and outcome != Outcome.NOT_DUE:
                    undue.append(run_id)
                elif slot in due and outcome == Outcome.NOT_DUE:
                    again.append(run_id)
            _mark_not_due(connection, undue, reason)
            _mark_due(connection, again)
            for segment, of_segment in slots.items():
                connection.execute(
                    update(ltp_data)
                    .where(
                        ltp_data.c.timestamp >= begin,
                        ltp_data.c.timestamp < begin + timedelta(days=1),
                        ltp_data.c.instrument_key.startswith(KEY_PREFIXES[segment]),
                        ltp_data.c.timestamp.not_in(of_segment),
                        not_(ltp_data.c.off_session),
                    )
                    .values(off_session=True)
                )
        return len(undue) + len(again)

    def latest(self, at: datetime = END_OF_TIME) -> Mapping[str, StoredQuote]:
        """The newest in-session quote of each instrument that was received by *at*, by its
        present symbol."""
        with self._store.reading() as connection:
            rows = [stored_quote(row) for row in connection.execute(LATEST, {"at": at})]
            names = present_symbols(connection, {row.quote.instrument_key for row in rows})
        rows.sort(key=attrgetter("slot"))
        return {names.get(row.quote.instrument_key, row.symbol): row for row in rows}

    def movements(self, slots: Sequence[datetime]) -> Mapping[str, Movement]:
        """How far each instrument's quote moved over *slots*, by its present symbol."""
        price, volume = ltp_data.c.ltp, ltp_data.c.volume
        query = (
            select(
                ltp_data.c.symbol,
                ltp_data.c.instrument_key,
                func.count(),
                func.min(price),
                func.max(price),
                func.min(volume),
                func.max(volume),
            )
            .where(ltp_data.c.timestamp.in_(slots))
            .group_by(ltp_data.c.symbol, ltp_data.c.instrument_key)
        )
        found: dict[str, Movement] = {}
        with self._store.reading() as connection:
            rows = connection.execute(query).all()
            names = present_symbols(connection, {row.instrument_key for row in rows})
        for symbol, key, count, low, high, least, most in rows:
            movement = Movement(
                slots=count,
                lowest_price=low,
                highest_price=high,
                lowest_volume=least,
                highest_volume=most,
            )
            name = names.get(key, symbol)
            found[name] = movement.joined(found[name]) if name in found else movement
        return found

    def holdings(self) -> QuoteHoldings:
        """What is stored, with the slots of the database. Counts every row of it, so it takes a
        while on years of quotes."""
        time = ltp_data.c.timestamp
        symbols = func.count(ltp_data.c.symbol.distinct())
        with self._store.reading() as connection:
            query = select(func.count(), symbols, func.min(time), func.max(time))
            held = QuoteHoldings(*connection.execute(query.select_from(ltp_data)).one())
            in_files = rows_in_files(connection, Dataset.QUOTES, ltp_data.name)
            return replace(held, rows=held.rows + in_files)


def _mark_not_due(connection: Connection, run_ids: Sequence[str], reason: str) -> None:
    runs = sync_runs.c
    before = func.coalesce("; before: " + runs.error, "")
    for some in _portions(run_ids):
        connection.execute(
            update(sync_runs)
            .where(runs.run_id.in_(some))
            .values(outcome=Outcome.NOT_DUE.value, error=reason + before)
        )


def _mark_due(connection: Connection, run_ids: Sequence[str]) -> None:
    runs = sync_runs.c
    outcome = case(
        (runs.stored == 0, Outcome.MISSED.value),
        (runs.stored < runs.requested, Outcome.INCOMPLETE.value),
        else_=Outcome.COMPLETED.value,
    )
    error = case((runs.stored == 0, "the calendar had no trading in this slot"), else_=None)
    for some in _portions(run_ids):
        connection.execute(
            update(sync_runs).where(runs.run_id.in_(some)).values(outcome=outcome, error=error)
        )
        connection.execute(
            update(ltp_data).where(ltp_data.c.run_id.in_(some)).values(off_session=False)
        )


def _portions(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(run_ids), RUNS_AT_ONCE):
        yield run_ids[first : first + RUNS_AT_ONCE]


def _row(stored: StoredQuote) -> tuple[Any, ...]:
    quote = stored.quote
    return (
        stored.symbol,
        stored.slot,
        quote.instrument_key,
        quote.last_price,
        quote.volume,
        quote.change,
        quote.change_percent,
        quote.prev_close,
        quote.ltq,
        stored.off_session,
        stored.received_at,
        stored.source,
        stored.run_id,
    )


def stored_quote(row: Row[Any]) -> StoredQuote:
    return StoredQuote(
        symbol=row.symbol,
        slot=row.timestamp,
        quote=Quote(
            instrument_key=row.instrument_key,
            last_price=row.ltp,
            volume=row.volume,
            ltq=row.ltq,
            prev_close=row.prev_close,
        ),
        off_session=row.off_session,
        received_at=row.received_at,
        source=row.source,
        run_id=row.run_id,
    )
