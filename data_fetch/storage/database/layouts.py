"""How PostgreSQL stores the large tables: plain, in native partitions, or as hypertables.

Another layout is built beside the tables, as empty twins of them, and takes their place in one
transaction. Views on the tables follow.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, func, literal, select, text

from data_fetch.core.archive.days import day_of
from data_fetch.core.archive.periods import WIDTHS, periods_ahead
from data_fetch.core.errors import SetupError
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.hypertables import (
    can_have_hypertables,
    is_hypertable,
    make_hypertable,
)
from data_fetch.storage.database.partitions import TIME_COLUMNS, copy_indexes, ensure_partition
from data_fetch.storage.database.tables import Base

TWIN = "next_"
KIND = text("SELECT relkind FROM pg_class WHERE oid = to_regclass(:of)")
# Whatever reads a table through a rule of its own: views, and copies of their results.
READERS = text(
    "SELECT DISTINCT reader.oid, reader.oid::regclass::text AS name, reader.relkind = 'v' "
    "AND pg_has_role(reader.relowner, 'USAGE') AS movable, "
    "pg_get_viewdef(reader.oid) AS definition "
    "FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = pg_depend.objid "
    "JOIN pg_class AS reader ON reader.oid = pg_rewrite.ev_class "
    "WHERE pg_depend.classid = 'pg_rewrite'::regclass "
    "AND pg_depend.refclassid = 'pg_class'::regclass "
    "AND pg_depend.refobjid = ANY(CAST(CAST(:tables AS text[]) AS regclass[])) "
    "AND reader.oid <> ALL(CAST(CAST(:tables AS text[]) AS regclass[])) ORDER BY name"
)
# Owner and rights of one table as the other has them.
RIGHTS = text(
    "SELECT format('GRANT %s ON %s TO %s%s', given.privilege_type, :target, "
    "CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE given.grantee::regrole::text END, "
    "CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) "
    "FROM pg_class, aclexplode(relacl) AS given "
    "WHERE pg_class.oid = to_regclass(:source) AND given.grantee <> relowner"
)


class Layout(StrEnum):
    """How the tables of WIDTHS are stored."""

    PLAIN = "plain"
    PARTITIONS = "partitions"
    HYPERTABLES = "hypertables"


def layout_of(connection: Connection, prefix: str = "") -> Layout:
    """The layout of a database, or of the tables with *prefix*; SQLite has plain tables."""
    of = f"{prefix}candles"
    if not is_postgres(connection):
        return Layout.PLAIN
    if connection.scalar(KIND, {"of": of}) == "p":
        return Layout.PARTITIONS
    return Layout.HYPERTABLES if is_hypertable(connection, of) else Layout.PLAIN


def best_layout(connection: Connection) -> Layout:
    """The layout for a database that may have any that it can have."""
    if not is_postgres(connection):
        return Layout.PLAIN
    return Layout.HYPERTABLES if can_have_hypertables(connection) else Layout.PARTITIONS


def refuse_impossible(connection: Connection, layout: Layout) -> None:
    """Raise SetupError for a layout that this database cannot have."""
    if not is_postgres(connection):
        raise SetupError(
            "a SQLite store has one layout: plain tables",
            hint="Other layouts are for PostgreSQL: set DATABASE_URL.",
        )
    if layout is Layout.HYPERTABLES and not can_have_hypertables(connection):
        raise SetupError(
            "this database cannot have hypertables: TimescaleDB is missing, or its edition "
            "does not compress",
            hint="Have an administrator install TimescaleDB and run CREATE EXTENSION timescaledb; "
            "or use partitions.",
        )


def lay_out_empty(connection: Connection, layout: Layout | None) -> None:
    """Give the empty plain tables of a PostgreSQL database *layout*; by default the best one.

    Tables with rows stay as they are.
    """
    if not is_postgres(connection) or layout_of(connection) is not Layout.PLAIN:
        return
    if any(_has_rows(connection, of) for of in WIDTHS):
        return
    chosen = layout or best_layout(connection)
    refuse_impossible(connection, chosen)
    if chosen is not Layout.PLAIN:
        refuse_immovable_readers(connection)
        make_twins(connection, chosen)
        swap(connection)


def make_twins(connection: Connection, layout: Layout) -> None:
    """Make an empty twin of each table, in *layout*."""
    today = day_of(connection.execute(select(func.now())).scalar_one())
    for of, width in WIDTHS.items():
        twin = TWIN + of
        scheme = f" PARTITION BY RANGE ({TIME_COLUMNS[of]})" if layout is Layout.PARTITIONS else ""
        _run(connection, f"CREATE TABLE {twin} (LIKE {of} INCLUDING ALL EXCLUDING INDEXES){scheme}")
        copy_indexes(connection, of, twin, lambda name: TWIN + name)
        for right in connection.scalars(RIGHTS, {"source": of, "target": twin}).all():
            _run(connection, right)
        if layout is Layout.PARTITIONS:
            for period in periods_ahead(today, width):
                ensure_partition(connection, of, period, twin)
        elif layout is Layout.HYPERTABLES:
            make_hypertable(connection, twin, of)


def refuse_immovable_readers(connection: Connection) -> None:
    """Raise SetupError for what reads a table and cannot be made to read its twin."""
    fixed = [row.name for row in _readers(connection) if not row.movable]
    if fixed:
        raise SetupError(
            f"{', '.join(fixed)} reads the tables and cannot be moved to the new ones",
            hint="Drop it first, and create it again afterwards. A view needs its owner.",
        )


def swap(connection: Connection) -> None:
    """Put the twins in the place of the tables, which are dropped with what they hold."""
    readers = _readers(connection)
    for of in WIDTHS:
        _run(connection, f"ALTER TABLE {of} RENAME TO former_{of}")
        _run(connection, f"ALTER TABLE {TWIN}{of} RENAME TO {of}")
    # A view that is replaced keeps its owner and who may read it.
    for reader in readers:
        _run(connection, f"CREATE OR REPLACE VIEW {reader.name} AS {reader.definition}")
    for of in WIDTHS:
        _run(connection, f"DROP TABLE former_{of}")
        _drop_prefix_of_indexes(connection, of)


def drop_twins(connection: Connection) -> None:
    """Drop the twins of a conversion that was given up."""
    for of in WIDTHS:
        _run(connection, f"DROP TABLE IF EXISTS {TWIN}{of}")


def _drop_prefix_of_indexes(connection: Connection, of: str) -> None:
    query = text(
        "SELECT named.relname FROM pg_index JOIN pg_class AS named ON named.oid = indexrelid "
        "WHERE indrelid = to_regclass(:of)"
    )
    for name in connection.scalars(query, {"of": of}).all():
        _run(connection, f"ALTER INDEX {name} RENAME TO {name.removeprefix(TWIN)}")


def _readers(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(READERS, {"tables": list(WIDTHS)}).all()


def _has_rows(connection: Connection, of: str) -> bool:
    some = select(literal(1)).select_from(Base.metadata.tables[of]).limit(1)
    return connection.execute(some).first() is not None


def _run(connection: Connection, statement: str) -> None:
    # The driver takes a percent sign for a placeholder.
    connection.exec_driver_sql(statement.replace("%", "%%"))
