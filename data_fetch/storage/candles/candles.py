"""Candles in bulk, and their former versions.

A final candle replaces a provisional one, then a newer one an older. If the values of a candle
change, the old version goes to `candle_revisions`; if they are merely confirmed, *fetched_at*
remains the instant since which they are known.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    Integer,
    MetaData,
    ScalarSelect,
    Select,
    String,
    Table,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from data_fetch.core.archive.days import Dataset
from data_fetch.core.candles.candles import CandleBlock, Kind, Provenance
from data_fetch.core.clock import END_OF_TIME
from data_fetch.core.market.session import IST_AHEAD, MINUTES_OF_DAY, day_of, instant_of
from data_fetch.core.spans import joined
from data_fetch.storage.archive_ledger import accept_rows
from data_fetch.storage.database import binary_copy, wide_insert
from data_fetch.storage.database.dialects import (
    MICROSECONDS_PER_MINUTE,
    SQLITE,
    microseconds,
    minutes,
    wait_for_turn,
)
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.partitions import cover
from data_fetch.storage.database.tables import CandleRevision, CandleRow, table
from data_fetch.storage.database.types import Instant

# An arbitrary number, unique among the advisory locks of a database.
CANDLE_LOCK = 4_630_914_003
# In one transaction. TimescaleDB unpacks the compressed rows that it changes, by default not more
# than 100,000; a day of minutes has 375.
INSTRUMENT_DAYS_AT_ONCE = 250
MOST_CANDLES = INSTRUMENT_DAYS_AT_ONCE * 375
# Ranks the stored version after all its revisions.
CURRENT_VERSION = 2**31 - 1

candles, revisions = table(CandleRow), table(CandleRevision)
KEY = ("instrument_key", "interval", "timestamp")
VALUE_COLUMNS = ("open", "high", "low", "close", "volume", "oi", "kind")
PROVENANCE = ("source", "is_final", "fetched_at", "run_id")
COLUMNS = (*KEY, *VALUE_COLUMNS, *PROVENANCE)
READ = ("timestamp", *VALUE_COLUMNS, "source", "is_final", "fetched_at")

# Offered candles of which a version is stored. *outcome*: what happens to that version;
# *revision*: its number in the revisions if it is corrected.
staged = Table(
    "staged_candles",
    MetaData(),
    *(Column(name, candles.c[name].type, nullable=candles.c[name].nullable) for name in COLUMNS),
    Column("outcome", String()),
    Column("revision", Integer()),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DELETE ROWS",
)
CORRECTED, CONFIRMED = "corrected", "confirmed"


def _same_key(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(*(one.c[name] == other.c[name] for name in KEY))


def _differs(one: Column[Any], other: Column[Any]) -> ColumnElement[bool]:
    return one.is_distinct_from(other) if one.nullable else one != other


UpsertInto = postgresql.Insert | sqlite.Insert
# Limits a look-up in a table of candles to what a settling can concern.
Within = Callable[[Table], ColumnElement[bool]]


def _outcome(within: Within) -> ScalarSelect[str | None]:
    differs = or_(*(_differs(candles.c[name], staged.c[name]) for name in VALUE_COLUMNS))
    current = tuple_(candles.c.is_final, candles.c.fetched_at)
    outranks = tuple_(staged.c.is_final, staged.c.fetched_at) >= current
    confirms = and_(staged.c.is_final, not_(candles.c.is_final), not_(differs))
    outcome = case((and_(differs, outranks), CORRECTED), (confirms, CONFIRMED))
    return select(outcome).where(_same_key(candles, staged), within(candles)).scalar_subquery()


# The statements below are written for PostgreSQL's planner, which has no statistics of a
# temporary table. A subquery is looked up in the index row by row; as a join it might read all
# candles for a few, or the few for every candle. A comparison with a constant makes the planner
# expect few rows, so that the join uses the index as well. Constant bounds of time leave out the
# partitions of other months when the statement is planned; from the staged rows alone
# TimescaleDB would conclude nothing, and decompress every day.
def judge(within: Within) -> Update:
    return update(staged).values(outcome=_outcome(within))


def number(within: Within) -> Update:
    """Runs before any old version is saved: a statement that writes into the table in which it
    looks up its numbers gets slower with every row."""
    newest = select(func.coalesce(func.max(revisions.c.revision), 0) + 1).where(
        _same_key(revisions, staged), within(revisions)
    )
    corrected = staged.c.outcome == CORRECTED
    return update(staged).values(revision=newest.scalar_subquery()).where(corrected)


def save_old_versions(within: Within) -> Insert:
    old = select(*(candles.c[name] for name in COLUMNS), staged.c.revision, staged.c.fetched_at)
    return insert(revisions).from_select(
        (*COLUMNS, "revision", "superseded_at"),
        old.where(_same_key(candles, staged), staged.c.outcome == CORRECTED, within(candles)),
    )


def _replacing(into: UpsertInto, outcome: str, names: Sequence[str]) -> UpsertInto:
    """*names* of the stored candles from the staged ones with this *outcome*.

    All of them are stored, so nothing is inserted. An update from the staged rows would find
    compressed candles only by decompressing all there are.
    """
    chosen = select(*(staged.c[name] for name in COLUMNS)).where(staged.c.outcome == outcome)
    return into.from_select(COLUMNS, chosen).on_conflict_do_update(
        index_elements=KEY, set_={name: into.excluded[name] for name in names}
    )


CORRECTED_COLUMNS = (*VALUE_COLUMNS, *PROVENANCE)
CONFIRMED_COLUMNS = ("source", "is_final", "run_id")
INTO: dict[str, UpsertInto] = {
    "sqlite": sqlite.insert(candles),
    "postgresql": postgresql.insert(candles),
}
CORRECT = {name: _replacing(into, CORRECTED, CORRECTED_COLUMNS) for name, into in INTO.items()}
CONFIRM = {name: _replacing(into, CONFIRMED, CONFIRMED_COLUMNS) for name, into in INTO.items()}

# For each instrument and interval some starts.
Starts = defaultdict[tuple[str, str], set[int]]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did to the candles."""

    inserted: int = 0
    """Candles that were not there."""
    revised: int = 0
    """Candles whose values changed; the old ones are in `candle_revisions`."""
    finalised: int = 0
    """Candles whose values were confirmed."""

    def __add__(self, other: "Written") -> "Written":
        return Written(
            self.inserted + other.inserted,
            self.revised + other.revised,
            self.finalised + other.finalised,
        )


