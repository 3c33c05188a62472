"""Gives the tables of a store that has rows another layout, in place.

A twin of each table is filled period by period, each in a transaction of its own and compared
with its source by count and digest. Triggers note the periods that others change meanwhile; these
are copied again. At the end the twins take the place of the tables in one short transaction. Killed
at any point and begun again, it goes on with the first period that is not copied.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Date,
    Engine,
    FromClause,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    and_,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
)

from data_fetch.core.archive.periods import WIDTHS, Period, period_with, refuse_absurd
from data_fetch.core.errors import SetupError, StoreRefused
from data_fetch.storage.database.engine import NO_LIMIT, reading, writing
from data_fetch.storage.database.layouts import (
    TWIN,
    Layout,
    drop_twins,
    layout_of,
    make_twins,
    refuse_immovable_readers,
    refuse_impossible,
    swap,
)
from data_fetch.storage.database.partitions import TIME_COLUMNS, ensure_partition
from data_fetch.storage.database.store import Guard
from data_fetch.storage.database.tables import Base

# They exist while a store is converted.
notes = MetaData()
changes = Table("next_changes", notes, Column("of", String()), Column("first", Date()))
copies = Table(
    "next_copies",
    notes,
    Column("of", String(), primary_key=True),
    Column("first", Date(), primary_key=True),
    Column("rows", BigInteger()),
)
INDIA = "Asia/Kolkata"
# A statement notes each period of which it changed rows.
NOTE = """
CREATE FUNCTION next_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO next_changes SELECT DISTINCT %L, date_trunc(%L, %I AT TIME ZONE %L)::date '
        'FROM changed', TG_TABLE_NAME, TG_ARGV[0], TG_ARGV[1], 'Asia/Kolkata');
    RETURN NULL;
END $$
"""
EVENTS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}
IS_VALID = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
# The last lock waits for those who read, and all others wait behind it.
SWAP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a table in one period, as its twin is filled with them."""

    of: str
    period: Period
    rows: int


# Called with a table and how many more of its rows are in its twin.
Watcher = Callable[[str, int], None]


def convert(engine: Engine, layout: Layout, guard: Guard, watcher: Watcher) -> int:
    """Give the tables *layout*; returns how many rows they have, 0 if nothing was to be done.

    *guard* is the fence of a scheduler: no other one may write meanwhile. Raises SetupError if
    the database cannot have the layout, LostLeadership if *guard* fails, and StoreRefused if a
    copy differs from its source. What was copied until then counts at the next time.
    """
    with writing(engine, NO_LIMIT) as connection:
        guard.check(connection)
        if not _prepare(connection, layout):
            return 0
    _index_time(engine)
    with writing(engine, NO_LIMIT) as connection:
        parts = _parts(connection)
    for part in parts:
        with _alone(engine) as connection:
            guard.check(connection)
            if not _is_copied(connection, part):
                _copy(connection, layout, part.of, part.period)
        watcher(part.of, part.rows)
    while changed := _changed(engine):
        for of, period in changed:
            with _alone(engine) as connection:
                guard.check(connection)
                _copy(connection, layout, of, period)
    rows = _finish(engine, layout, guard)
    _analyze(engine)
    return rows


def is_under_way(connection: Connection) -> bool:
    """Whether a conversion was begun and not finished."""
    found = connection.scalar(text("SELECT to_regclass(:of)"), {"of": copies.name})
    return found is not None


def _alone(engine: Engine) -> AbstractContextManager[Connection]:
    """A transaction that sees one state of the store."""
    return writing(engine.execution_options(isolation_level="REPEATABLE READ"), NO_LIMIT)


@contextmanager
def _unbundled(engine: Engine) -> Iterator[Connection]:
    """For statements that are transactions of their own."""
    options = {"isolation_level": "AUTOCOMMIT", "statement_seconds": NO_LIMIT}
    with engine.execution_options(**options).connect() as connection:
        yield connection


def _prepare(connection: Connection, layout: Layout) -> bool:
    """Make the twins and begin to note changes; False if the tables have *layout*."""
    before = layout_of(connection)
    if before is layout:
        _drop_all(connection)
        return False
    refuse_impossible(connection, layout)
    if before is Layout.HYPERTABLES:
        raise SetupError(
            "hypertables cannot be converted in place",
            hint="Copy the rows into a new database: data-fetch db copy.",
        )
    refuse_immovable_readers(connection)
    if is_under_way(connection) and layout_of(connection, TWIN) is layout:
        return True
    _drop_all(connection)
    make_twins(connection, layout)
    notes.create_all(connection)
    connection.exec_driver_sql(NOTE.replace("%", "%%"))
    for of, width in WIDTHS.items():
        for event, rows in EVENTS.items():
            connection.exec_driver_sql(
                f"CREATE TRIGGER next_{event.lower()} AFTER {event} ON {of} "
                f"REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT "
                f"EXECUTE FUNCTION next_note('{width}', '{TIME_COLUMNS[of]}')"
            )
    return True


