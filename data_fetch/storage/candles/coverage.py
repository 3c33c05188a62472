"""The coverage ledger: one row per instrument, interval and trading date."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    RowMapping,
    Text,
    and_,
    bindparam,
    cast,
    func,
    not_,
    or_,
    select,
)

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import (
    GAPS,
    CoverageInterval,
    DayCoverage,
    Proof,
    State,
    withdraws,
)
from data_fetch.core.market.session import midnight_number
from data_fetch.core.spans import Spans
from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import CoverageRevisionRow, CoverageRow, table
from data_fetch.storage.database.types import EPOCH, MICROSECOND
from data_fetch.storage.database.upsert import upsert

coverage_table = table(CoverageRow)
COLUMNS = tuple(column.name for column in coverage_table.columns)
revisions_table = table(CoverageRevisionRow)
REVISION_COLUMNS = tuple(column.name for column in revisions_table.columns)

# Looked up for every interval that is read: a call of the enumeration takes five times as long.
STATES: Mapping[str, State] = {state.value: state for state in State}
NO_MINUTES = dict.fromkeys(State, 0)

# Of a row, besides its counts and its minutes.
OF_DAY = (
    "instrument_key",
    "interval",
    "trading_date",
    "attempts",
    "confirmations",
    "last_error",
    "last_attempt",
    "next_attempt",
    "changed_at",
)
# The rows of a range without their counts, their JSON documents as text. Made once.
AS_WRITTEN = select(
    *(coverage_table.c[name] for name in OF_DAY),
    cast(coverage_table.c.stretches, Text()).label("minutes"),
    cast(coverage_table.c.provisional_spans, Text()).label("unconfirmed"),
).where(
    coverage_table.c.instrument_key.in_(bindparam("keys", expanding=True)),
    coverage_table.c.interval == bindparam("interval"),
    coverage_table.c.trading_date.between(bindparam("first"), bindparam("last")),
)
# A month of two hundred instruments.
DAYS_KEPT = 5_000

# An instrument key and a trading date.
LedgerKey = tuple[str, date]
# The intervals of a day, and its provisional minutes.
Minutes = tuple[tuple[CoverageInterval, ...], Spans]


@dataclass(frozen=True, slots=True)
class UnsettledDays:
    """The ledger rows that lack something (*days*); of the *settled* ones the number of minutes."""

    days: Mapping[LedgerKey, DayCoverage]
    settled: Mapping[LedgerKey, int]

    def has_candles(self, instrument_key: str, day: date) -> bool:
        """Whether a candle of that day is stored under that key."""
        known = self.days.get((instrument_key, day))
        present = known is not None and bool(known.minutes(State.PRESENT))
        return present or (instrument_key, day) in self.settled


@dataclass(frozen=True, slots=True)
class CandleHoldings:
    """What the ledger counts: candles of expected minutes, how many of them are provisional,
    minutes that are missed, and the dates they reach from and to (None without any)."""

    candles: int
    provisional: int
    missed: int
    first_day: date | None
    last_day: date | None


def candle_holdings(store: Store, first: date = date.min, last: date = date.max) -> CandleHoldings:
    """The minutes of all instruments, from *first* to *last* or of all trading dates.

    Sums up rows of the ledger and reads no candles: years of minutes take no time. Minutes that
    were missed since a row was last written are not included.
    """
    present, provisional, missed = (
        func.coalesce(func.sum(coverage_table.c[name]), 0)
        for name in ("present", "provisional", "missed")
    )
    trading_date = coverage_table.c.trading_date
    query = select(
        present,
        provisional,
        missed,
        func.min(trading_date),
        func.max(trading_date),
    ).where(
        coverage_table.c.interval == CandleInterval.MINUTE.value,
        trading_date.between(first, last),
    )
    with store.reading() as connection:
        return CandleHoldings(*connection.execute(query).one())


def load_days(
    connection: Connection,
    instrument_keys: Sequence[str],
    interval: CandleInterval,
    first: date,
    last: date,
) -> dict[LedgerKey, DayCoverage]:
    """The rows of these instruments from *first* to *last*, both included.

    An instrument-day without a row was never requested.
    """
    written = load_written_days(connection, instrument_keys, interval, first, last)
    return {key: day for key, (day, _) in written.items()}


def load_written_days(
    connection: Connection,
    instrument_keys: Sequence[str],
    interval: CandleInterval,
    first: date,
    last: date,
) -> dict[LedgerKey, tuple[DayCoverage, datetime]]:
    """The rows of `load_days`, each with the instant at which it was written last."""
    given = {
        "keys": instrument_keys,
        "interval": interval.value,
        "first": first,
        "last": last,
    }
    return {
        (row.instrument_key, row.trading_date): (
            _day(row._mapping, _read_minutes(row.trading_date, row.minutes, row.unconfirmed)),
            row.changed_at,
        )
        for row in connection.execute(AS_WRITTEN, given)
    }


@lru_cache(maxsize=DAYS_KEPT)
def _read_minutes(day: date, stretches: str, provisional: str) -> Minutes:
    """`_minutes_of` of two JSON documents: most days are read again and again as they are."""
    facts = {
        "trading_date": day,
        "stretches": orjson.loads(stretches),
        "provisional_spans": orjson.loads(provisional),
    }
    return _minutes_of(facts)


def load_days_as_of(
    connection: Connection,
    instrument_key: str,
    interval: CandleInterval,
    first: date,
    last: date,
    as_of: datetime,
) -> dict[LedgerKey, tuple[DayCoverage, datetime]]:
    """The rows of `load_written_days` of one instrument, with what was settled and provisional at
    *as_of*.

    Where a row was first written later, nothing that it proves has a time before *as_of*.
    """
    days = load_written_days(connection, [instrument_key], interval, first, last)
    row = revisions_table.c
    query = (
        select(revisions_table)
        .where(
            row.instrument_key == instrument_key,
            row.interval == interval.value,
            row.trading_date.between(first, last),
            row.superseded_at > as_of,
        )
        # The oldest of them was in force, so it is put in last.
        .order_by(row.superseded_at.desc())
    )
    for found in connection.execute(query):
        key = (found.instrument_key, found.trading_date)
        intervals, provisional = _minutes_of(found._mapping)
        day, changed_at = days[key]
        days[key] = replace(day, intervals=intervals, provisional=provisional), changed_at
    return days


def load_unsettled_days(
    connection: Connection,
    instrument_keys: Sequence[str],
    interval: CandleInterval,
    first: date,
    last: date,
) -> dict[LedgerKey, DayCoverage]:
    """The rows of `load_days` that a request, or time, can still change."""
    query = select(coverage_table).where(
        _of(instrument_keys, interval, first, last), not_(_is_settled())
    )
    rows = connection.execute(query)
    return {(row.instrument_key, row.trading_date): day_coverage(row) for row in rows}


def load_days_lacking(connection: Connection, days: Collection[date]) -> list[DayCoverage]:
    """The rows of *days* that lack expected candles, of all instruments and intervals."""
    lacking = (coverage_table.c[state.value] for state in GAPS)
    query = select(coverage_table).where(
        coverage_table.c.trading_date.in_(days), or_(*(count > 0 for count in lacking))
    )
    return [day_coverage(row) for row in connection.execute(query)]


def settled_lengths(
    connection: Connection,
    instrument_keys: Sequence[str],
    interval: CandleInterval,
    first: date,
    last: date,
) -> dict[LedgerKey, int]:
    """The number of minutes of each other row: every minute of it is settled."""
    length = coverage_table.c.expected + coverage_table.c.not_expected
    query = select(coverage_table.c.instrument_key, coverage_table.c.trading_date, length).where(
        _of(instrument_keys, interval, first, last), _is_settled()
    )
    return {(key, day): minutes for key, day, minutes in connection.execute(query)}


def _of(
    instrument_keys: Sequence[str], interval: CandleInterval, first: date, last: date
) -> ColumnElement[bool]:
    return and_(
        coverage_table.c.instrument_key.in_(instrument_keys),
        coverage_table.c.interval == interval.value,
        coverage_table.c.trading_date.between(first, last),
    )


def _is_settled() -> ColumnElement[bool]:
    open_counts = (
        "source_empty",
        "unknown_instrument",
        "missed",
        "pending",
        "not_expected",
        "provisional",
    )
    return and_(*(coverage_table.c[name] == 0 for name in open_counts))


def save_days(
    connection: Connection, days: Iterable[DayCoverage], run_id: str, changed_at: datetime
) -> None:
    """Write rows of the ledger inside the transaction of their candles.

    What they take back of the rows before goes to `coverage_revisions`.
    """
    written = list(days)
    _keep_superseded(connection, written, changed_at)
    rows = [ledger_row(day, run_id, changed_at) for day in written]
    upsert(connection, coverage_table, COLUMNS, rows)


def _keep_superseded(
    connection: Connection, written: Sequence[DayCoverage], changed_at: datetime
) -> None:
    """Copy the stored rows that *written* take something back of."""
    row = coverage_table.c
    for interval in CandleInterval:
        after = {(day.instrument_key, day.day): day for day in written if day.interval is interval}
        if not after:
            continue
        days = [day for _, day in after]
        query = select(coverage_table).where(
            _of(sorted({key for key, _ in after}), interval, min(days), max(days)),
            row.source_empty + row.no_trade + row.not_expected + row.provisional > 0,
            # A row of the same instant was seen by no reader.
            row.changed_at < changed_at,
        )
        superseded = [
            (
                before.instrument_key,
                before.interval,
                before.trading_date,
                changed_at,
                before.stretches,
                before.provisional_spans,
                before.changed_at,
                before.run_id,
            )
            for before in connection.execute(query)
            if (known := after.get((before.instrument_key, before.trading_date)))
            and withdraws(known, day_coverage(before))
        ]
        upsert(connection, revisions_table, REVISION_COLUMNS, superseded)


def oldest_candle_day(
    connection: Connection, instrument_key: str, interval: CandleInterval
) -> date | None:
    """The first date for which the instrument has any candle; None when it has none."""
    query = (
        select(coverage_table.c.trading_date)
        .where(
            coverage_table.c.instrument_key == instrument_key,
            coverage_table.c.interval == interval.value,
            coverage_table.c.present > 0,
        )
        .order_by(coverage_table.c.trading_date)
        .limit(1)
    )
    found: date | None = connection.scalar(query)
    return found


def empty_days(
    connection: Connection, instrument_key: str, interval: CandleInterval
) -> list[DayCoverage]:
    """The days of the instrument for which a complete response had no candle."""
    query = select(coverage_table).where(
        coverage_table.c.instrument_key == instrument_key,
        coverage_table.c.interval == interval.value,
        coverage_table.c.present == 0,
        coverage_table.c.confirmations > 0,
    )
    return [day_coverage(row) for row in connection.execute(query)]


def ledger_row(known: DayCoverage, run_id: str, changed_at: datetime) -> tuple[Any, ...]:
    """*known* as a row, in the order of `COLUMNS`."""
    midnight = midnight_number(known.day)
    counts = NO_MINUTES.copy()
    for one in known.intervals:
        counts[one.state] += one.end - one.first
    return (
        known.instrument_key,
        known.interval.value,
        known.day,
        known.expected,
        counts[State.PRESENT],
        counts[State.NO_TRADE],
        counts[State.SOURCE_EMPTY],
        counts[State.UNKNOWN_INSTRUMENT],
        counts[State.MISSED],
        counts[State.PENDING],
        counts[State.NOT_EXPECTED],
        sum(end - first for first, end in known.provisional),
        _shared([_to_json(one, midnight) for one in known.intervals]),
        _shared([[first - midnight, end - midnight] for first, end in known.provisional]),
        known.attempts,
        known.confirmations,
        known.last_error,
        known.last_attempt,
        known.next_attempt,
        run_id,
        changed_at,
    )


def day_coverage(row: Row[Any] | Mapping[str, Any]) -> DayCoverage:
    """The day of a ledger row, as of its `changed_at`."""
    facts = row if isinstance(row, Mapping) else row._mapping
    return _day(facts, _minutes_of(facts))


def _day(facts: Mapping[str, Any] | RowMapping, minutes: Minutes) -> DayCoverage:
    intervals, provisional = minutes
    return DayCoverage(
        instrument_key=facts["instrument_key"],
        interval=CandleInterval(facts["interval"]),
        day=facts["trading_date"],
        intervals=intervals,
        provisional=provisional,
        attempts=facts["attempts"],
        confirmations=facts["confirmations"],
        last_error=facts["last_error"],
        last_attempt=facts["last_attempt"],
        next_attempt=facts["next_attempt"],
    )


def _minutes_of(facts: Mapping[str, Any] | RowMapping) -> Minutes:
    midnight = midnight_number(facts["trading_date"])
    intervals = tuple(_from_json(written, midnight) for written in facts["stretches"])
    provisional = facts["provisional_spans"]
    return intervals, tuple((first + midnight, end + midnight) for first, end in provisional)


def _shared(written: list[Any]) -> list[Any]:
    """*written*, as the same object for days that are alike, which is encoded once."""
    if len(written) > 1:
        return written
    return _alike(tuple(map(tuple, written)))


@lru_cache(maxsize=256)
def _alike(written: tuple[tuple[Any, ...], ...]) -> list[Any]:
    return [list(one) for one in written]


def _to_json(one: CoverageInterval, midnight: int) -> list[Any]:
    """Minutes of the Indian day, the state, and who proved it: by, run and microseconds."""
    values = [one.first - midnight, one.end - midnight, one.state.value]
    if one.proof is None:
        return values
    proof = one.proof
    return [*values, proof.by, proof.run_id, (proof.at - EPOCH) // MICROSECOND]


def _from_json(written: Sequence[Any], midnight: int) -> CoverageInterval:
    first, end, state, *proved = written
    proof = None
    if proved:
        by, run_id, at = proved
        proof = Proof(by, run_id, EPOCH + at * MICROSECOND)
    return CoverageInterval(first + midnight, end + midnight, STATES[state], proof)