@dataclass(frozen=True, slots=True)
class CandleVersion:
    """One version of a candle: its values and where they came from."""

    open: float
    high: float
    low: float
    close: float
    volume: int
    oi: int | None
    kind: str
    source: str
    is_final: bool
    fetched_at: datetime
    run_id: str


@dataclass(frozen=True, slots=True)
class Correction:
    """A candle that was corrected at *superseded_at*: the version before and the one after."""

    instrument_key: str
    timestamp: datetime
    revision: int
    superseded_at: datetime
    old: CandleVersion
    new: CandleVersion


def begin_candle_writing(connection: Connection) -> None:
    """Make this transaction the only one that writes candles, until it ends.

    Call it before anything is read that decides what will be written.
    """
    wait_for_turn(connection, CANDLE_LOCK)


def insert_candles(
    connection: Connection, blocks: Sequence[CandleBlock], provenance: Provenance
) -> Written:
    """Write candles of which, by the ledger, none is stored: the fastest way.

    If one is stored after all, they are written by `merge_candles`. Raises DayArchived for a day
    that is read from its files.
    """
    offered = _one_per_key(blocks)
    accept_rows(connection, Dataset.CANDLES, _an_instant_of_each_day(offered))
    try:
        with connection.begin_nested():
            _append(connection, candles, offered, provenance)
    except IntegrityError:
        return merge_candles(connection, offered, provenance)
    return Written(inserted=_count(offered))


