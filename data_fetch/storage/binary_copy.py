"""PostgreSQL's binary COPY: whole columns become the rows of a table, none looked at singly."""

from collections.abc import Iterable, Sequence
from io import RawIOBase
from itertools import chain
from struct import pack
from typing import Any

import numpy as np
import psycopg2
from numpy.typing import NDArray
from psycopg2 import sql
from psycopg2.extensions import connection as Session
from sqlalchemy import Connection, Table
from sqlalchemy.exc import IntegrityError

from data_fetch.storage.database import unreachable

# The column's value in every row, or one value per row, in the byte order of the wire.
Column = bytes | NDArray[Any]

COPY = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)")
HEADER = b"PGCOPY\n\xff\r\n\0" + pack(">ii", 0, 0)
TRAILER = pack(">h", -1)
# PostgreSQL's instants count from 2000, ours from 1970, both in microseconds.
YEAR_2000 = 946_684_800_000_000


def text(value: str) -> bytes:
    return value.encode()


def flag(value: bool) -> bytes:
    return pack(">?", value)


def instant(microseconds: int) -> bytes:
    """From microseconds since 1970 UTC."""
    return pack(">q", microseconds - YEAR_2000)


def instants(minutes: Sequence[int]) -> NDArray[Any]:
    """From whole minutes since 1970 UTC."""
    return (np.asarray(minutes, np.int64) * 60_000_000 - YEAR_2000).astype(">i8")


def whole_numbers(values: Sequence[int]) -> NDArray[Any]:
    return np.asarray(values, ">i8")


def floats(values: Sequence[float]) -> NDArray[Any]:
    return np.asarray(values, ">f8")


def copy_in(
    connection: Connection,
    target: Table,
    names: Sequence[str],
    groups: Iterable[Sequence[Column]],
) -> None:
    """Append *groups* of rows to *target*; in each, one column per name.

    Raises IntegrityError when a key is taken, StoreUnreachable when the server goes away.
    """
    statement = COPY.format(
        sql.Identifier(target.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    session = connection.connection.driver_connection
    assert isinstance(session, Session)
    try:
        with session.cursor() as cursor:
            cursor.copy_expert(statement, _Pieces(groups))
    except psycopg2.IntegrityError as problem:
        raise IntegrityError(statement.as_string(session), None, problem) from problem
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as problem:
        raise unreachable(connection.engine.url, problem) from problem


class _Pieces(RawIOBase):
    """The document as a file. A group becomes bytes while the server takes in the one before."""

    def __init__(self, groups: Iterable[Sequence[Column]]) -> None:
        self._pieces = chain([HEADER], map(_rows, groups), [TRAILER])

    def read(self, _size: int = -1, /) -> bytes:
        """The next piece, of whatever size; nothing at the end."""
        return next(self._pieces, b"")


def _rows(columns: Sequence[Column]) -> bytes:
    """Each row: how many columns, then for each its size and its value."""
    layout: list[tuple[str, Any]] = []
    values: list[Any] = []
    constant = pack(">h", len(columns))
    for column in columns:
        if isinstance(column, bytes):
            constant += pack(">i", len(column)) + column
            continue
        constant += pack(">i", column.itemsize)
        layout += [("", f"V{len(constant)}"), ("", column.dtype)]
        values += [np.void(constant), column]
        constant = b""
    if constant:
        layout.append(("", f"V{len(constant)}"))
        values.append(np.void(constant))
    rows = max(len(column) for column in columns if not isinstance(column, bytes))
    table = np.empty(rows, layout)
    for name, value in zip(table.dtype.names or (), values, strict=True):
        table[name] = value
    return table.tobytes()
