"""Candles in bulk, and what they said before they were corrected.

Final beats provisional, then newer beats older. A candle whose values change leaves its old
version in `candle_revisions`; one whose values are merely confirmed keeps *fetched_at*, the
instant since which they are known.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from itertools import repeat
from typing import Any

import psycopg2
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    and_,
    bindparam,
    cast,
    delete,
    extract,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    tuple_,
    type_coerce,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from data_fetch.core.candles import CandleBlock, Kind, Provenance
from data_fetch.core.market_session import EPOCH_DAY, IST_AHEAD, MINUTES_OF_DAY, instant_of
from data_fetch.storage import binary_copy
from data_fetch.storage.tables import Candle, CandleRevision, table
from data_fetch.storage.types import Instant
from data_fetch.storage.upsert import SQLITE

# Any number that nobody else uses for an advisory lock in the same database.
CANDLE_LOCK = 4_630_914_003
MICROSECONDS = 60_000_000
# Ranks the stored version after all its revisions.
STANDING = 2**31 - 1

candles, revisions = table(Candle), table(CandleRevision)
KEY = ("instrument_key", "interval", "timestamp")
SAID = ("open", "high", "low", "close", "volume", "oi", "kind")
PROVENANCE = ("source", "is_final", "fetched_at", "run_id")
COLUMNS = (*KEY, *SAID, *PROVENANCE)
READ = ("timestamp", *SAID, "source", "is_final", "fetched_at")

# What is offered, beside what is stored. *revision*: the number under which the stored
# version goes to the revisions, for those that the offered one corrects.
staged = Table(
    "staged_candles",
    MetaData(),
    *(Column(name, candles.c[name].type, nullable=False) for name in (*KEY, *SAID)),
    Column("revision", Integer()),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DELETE ROWS",
)


def _same_key(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(*(one.c[name] == other.c[name] for name in KEY))


_offered_source = bindparam("offered_source", type_=String())
_offered_final = bindparam("offered_final", type_=Boolean())
_offered_at = bindparam("offered_at", type_=Instant())
_offered_run = bindparam("offered_run", type_=String())
_offered = dict(
    zip(PROVENANCE, (_offered_source, _offered_final, _offered_at, _offered_run), strict=True)
)
_outranks = tuple_(_offered_final, _offered_at) >= tuple_(candles.c.is_final, candles.c.fetched_at)
_differs = or_(*(candles.c[name] != staged.c[name] for name in SAID))
_corrected = and_(_same_key(candles, staged), staged.c.revision.is_not(null()))
_next_revision = (
    select(func.coalesce(func.max(revisions.c.revision), 0) + 1)
    .where(_same_key(revisions, staged))
    .scalar_subquery()
)

INSERT_ABSENT = (
    postgresql.insert(candles)
    .from_select(COLUMNS, select(*(staged.c[name] for name in (*KEY, *SAID)), *_offered.values()))
    .on_conflict_do_nothing()
)
# The numbers are given before any old version is written: a statement that writes into the
# table it looks its numbers up in gets slower with every row.
NUMBER_CORRECTED = (
    update(staged)
    .values(revision=_next_revision)
    .where(_same_key(candles, staged), _differs, _outranks)
)
KEEP_OLD_VERSIONS = insert(revisions).from_select(
    (*COLUMNS, "revision", "superseded_at"),
    select(*(candles.c[name] for name in COLUMNS), staged.c.revision, _offered_at).where(
        _corrected
    ),
)
CORRECT = (
    update(candles).values({name: staged.c[name] for name in SAID} | _offered).where(_corrected)
)
FINALISE = (
    update(candles)
    .values({name: _offered[name] for name in ("source", "is_final", "run_id")})
    .where(_same_key(candles, staged), candles.c.is_final.is_(false()), ~_differs)
)
INSERT_INTO_SQLITE = {
    candles: str(
        sqlite.insert(candles)
        .values(dict.fromkeys(COLUMNS))
        .on_conflict_do_nothing()
        .compile(dialect=SQLITE)
    ),
    staged: str(sqlite.insert(staged).values(dict.fromkeys((*KEY, *SAID))).compile(dialect=SQLITE)),
}


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
class Said:
    """One version of a candle."""

    open: float
    high: float
    low: float
    close: float
    volume: int
    oi: int
    kind: str
    source: str
    is_final: bool
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Correction:
    """A candle that was corrected at *superseded_at*: what it said before, and then."""

    instrument_key: str
    timestamp: datetime
    revision: int
    superseded_at: datetime
    old: Said
    new: Said


def begin_candle_writing(connection: Connection) -> None:
    """Wait for our turn: one writer of candles at a time, until the transaction ends.

    To be called before anything is read that decides what will be written.
    """
    # SQLite has one writer anyway.
    if _is_postgres(connection):
        connection.execute(select(func.pg_advisory_xact_lock(CANDLE_LOCK)))


def insert_candles(
    connection: Connection, blocks: Sequence[CandleBlock], provenance: Provenance
) -> Written:
    """Write candles of which, by the ledger, none is there: the fastest way.

    Should one be there after all, this is `merge_candles`.
    """
    if not _is_postgres(connection):
        return merge_candles(connection, blocks, provenance)
    offered = _one_per_key(blocks)
    try:
        with connection.begin_nested():
            _copy_candles(connection, offered, provenance)
    except psycopg2.errors.UniqueViolation:
        return merge_candles(connection, offered, provenance)
    return Written(inserted=_rows(offered))


def merge_candles(
    connection: Connection, blocks: Sequence[CandleBlock], provenance: Provenance
) -> Written:
    """Write candles beside those that are there; writing the same again changes nothing.

    Of two candles with one key the final one stays, else the newer one. Where values change,
    the old version goes to the revisions. Of several blocks that offer the same candle the
    last counts. Inside a transaction that began with `begin_candle_writing`.
    """
    offered = _one_per_key(blocks)
    inserted = _insert_absent(connection, offered, provenance)
    if inserted == _rows(offered):
        return Written(inserted)
    if not _is_postgres(connection):
        _stage(connection, offered)
    offer = _offer(provenance)
    revised = connection.execute(NUMBER_CORRECTED, offer).rowcount
    if revised:
        connection.execute(KEEP_OLD_VERSIONS, offer)
        connection.execute(CORRECT, offer)
    finalised = connection.execute(FINALISE, offer).rowcount if provenance.is_final else 0
    return Written(inserted, revised, finalised)


def volumes(
    connection: Connection, instrument_key: str, interval: str, first: int, end: int
) -> dict[date, int]:
    """The stored volume of each trading date that has candles, for starts in [first, end)."""
    day = _day_number(connection)
    query = (
        select(day, func.sum(candles.c.volume))
        .where(_of_instrument(candles, instrument_key, interval, first, end))
        .group_by(day)
    )
    return {
        date.fromordinal(EPOCH_DAY + number): int(volume)
        for number, volume in connection.execute(query)
    }


def candle_rows(
    connection: Connection,
    instrument_key: str,
    interval: str,
    first: int,
    end: int,
    as_of: datetime | None = None,
) -> list[Row[Any]]:
    """The candles that start in [first, end), oldest first: the columns READ.

    With *as_of* what was known at that instant; candles that had not arrived are missing.
    """
    if as_of is not None:
        query = _known_at(as_of, instrument_key, interval, first, end)
    else:
        stored = _of_instrument(candles, instrument_key, interval, first, end)
        query = select(*(candles.c[name] for name in READ)).where(stored)
    return list(connection.execute(query.order_by("timestamp")))


def revisions_on(
    connection: Connection, interval: str, first: int, end: int, keys: Sequence[str] | None
) -> list[Correction]:
    """Every correction of a candle that starts in [first, end), by candle, oldest first.

    *keys* limits them to these instruments.
    """
    old, later = revisions, revisions.alias("later")
    said = [field.name for field in fields(Said)]
    query = (
        select(
            *(old.c[name] for name in said),
            *(func.coalesce(later.c[name], candles.c[name]) for name in said),
            *(old.c[name] for name in ("instrument_key", "timestamp", "revision", "superseded_at")),
        )
        .join(candles, _same_key(candles, old))
        .outerjoin(later, and_(_same_key(later, old), later.c.revision == old.c.revision + 1))
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
            old=Said(*row[: len(said)]),
            new=Said(*row[len(said) : 2 * len(said)]),
        )
        for row in connection.execute(query)
    ]


def _is_postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _rows(blocks: Sequence[CandleBlock]) -> int:
    return sum(map(len, blocks))


def _one_per_key(blocks: Sequence[CandleBlock]) -> list[CandleBlock]:
    """*blocks* without the candles that a later one offers again, and without empty ones."""
    taken: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    kept: list[CandleBlock] = []
    for block in reversed(blocks):
        seen = taken[block.instrument_key, block.interval]
        if not seen.isdisjoint(block.starts):
            block = block.chosen(
                [row for row, start in enumerate(block.starts) if start not in seen]
            )
        seen.update(block.starts)
        if block.starts:
            kept.append(block)
    return kept[::-1]


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


def _offer(provenance: Provenance) -> dict[str, Any]:
    """The values of the statements' parameters."""
    return {
        "offered_source": provenance.source,
        "offered_final": provenance.is_final,
        "offered_at": provenance.fetched_at,
        "offered_run": provenance.run_id,
    }