def merge_candles(
    connection: Connection, blocks: Sequence[CandleBlock], provenance: Provenance
) -> Written:
    """Write candles of which some may be stored; writing the same again changes nothing.

    Of two candles with one key the final one remains, else the newer one. If values change,
    the old version goes to the revisions. Of several blocks with the same candle the last one
    counts. The transaction must have begun with `begin_candle_writing`. Raises DayArchived for a
    day that is read from its files, ValueError for more stored candles than INSTRUMENT_DAYS_AT_ONCE
    have.
    """
    # A look-up first is cheaper than ON CONFLICT, which takes twice the time of a plain insert.
    offered = _one_per_key(blocks)
    accept_rows(connection, Dataset.CANDLES, _an_instant_of_each_day(offered))
    absent, present = _split_known(offered, _stored_starts(connection, offered))
    _append(connection, candles, absent, provenance)
    return Written(inserted=_count(absent)) + _settle(connection, present, provenance)


def known_candles(
    instrument_key: str, interval: str, first: int, end: int, as_of: datetime | None = None
) -> Select[Any]:
    """The query for candles that start in [first, end): the columns READ, in no order.

    With *as_of*: each candle as it was known at that instant; those that arrived later are left
    out.
    """
    if as_of is not None:
        return _known_at(as_of, instrument_key, interval, first, end)
    stored = of_instrument(candles, instrument_key, interval, first, end)
    return select(*(candles.c[name] for name in READ)).where(stored)


def revisions_on(
    connection: Connection, interval: str, first: int, end: int, keys: Sequence[str] | None
) -> list[Correction]:
    """Every correction of a candle that starts in [first, end), by candle, oldest first.

    *keys* limits them to these instruments.
    """
    old, later = revisions, revisions.alias("later")
    version_columns = [field.name for field in fields(CandleVersion)]
    query = (
        select(
            *(old.c[name] for name in version_columns),
            *(func.coalesce(later.c[name], candles.c[name]) for name in version_columns),
            *(old.c[name] for name in ("instrument_key", "timestamp", "revision", "superseded_at")),
        )
        .join(candles, and_(_same_key(candles, old), _starts_in(candles, first, end)))
        .outerjoin(
            later,
            and_(
                _same_key(later, old),
                later.c.revision == old.c.revision + 1,
                _starts_in(later, first, end),
            ),
        )
        .where(old.c.interval == interval, _starts_in(old, first, end))
        .order_by(*(old.c[name] for name in ("instrument_key", "timestamp", "revision")))
    )
    if keys is not None:
        query = query.where(old.c.instrument_key.in_(keys))
    return [
        Correction(
            instrument_key=row.instrument_key,
            timestamp=row.timestamp,
            revision=row.revision,
            superseded_at=row.superseded_at,
            old=CandleVersion(*row[: len(version_columns)]),
            new=CandleVersion(*row[len(version_columns) : 2 * len(version_columns)]),
        )
        for row in connection.execute(query)
    ]


def corrected_on(
    connection: Connection,
    instrument_key: str,
    interval: str,
    first: int,
    end: int,
    kinds: Collection[Kind],
    as_of: datetime | None = None,
) -> dict[date, int]:
    """How many candles of *kinds* that start in [first, end) were corrected at least once, by
    Indian date; with *as_of* by that instant. Dates without any are left out."""
    given = {
        "key": instrument_key,
        "interval": interval,
        "begin": instant_of(first),
        "end": instant_of(end),
        "kinds": [kind.value for kind in kinds],
        "until": as_of or END_OF_TIME,
    }
    found = connection.execute(_corrected_query(connection.dialect.name), given)
    return {day_of(earliest): count for earliest, count in found}


