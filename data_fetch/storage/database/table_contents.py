"""Whole tables as Arrow portions that are the same from SQLite and from PostgreSQL.

Whole numbers, flags (0 and 1), instants (microseconds since 1970 UTC) and exact decimals
(ten-thousandths) are 64-bit integers, floats are doubles, and texts, ISO dates and JSON documents
are strings. Which columns a table has is read from the database, so that stores with an older
schema can be read as well. The rows that belong to running processes are left out.

Apart from other modules, because Arrow takes long to load.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, cast, column, inspect, select
from sqlalchemy import table as named_table
from sqlalchemy.types import JSON, Boolean, DateTime, Float, Integer, Numeric, TypeEngine

from data_fetch.storage.database.arrow_inserts import copy_in
from data_fetch.storage.database.arrow_rows import INSTANT, copied_out, fetched_portions
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.leadership import LEADER
from data_fetch.storage.database.tables import (
    Base,
    CandleLeaseRow,
    ProviderPauseRow,
    SentRequestRow,
    StoreMeta,
    WaitingRequestRow,
)
from data_fetch.storage.database.types import DECIMAL_PLACES
from data_fetch.storage.database.wide_insert import append

# Leases of processes are void in a copy, and the requests of processes are another store's then.
OF_PROCESSES = {
    row.__tablename__
    for row in (CandleLeaseRow, SentRequestRow, WaitingRequestRow, ProviderPauseRow)
}
ROWS_AT_ONCE = 5_000
BYTES_AT_ONCE = 4_000_000
TEN_THOUSANDTH = pa.scalar(Decimal(1).scaleb(-DECIMAL_PLACES))


class Kind(Enum):
    """What the values of a column are."""

    WHOLE = auto()
    FLAG = auto()
    INSTANT = auto()
    EXACT = auto()
    FLOAT = auto()
    TEXT = auto()
    JSON = auto()


# The first that fits; what fits none is text.
KINDS: Sequence[tuple[type[TypeEngine[Any]], Kind]] = (
    (JSON, Kind.JSON),
    (Boolean, Kind.FLAG),
    (Integer, Kind.WHOLE),
    (Float, Kind.FLOAT),
    (Numeric, Kind.EXACT),
    (DateTime, Kind.INSTANT),
)
ARROW_TYPES = {Kind.FLOAT: pa.float64(), Kind.TEXT: pa.string(), Kind.JSON: pa.string()}


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table of a store, and its columns by name."""

    name: str
    columns: tuple[tuple[str, Kind], ...]

    @property
    def schema(self) -> pa.Schema:
        """The columns of a portion."""
        return pa.schema([(name, ARROW_TYPES.get(kind, pa.int64())) for name, kind in self.columns])


def stored_tables(connection: Connection) -> list[StoredTable]:
    """The tables of the database that belong to a store, with the columns that they have there."""
    inspector = inspect(connection)
    present = set(inspector.get_table_names()) & set(Base.metadata.tables) - OF_PROCESSES
    described = inspector.get_multi_columns(filter_names=sorted(present))
    return [
        StoredTable(name, tuple(sorted((each["name"], _kind(each["type"])) for each in columns)))
        for (_, name), columns in sorted(described.items(), key=lambda item: item[0][1])
    ]


def each_portion(
    connection: Connection, source: StoredTable, use: Callable[[pa.Table], None]
) -> None:
    """Call *use* with every row of *source*, some thousands at a time."""
    if is_postgres(connection):
        sink = _Sink(source, use)
        copied_out(connection, _rows_on_postgres(source), {}, sink)
        sink.end()
        return
    schema = source.schema
    for rows in fetched_portions(connection, _rows_on_sqlite(source), {}, ROWS_AT_ONCE):
        values = zip(*rows, strict=True)
        use(pa.table([pa.array(v, t) for v, t in zip(values, schema.types, strict=True)], schema))


def add_portion(connection: Connection, target: StoredTable, portion: pa.Table) -> None:
    """Add the rows of *portion* to *target*. Raises what the database refuses."""
    if is_postgres(connection):
        columns = {name: _as_csv(portion[name], kind) for name, kind in target.columns}
        copy_in(connection, target.name, pa.table(columns))
        return
    values = {name: portion[name].to_pylist() for name, _ in target.columns}
    append(connection, Base.metadata.tables[target.name], {}, values)


def _kind(of: TypeEngine[Any]) -> Kind:
    return next((kind for known, kind in KINDS if isinstance(of, known)), Kind.TEXT)


def _rows_on_sqlite(source: StoredTable) -> Select[Any]:
    """The values as they are stored: integers, doubles, texts."""
    return _rows(source, [column(name) for name, _ in source.columns])


def _rows_on_postgres(source: StoredTable) -> Select[Any]:
    return _rows(source, [_as_copied(name, kind) for name, kind in source.columns])


def _rows(source: StoredTable, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    query = select(*columns).select_from(named_table(source.name))
    if source.name == StoreMeta.__tablename__:
        return query.where(column("name") != LEADER)
    return query


def _as_copied(name: str, kind: Kind) -> ColumnElement[Any]:
    if kind is Kind.EXACT:
        return cast(column(name) * 10**DECIMAL_PLACES, BigInteger())
    return cast(column(name), Integer()) if kind is Kind.FLAG else column(name)


class _Sink:
    """A file that PostgreSQL writes rows to as CSV; they are used in portions."""

    def __init__(self, source: StoredTable, use: Callable[[pa.Table], None]) -> None:
        self._source, self._use = source, use
        self._types = {
            name: INSTANT if kind is Kind.INSTANT else source.schema.field(name).type
            for name, kind in source.columns
        }
        self._rows = bytearray()

    def write(self, row: bytes) -> None:
        """Take one row: the driver passes each on by itself."""
        self._rows += row
        if len(self._rows) >= BYTES_AT_ONCE:
            self.end()

    def end(self) -> None:
        """Use the rows that were written since the last portion."""
        if self._rows:
            content, self._rows = self._rows, bytearray()
            self._use(self._parsed(content).cast(self._source.schema))

    def _parsed(self, content: bytearray) -> pa.Table:
        names = [name for name, _ in self._source.columns]
        return csv.read_csv(
            pa.py_buffer(content),
            csv.ReadOptions(column_names=names, use_threads=False, block_size=len(content) + 1),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types=self._types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )


def _as_csv(values: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    """Values whose texts PostgreSQL reads as the column's type."""
    if kind is Kind.INSTANT:
        return values.cast(INSTANT)
    if kind is Kind.EXACT:
        return pc.multiply(values.cast(pa.decimal128(19, 0)), TEN_THOUSANDTH)
    return values
