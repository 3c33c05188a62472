"""Native partitions of PostgreSQL: made ahead of time and on demand, and dropped whole.

There is no default partition: one row in it would keep the partition of its month from being made.
A partition is made as a table of its own and then attached, so that readers and writers of the
others go on meanwhile.
"""

from collections.abc import Callable, Collection, Iterable, Set
from datetime import date

from sqlalchemy import Connection, Engine, and_, literal, not_, or_, select, text

from data_fetch.core.archive.days import bounds_of
from data_fetch.core.archive.periods import (
    WIDTHS,
    Period,
    partition_name,
    period_named,
    period_with,
    periods_ahead,
    refuse_absurd,
)
from data_fetch.storage.database.dialects import wait_for_turn
from data_fetch.storage.database.engine import is_postgres, writing
from data_fetch.storage.database.tables import Base

# An arbitrary number, unique among the advisory locks of a database.
PARTITION_LOCK = 4_630_914_007
TIME_COLUMNS = dict.fromkeys(WIDTHS, "timestamp") | {"chain_receipts": "received_at"}
# Legs and summaries are never without their head, which an index finds by its time.
WITNESSES = dict(zip(WIDTHS, WIDTHS, strict=True)) | dict.fromkeys(
    ("option_chain_data", "chain_summary"), "chain_snapshots"
)
# Readers of the table wait behind a lock on all of it.
LOCK_SECONDS = 2

# One look-up in the catalog for each name.
MISSING = text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NULL "
    "AND EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(:of) AND relkind = 'p')"
)
EXISTS = text("SELECT to_regclass(:of) IS NOT NULL")
CHILDREN = text(
    "SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid "
    "WHERE inhparent = to_regclass(:of) AND child.relkind = 'r' ORDER BY child.relname"
)
ALL_CHILDREN = text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")
INDEXES = text(
    "SELECT named.relname, indisprimary, pg_get_indexdef(indexrelid) FROM pg_index "
    "JOIN pg_class AS named ON named.oid = indexrelid WHERE indrelid = to_regclass(:of)"
)


def cover(connection: Connection, of: str, days: Iterable[date]) -> None:
    """Make the partitions that rows of the table *of* on these Indian dates need.

    Does nothing where the table has none. They are made in a transaction of their own, so that
    others need not wait for the end of this one. Raises SetupError for a year in which nothing
    can have been traded.
    """
    if of not in WIDTHS or not is_postgres(connection):
        return
    periods = {period_with(day, WIDTHS[of]) for day in days}
    missing = _missing(connection, of, periods)
    if not missing:
        return
    for period in missing:
        refuse_absurd(of, period)
    with writing(connection.engine) as own:
        wait_for_turn(own, PARTITION_LOCK)
        for period in missing:
            ensure_partition(own, of, period, of)


def make_ahead(engine: Engine, today: date) -> None:
    """Make the partitions of the current and the next months and weeks, where tables have them."""
    if not is_postgres(engine):
        return
    with writing(engine) as connection:
        for of, width in WIDTHS.items():
            cover(connection, of, (period.first for period in periods_ahead(today, width)))


def drop_whole(engine: Engine, of: str, may_go: Set[date]) -> list[Period]:
    """Drop the partitions of *of* that hold rows of no other days than *may_go*; which they were.

    Partitions without a row of these days stay. Raises StoreUnreachable when others use the table
    for too long; what was dropped until then is gone.
    """
    if not is_postgres(engine):
        return []
    with writing(engine) as connection:
        wanted = [one for one in periods_of(connection, of) if not may_go.isdisjoint(one.days)]
    return [period for period in wanted if _drop(engine, of, period, may_go)]


def _drop(engine: Engine, of: str, period: Period, may_go: Set[date]) -> bool:
    """Whether the partition of *period* is gone."""
    with writing(engine) as connection:
        _run(connection, f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        # Until it is gone nothing can be added to it.
        _run(connection, f"LOCK TABLE ONLY {of} IN ACCESS EXCLUSIVE MODE")
        if _holds_other_days(connection, of, period, may_go):
            return False
        _run(connection, f"DROP TABLE {partition_name(of, period)}")
    return True


def _holds_other_days(connection: Connection, of: str, period: Period, may_go: Set[date]) -> bool:
    witness = Base.metadata.tables[WITNESSES[of]]
    time = witness.c[TIME_COLUMNS[witness.name]]
    first, end = period.bounds
    days = [bounds_of(day) for day in period.days if day in may_go]
    among = or_(*(and_(time >= begin, time < over) for begin, over in days))
    query = select(literal(1)).where(time >= first, time < end, not_(among)).limit(1)
    return connection.execute(query).first() is not None


def ensure_partition(connection: Connection, of: str, period: Period, parent: str) -> None:
    """Make the partition of *of* for *period* in *parent*, the table or its twin, if it is
    missing."""
    name = partition_name(of, period)
    if connection.scalar(EXISTS, {"of": name}):
        return
    first, end = period.bounds
    _run(connection, f"CREATE TABLE {name} (LIKE {parent} INCLUDING ALL EXCLUDING INDEXES)")
    suffix = name.removeprefix(of)
    copy_indexes(connection, parent, name, lambda index: f"{index.removeprefix('next_')}{suffix}")
    bounds = f"FROM ('{first.isoformat()}') TO ('{end.isoformat()}')"
    _run(connection, f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES {bounds}")


def copy_indexes(
    connection: Connection, source: str, target: str, named: Callable[[str], str]
) -> None:
    """Give *target* the key and the indexes of *source*, under other names."""
    for name, is_key, definition in connection.execute(INDEXES, {"of": source}).all():
        method = definition.partition(" USING ")[2]
        if is_key:
            columns = method.removeprefix("btree ")
            constraint = f"CONSTRAINT {named(name)} PRIMARY KEY {columns}"
            _run(connection, f"ALTER TABLE {target} ADD {constraint}")
        else:
            _run(connection, f"CREATE INDEX {named(name)} ON {target} USING {method}")


def periods_of(connection: Connection, of: str) -> list[Period]:
    """The periods of the table *of* that have a partition, oldest first."""
    named = (period_named(name) for name in connection.scalars(CHILDREN, {"of": of}))
    return sorted(period for period in named if period is not None)


def partition_tables(connection: Connection) -> set[str]:
    """The tables that are partitions of others."""
    return set(connection.scalars(ALL_CHILDREN)) if is_postgres(connection) else set()


def _missing(connection: Connection, of: str, periods: Collection[Period]) -> list[Period]:
    names = {partition_name(of, period): period for period in periods}
    found = connection.scalars(MISSING, {"names": list(names), "of": of})
    return sorted(names[name] for name in found)


def _run(connection: Connection, statement: str) -> None:
    """A statement of names and instants that come from no user."""
    connection.exec_driver_sql(statement)