@cache
def _corrected_query(dialect: str) -> Select[int, int]:
    """A minute of each day with corrected candles, and how many; made once."""
    old = revisions.c
    minute = microseconds(dialect, old.timestamp) // MICROSECONDS_PER_MINUTE
    return (
        select(func.min(minute), func.count(old.timestamp.distinct()))
        .where(
            old.instrument_key == bindparam("key"),
            old.interval == bindparam("interval"),
            old.timestamp >= bindparam("begin"),
            old.timestamp < bindparam("end"),
            old.kind.in_(bindparam("kinds", expanding=True)),
            old.superseded_at <= bindparam("until"),
        )
        .group_by((minute + IST_AHEAD) // MINUTES_OF_DAY)
    )


def _an_instant_of_each_day(blocks: Sequence[CandleBlock]) -> Iterator[datetime]:
    """An instant of each Indian day that has a candle in *blocks*."""
    starts = (start for block in blocks for start in block.starts)
    return map(
        instant_of, {(start + IST_AHEAD) // MINUTES_OF_DAY: start for start in starts}.values()
    )


def _count(blocks: Sequence[CandleBlock]) -> int:
    return sum(map(len, blocks))


def _one_per_key(blocks: Sequence[CandleBlock]) -> list[CandleBlock]:
    """*blocks* without the candles that a later one repeats, and without empty ones."""
    offered: Starts = defaultdict(set)
    remaining: list[CandleBlock] = []
    for block in reversed(blocks):
        seen = offered[block.instrument_key, block.interval]
        if not seen.isdisjoint(block.starts):
            block = block.chosen(
                [row for row, start in enumerate(block.starts) if start not in seen]
            )
        seen.update(block.starts)
        if block.starts:
            remaining.append(block)
    return remaining[::-1]


def _by_kind(blocks: Sequence[CandleBlock]) -> Iterator[tuple[CandleBlock, str]]:
    """The candles of one instrument and one kind at a time."""
    for block in blocks:
        for kind in Kind:
            count = block.kinds.count(kind)
            if count == len(block):
                yield block, kind.value
            elif count:
                rows = [row for row, each in enumerate(block.kinds) if each is kind]
                yield block.chosen(rows), kind.value


def _stored_starts(connection: Connection, blocks: Sequence[CandleBlock]) -> Starts:
    """The starts of the stored candles between the first and the last of each block."""
    stored: Starts = defaultdict(set)
    minute = minutes(connection, candles.c.timestamp)
    for interval in {block.interval for block in blocks}:
        alike = [block for block in blocks if block.interval == interval]
        for first, end in joined((block.starts[0], block.starts[-1] + 1) for block in alike):
            keys = {block.instrument_key for block in alike if first <= block.starts[0] < end}
            query = select(candles.c.instrument_key, minute).where(
                candles.c.instrument_key.in_(sorted(keys)),
                candles.c.interval == interval,
                _starts_in(candles, first, end),
            )
            for key, start in connection.execute(query):
                stored[key, interval].add(start)
    return stored


def _split_known(
    blocks: Sequence[CandleBlock], stored: Starts
) -> tuple[list[CandleBlock], list[CandleBlock]]:
    """The candles that are not stored, and those that are."""
    absent, present = [], []
    for block in blocks:
        starts = stored[block.instrument_key, block.interval]
        known = [row for row, start in enumerate(block.starts) if start in starts] if starts else []
        if not known:
            absent.append(block)
        elif len(known) == len(block):
            present.append(block)
        else:
            new = [row for row, start in enumerate(block.starts) if start not in starts]
            absent.append(block.chosen(new))
            present.append(block.chosen(known))
    return absent, present


def _settle(
    connection: Connection, blocks: Sequence[CandleBlock], provenance: Provenance
) -> Written:
    """Replace or confirm candles that are all stored, by the rule of `merge_candles`."""
    if not blocks:
        return Written()
    if _count(blocks) > MOST_CANDLES:
        raise ValueError(f"{_count(blocks):,} candles to settle at once; {MOST_CANDLES:,} may be")
    connection.execute(CreateTable(staged, if_not_exists=True))
    connection.execute(delete(staged))
    _append(connection, staged, blocks, provenance)
    within, dialect = _all_of(blocks), connection.dialect.name
    connection.execute(judge(within))
    revised = connection.execute(number(within)).rowcount
    if revised:
        cover(connection, revisions.name, _days_of(blocks))
        connection.execute(save_old_versions(within))
        connection.execute(CORRECT[dialect])
    finalised = connection.execute(CONFIRM[dialect]).rowcount if provenance.is_final else 0
    return Written(revised=revised, finalised=finalised)


def _all_of(blocks: Sequence[CandleBlock]) -> Within:
    """Limits to the time of *blocks*, and to their instrument if they have one in common."""
    first = min(block.starts[0] for block in blocks)
    end = max(block.starts[-1] for block in blocks) + 1
    (key, interval), *others = {(block.instrument_key, block.interval) for block in blocks}
    if others:
        return lambda of: _starts_in(of, first, end)
    return lambda of: of_instrument(of, key, interval, first, end)


def _days_of(blocks: Sequence[CandleBlock]) -> set[date]:
    """The Indian dates of candles."""
    # One candle of each day: there are thousands of others.
    days = {
        (start + IST_AHEAD) // MINUTES_OF_DAY: start for block in blocks for start in block.starts
    }
    return set(map(day_of, days.values()))


def _append(
    connection: Connection,
    target: Table,
    blocks: Sequence[CandleBlock],
    provenance: Provenance,
) -> None:
    """Add the candles to *target*. Raises IntegrityError when one is stored already."""
    if blocks:
        cover(connection, target.name, _days_of(blocks))
        send = _copy if is_postgres(connection) else _insert_wide
        send(connection, target, blocks, provenance)


def _copy(
    connection: Connection,
    target: Table,
    blocks: Sequence[CandleBlock],
    provenance: Provenance,
) -> None:
    constants = (
        binary_copy.text(provenance.source),
        binary_copy.flag(provenance.is_final),
        binary_copy.instant(_microseconds(provenance.fetched_at)),
        binary_copy.text(provenance.run_id),
    )
    columns = ((*_binary(block, kind), *constants) for block, kind in _by_kind(blocks))
    binary_copy.copy_in(connection, target, COLUMNS, columns)


def _insert_wide(
    connection: Connection,
    target: Table,
    blocks: Sequence[CandleBlock],
    provenance: Provenance,
) -> None:
    for block, kind in _by_kind(blocks):
        shared = {
            "instrument_key": block.instrument_key,
            "interval": block.interval.value,
            "kind": kind,
            "source": provenance.source,
            "is_final": provenance.is_final,
            "fetched_at": _microseconds(provenance.fetched_at),
            "run_id": provenance.run_id,
        }
        columns: dict[str, Sequence[float | None]] = {
            "timestamp": [start * MICROSECONDS_PER_MINUTE for start in block.starts],
            "open": block.open,
            "high": block.high,
            "low": block.low,
            "close": block.close,
            "volume": block.volume,
            "oi": block.oi,
        }
        wide_insert.append(connection, target, shared, columns)


def _microseconds(at: datetime) -> int:
    """Since 1970. Raises BadRecord if there is no time zone."""
    micros: int = Instant().process_bind_param(at, SQLITE)
    return micros


def _binary(block: CandleBlock, kind: str) -> tuple[binary_copy.WireColumn, ...]:
    prices = (block.open, block.high, block.low, block.close)
    return (
        binary_copy.text(block.instrument_key),
        binary_copy.text(block.interval.value),
        binary_copy.instants(block.starts),
        *map(binary_copy.floats, prices),
        binary_copy.whole_numbers(block.volume),
        binary_copy.known_whole_numbers(block.oi),
        binary_copy.text(kind),
    )


def _starts_in(of: FromClause, first: int, end: int) -> ColumnElement[bool]:
    return and_(of.c.timestamp >= instant_of(first), of.c.timestamp < instant_of(end))


def of_instrument(
    of: Table, instrument_key: str, interval: str, first: int, end: int
) -> ColumnElement[bool]:
    return and_(
        of.c.instrument_key == instrument_key,
        of.c.interval == interval,
        _starts_in(of, first, end),
    )


def _known_at(
    as_of: datetime, instrument_key: str, interval: str, first: int, end: int
) -> Select[Any]:
    """Of each candle the last version that had arrived at *as_of*."""
    sources = ((candles, literal(CURRENT_VERSION)), (revisions, revisions.c.revision))
    versions = union_all(
        *(
            select(*(of.c[name] for name in READ), number.label("revision")).where(
                of_instrument(of, instrument_key, interval, first, end), of.c.fetched_at <= as_of
            )
            for of, number in sources
        )
    ).subquery()
    place = func.row_number().over(
        partition_by=versions.c.timestamp, order_by=versions.c.revision.desc()
    )
    ranked = select(versions, place.label("place")).subquery()
    return select(*(ranked.c[name] for name in READ)).where(ranked.c.place == 1)
