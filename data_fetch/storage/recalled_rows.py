"""Rows of the archive among those of the store, for the queries of one connection.

A query finds them in the tables that it names: a temporary view of the table's name has the
stored rows and the recalled ones. The views end with the transaction, and no other connection
sees them. Apart from other modules, because Arrow takes long to load.
"""

from collections.abc import Iterable
from datetime import date

import pyarrow as pa
from sqlalchemy import Column, Connection, MetaData, Table, and_, not_, select
from sqlalchemy.schema import CreateTable, CreateView

from data_fetch.core.archive.days import TABLES, bounds_of
from data_fetch.storage.database.arrow_inserts import insert_arrow
from data_fetch.storage.database.tables import Base

INSTANTS = {name: instant for tables in TABLES.values() for name, instant in tables.items()}


class RecalledRows:
    """Recalls rows into the transaction of *connection*.

    Stored rows of *void* days are left out: what is there of a day that is being dropped or
    restored is among the recalled ones.
    """

    def __init__(self, connection: Connection, void: Iterable[date]) -> None:
        self._connection = connection
        self._void = [bounds_of(day) for day in void]
        self._tables: dict[str, Table] = {}

    def add(self, table_name: str, rows: pa.Table) -> None:
        """Let queries of *table_name* find *rows* as well. Each row may be added once."""
        recalled = self._tables.get(table_name)
        if recalled is None:
            recalled = self._tables[table_name] = self._shadowed(Base.metadata.tables[table_name])
        insert_arrow(self._connection, recalled, rows)

    def _shadowed(self, stored: Table) -> Table:
        """An empty table for recalled rows, behind a view of the name of *stored*."""
        recalled = Table(
            f"recalled_{stored.name}",
            MetaData(),
            *(
                Column(column.name, column.type, primary_key=column.primary_key)
                for column in stored.columns
            ),
            prefixes=["TEMPORARY"],
            sqlite_with_rowid=False,
        )
        self._connection.execute(CreateTable(recalled))
        schema = self._connection.dialect.default_schema_name
        lasting = stored.to_metadata(MetaData(), schema=schema or "main")
        instant = lasting.c[INSTANTS[stored.name]]
        in_void = (and_(instant >= first, instant < end) for first, end in self._void)
        kept = select(lasting).where(*(not_(each) for each in in_void))
        both = kept.union_all(select(recalled))
        self._connection.execute(CreateView(both, stored.name, temporary=True))
        return recalled