def _insert_absent(
    connection: Connection, blocks: Sequence[CandleBlock], provenance: Provenance
) -> int:
    """Write the candles that are not there; how many."""
    if _is_postgres(connection):
        _stage(connection, blocks)
        return connection.execute(INSERT_ABSENT, _offer(provenance)).rowcount
    fetched_at = Instant().process_bind_param(provenance.fetched_at, connection.dialect)
    came_from = (provenance.source, provenance.is_final, fetched_at, provenance.run_id)
    return _send_to_sqlite(connection, candles, blocks, came_from)


def _stage(connection: Connection, blocks: Sequence[CandleBlock]) -> None:
    """Put the candles into the temporary table, and nothing else."""
    connection.execute(CreateTable(staged, if_not_exists=True))
    connection.execute(delete(staged))
    if _is_postgres(connection):
        columns = (_binary(block, kind) for block, kind in _by_kind(blocks))
        binary_copy.copy_in(connection, staged, (*KEY, *SAID), columns)
    else:
        _send_to_sqlite(connection, staged, blocks, ())


def _copy_candles(
    connection: Connection, blocks: Sequence[CandleBlock], provenance: Provenance
) -> None:
    fetched_at = Instant().process_bind_param(provenance.fetched_at, SQLITE)
    came_from = (
        binary_copy.text(provenance.source),
        binary_copy.flag(provenance.is_final),
        binary_copy.instant(fetched_at),
        binary_copy.text(provenance.run_id),
    )
    columns = ((*_binary(block, kind), *came_from) for block, kind in _by_kind(blocks))
    binary_copy.copy_in(connection, candles, COLUMNS, columns)