def _index_time(engine: Engine) -> None:
    """Index the time of plain tables that are indexed by something else.

    Rows are stored about in the order of time: a small index of its ranges saves reading the whole
    table for each period. It goes with the table.
    """
    with reading(engine) as connection:
        if layout_of(connection) is not Layout.PLAIN:
            return
        indexed = {of: connection.scalar(IS_VALID, {"name": f"next_time_{of}"}) for of in WIDTHS}
    with _unbundled(engine) as connection:
        for of, is_valid in indexed.items():
            if is_valid is None or not is_valid:
                connection.exec_driver_sql(f"DROP INDEX IF EXISTS next_time_{of}")
                connection.exec_driver_sql(
                    f"CREATE INDEX CONCURRENTLY next_time_{of} ON {of} "
                    f"USING brin ({TIME_COLUMNS[of]})"
                )


def _parts(connection: Connection) -> list[Part]:
    """The periods that have rows, table by table."""
    parts = []
    for of, width in WIDTHS.items():
        source = Base.metadata.tables[of]
        local = func.timezone(INDIA, source.c[TIME_COLUMNS[of]])
        first = cast(func.date_trunc(width.value, local), Date()).label("first")
        counted = select(first, func.count().label("rows")).group_by(first).order_by(first)
        parts += [
            Part(of, period_with(row.first, width), row.rows)
            for row in connection.execute(counted).all()
        ]
    for part in parts:
        refuse_absurd(part.of, part.period)
    return parts


def _is_copied(connection: Connection, part: Part) -> bool:
    return connection.scalar(select(copies.c.rows).where(_about(copies, part))) is not None


def _copy(connection: Connection, layout: Layout, of: str, period: Period) -> None:
    """Fill the twin with the rows of a period as they are now, and compare."""
    source = Base.metadata.tables[of]
    twin = source.to_metadata(MetaData(), name=TWIN + of)
    part = Part(of, period, 0)
    connection.execute(delete(changes).where(_about(changes, part)))
    if layout is Layout.PARTITIONS:
        ensure_partition(connection, of, period, TWIN + of)
    connection.execute(delete(twin).where(_within(twin, part)))
    rows = select(source).where(_within(source, part))
    connection.execute(insert(twin).from_select(list(source.columns.keys()), rows))
    count, digest = _digest(connection, source, part)
    if (count, digest) != _digest(connection, twin, part):
        raise StoreRefused(
            f"the copy of {of} from {period.first} differs from its source",
            hint="Run the command again; if it lasts, check the disk of the database.",
        )
    connection.execute(delete(copies).where(_about(copies, part)))
    connection.execute(insert(copies).values(of=of, first=period.first, rows=count))


def _digest(connection: Connection, of: Table, part: Part) -> tuple[int, Decimal]:
    """How many rows a period has, and the sum of the hashes of their texts."""
    row = of.alias("one_row")
    hashed = func.hashtextextended(cast(literal_column("one_row"), Text()), 0)
    total = func.coalesce(func.sum(cast(hashed, Numeric())), 0)
    query = select(func.count(), total).select_from(row).where(_within(row, part))
    count, digest = connection.execute(query).one()
    return count, digest


def _changed(engine: Engine) -> list[tuple[str, Period]]:
    with reading(engine) as connection:
        return _noted(connection)


def _noted(connection: Connection) -> list[tuple[str, Period]]:
    """The periods that changed since they were copied."""
    found = connection.execute(select(changes.c.of, changes.c.first).distinct()).all()
    return [(row.of, period_with(row.first, WIDTHS[row.of])) for row in found]


def _finish(engine: Engine, layout: Layout, guard: Guard) -> int:
    with writing(engine, NO_LIMIT) as connection:
        guard.check(connection)
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{SWAP_SECONDS}s'")
        connection.exec_driver_sql(f"LOCK TABLE {', '.join(WIDTHS)} IN ACCESS EXCLUSIVE MODE")
        # Those of a write that ended just before.
        for of, period in _noted(connection):
            _copy(connection, layout, of, period)
        rows = connection.scalar(select(func.coalesce(func.sum(copies.c.rows), 0)))
        refuse_immovable_readers(connection)
        swap(connection)
        _drop_notes(connection)
    return int(rows or 0)


def _drop_all(connection: Connection) -> None:
    """What a conversion that was begun has left."""
    _drop_notes(connection)
    drop_twins(connection)
    for of in WIDTHS:
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS next_time_{of}")


def _drop_notes(connection: Connection) -> None:
    connection.exec_driver_sql("DROP FUNCTION IF EXISTS next_note() CASCADE")
    notes.drop_all(connection)


def _analyze(engine: Engine) -> None:
    """PostgreSQL gathers no statistics of a partitioned table by itself."""
    with _unbundled(engine) as connection:
        for of in WIDTHS:
            connection.exec_driver_sql(f"ANALYZE {of}")


def _about(of: Table, part: Part) -> ColumnElement[bool]:
    return and_(of.c.of == part.of, of.c.first == part.period.first)


def _within(of: FromClause, part: Part) -> ColumnElement[bool]:
    first, end = part.period.bounds
    time = of.c[TIME_COLUMNS[part.of]]
    return and_(time >= first, time < end)
