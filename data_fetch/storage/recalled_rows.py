"""Rows of the archive among those of the store, for the queries of one connection.

A query finds them in the tables that it names: a temporary view of the table's name has the
stored rows and the recalled ones. The views end with the transaction, and no other connection
sees them. Apart from other modules, because Arrow takes long to load.
"""

from collections.abc import Iterable
from datetime import date
from functools import cache, lru_cache

import pyarrow as pa
from sqlalchemy import Column, Connection, MetaData, Table, and_, not_, select
from sqlalchemy.schema import CreateTable, CreateView

from data_fetch.core.archive.days import TABLES, bounds_of
from data_fetch.storage.database.arrow_inserts import insert_arrow
from data_fetch.storage.database.dialects import POSTGRES, POSTGRESQL, SQLITE
from data_fetch.storage.database.tables import Base

INSTANTS = {name: instant for tables in TABLES.values() for name, instant in tables.items()}


class RecalledRows:
    """Recalls rows into the transaction of *connection*.

    Stored rows of *void* days are left out: what is there of a day that is being dropped or
    restored is among the recalled ones.
    """

    def __init__(self, connection: Connection, void: Iterable[date]) -> None:
        self._connection = connection
        self._void = tuple(void)
        self._shadowed: set[str] = set()

    def add(self, table_name: str, rows: pa.Table) -> None:
        """Let queries of *table_name* find *rows* as well. Each row may be added once."""
        self.leave_void_out(table_name)
        insert_arrow(self._connection, _recalled(table_name), rows)

    def leave_void_out(self, table_name: str) -> None:
        """Let queries of *table_name* find no row of the void days but those that are recalled."""
        if table_name in self._shadowed:
            return
        self._shadowed.add(table_name)
        dialect = self._connection.dialect
        # Where the lasting tables are, not the temporary ones.
        schema = dialect.default_schema_name or "main"
        for statement in _shadow(dialect.name, schema, table_name, self._void):
            self._connection.exec_driver_sql(statement)


@cache
def _recalled(table_name: str) -> Table:
    """The temporary table of recalled rows."""
    return Table(
        f"recalled_{table_name}",
        MetaData(),
        *(
            Column(column.name, column.type, primary_key=column.primary_key)
            for column in Base.metadata.tables[table_name].columns
        ),
        prefixes=["TEMPORARY"],
        sqlite_with_rowid=False,
    )


# Making the statements takes longer than what they do.
@lru_cache(maxsize=64)
def _shadow(
    dialect_name: str, schema: str, table_name: str, void: tuple[date, ...]
) -> tuple[str, str]:
    """The statements for that table, and for the view of the name of the lasting one."""
    dialect = POSTGRES if dialect_name == POSTGRESQL else SQLITE
    lasting = Base.metadata.tables[table_name].to_metadata(MetaData(), schema=schema)
    instant = lasting.c[INSTANTS[table_name]]
    in_void = (and_(instant >= first, instant < end) for first, end in map(bounds_of, void))
    both = (
        select(lasting)
        .where(*(not_(each) for each in in_void))
        .union_all(select(_recalled(table_name)))
    )
    table = CreateTable(_recalled(table_name))
    view = CreateView(both, table_name, temporary=True)
    return str(table.compile(dialect=dialect)), str(view.compile(dialect=dialect))