def _binary(block: CandleBlock, kind: str) -> tuple[binary_copy.Column, ...]:
    prices = (block.open, block.high, block.low, block.close)
    return (
        binary_copy.text(block.instrument_key),
        binary_copy.text(block.interval.value),
        binary_copy.instants(block.starts),
        *map(binary_copy.floats, prices),
        binary_copy.whole_numbers(block.volume),
        binary_copy.whole_numbers(block.oi),
        binary_copy.text(kind),
    )


def _send_to_sqlite(
    connection: Connection,
    target: Table,
    blocks: Sequence[CandleBlock],
    came_from: tuple[object, ...],
) -> int:
    """Insert what is not there; how many."""
    inserted = 0
    for block, kind in _by_kind(blocks):
        rows = zip(
            repeat(block.instrument_key),
            repeat(block.interval.value),
            (start * MICROSECONDS for start in block.starts),
            block.open,
            block.high,
            block.low,
            block.close,
            block.volume,
            block.oi,
            repeat(kind),
            *map(repeat, came_from),
        )
        inserted += connection.exec_driver_sql(INSERT_INTO_SQLITE[target], list(rows)).rowcount
    return inserted


def _starts_in(of: Table, first: int, end: int) -> ColumnElement[bool]:
    return and_(of.c.timestamp >= instant_of(first), of.c.timestamp < instant_of(end))


def _of_instrument(
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
    """Of each candle the last version that had arrived."""
    versions = union_all(
        *(
            select(*(of.c[name] for name in READ), number.label("revision")).where(
                _of_instrument(of, instrument_key, interval, first, end), of.c.fetched_at <= as_of
            )
            for of, number in ((candles, literal(STANDING)), (revisions, revisions.c.revision))
        )
    ).subquery()
    place = func.row_number().over(
        partition_by=versions.c.timestamp, order_by=versions.c.revision.desc()
    )
    ranked = select(versions, place.label("place")).subquery()
    return select(*(ranked.c[name] for name in READ)).where(ranked.c.place == 1)


def _day_number(connection: Connection) -> ColumnElement[Any]:
    """The trading date of a candle as days since 1970."""
    if _is_postgres(connection):
        seconds = extract("epoch", candles.c.timestamp)
        return cast(func.floor((seconds / 60 + IST_AHEAD) / MINUTES_OF_DAY), Integer())
    minutes = type_coerce(candles.c.timestamp, BigInteger()) // MICROSECONDS
    return (minutes + IST_AHEAD) // MINUTES_OF_DAY
