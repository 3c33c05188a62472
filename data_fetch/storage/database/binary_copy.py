"""Adds whole columns as rows through PostgreSQL's binary COPY, without a loop over the rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from io import RawIOBase
from itertools import chain
from struct import pack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg2 import sql
from sqlalchemy import Connection, Table

from data_fetch.storage.database.copying import run_copy


@dataclass(frozen=True, slots=True)
class Sparse:
    """One value per row, of which the first *sizes* bytes are sent; -1: the row has none."""

    values: NDArray[Any]
    sizes: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)


# The column's value in every row, or one value per row, in network byte order.
WireColumn = bytes | NDArray[Any] | Sparse

COPY = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)")
HEADER = b"PGCOPY\n\xff\r\n\0" + pack(">ii", 0, 0)
TRAILER = pack(">h", -1)
# PostgreSQL's instants count from 2000, ours from 1970, both in microseconds.
YEAR_2000 = 946_684_800_000_000
DAY_2000 = date(2000, 1, 1).toordinal()
# A numeric is digits to the base of 10,000: four before the point, and one after it.
DIGITS, DIGIT, NEGATIVE = 5, 10_000, 0x4000


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


def microseconds(values: Sequence[int]) -> NDArray[Any]:
    """Instants, from microseconds since 1970 UTC."""
    return (np.asarray(values, np.int64) - YEAR_2000).astype(">i8")


def dates(values: Sequence[date]) -> NDArray[Any]:
    return np.asarray([value.toordinal() - DAY_2000 for value in values], ">i4")


def exact_numbers(ten_thousandths: Sequence[int]) -> NDArray[Any]:
    """A `numeric` with four places, from whole ten-thousandths."""
    rest = np.abs(np.asarray(ten_thousandths, np.int64))
    fields = np.empty((len(rest), 4 + DIGITS), ">i2")
    # How many digits, how many of them less one stand before the point, the sign, the places.
    fields[:, :4] = (DIGITS, DIGITS - 2, 0, 4)
    fields[np.asarray(ten_thousandths) < 0, 2] = NEGATIVE
    for place in range(DIGITS):
        rest, fields[:, 3 + DIGITS - place] = np.divmod(rest, DIGIT)
    return fields.view(f"V{fields.itemsize * fields.shape[1]}").reshape(len(fields))


def texts(values: Sequence[str | None]) -> Sparse:
    written = [b"" if value is None else value.encode() for value in values]
    sizes = [
        -1 if value is None else len(written)
        for value, written in zip(values, written, strict=True)
    ]
    return Sparse(np.asarray(written, np.bytes_), np.asarray(sizes, ">i4"))


def known_floats(values: Sequence[float | None]) -> Sparse:
    numbers = np.asarray(values, np.float64)
    return Sparse(numbers.astype(">f8"), np.where(np.isnan(numbers), -1, 8).astype(">i4"))


def known_whole_numbers(values: Sequence[int | None]) -> Sparse:
    numbers = [0 if value is None else value for value in values]
    sizes = [-1 if value is None else 8 for value in values]
    return Sparse(np.asarray(numbers, ">i8"), np.asarray(sizes, ">i4"))


def whole_numbers(values: Sequence[int]) -> NDArray[Any]:
    return np.asarray(values, ">i8")


def floats(values: Sequence[float]) -> NDArray[Any]:
    return np.asarray(values, ">f8")


def copy_in(
    connection: Connection,
    target: Table,
    names: Sequence[str],
    groups: Iterable[Sequence[WireColumn]],
) -> None:
    """Append *groups* of rows to *target*; in each, one column per name.

    Raises as `run_copy` does.
    """
    statement = COPY.format(
        sql.Identifier(target.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    run_copy(connection, statement, _Pieces(groups))


class _Pieces(RawIOBase):
    """The document as a file. A group is encoded while the server reads the one before."""

    def __init__(self, groups: Iterable[Sequence[WireColumn]]) -> None:
        self._pieces = chain([HEADER], map(_rows, groups), [TRAILER])

    def read(self, _size: int = -1, /) -> bytes:
        """The next piece, of whatever size; nothing at the end."""
        return next(self._pieces, b"")


def _rows(columns: Sequence[WireColumn]) -> bytes:
    """Each row: how many columns, then for each its size and its value."""
    layout: list[tuple[str, Any]] = []
    values: list[Any] = []
    shortened: list[tuple[int, Sparse]] = []
    constant = pack(">h", len(columns))
    for column in columns:
        if isinstance(column, bytes):
            constant += pack(">i", len(column)) + column
            continue
        if isinstance(column, Sparse):
            layout += [("", f"V{len(constant)}")] if constant else []
            values += [np.void(constant)] if constant else []
            shortened.append((len(layout) + 1, column))
            layout += [("", ">i4"), ("", column.values.dtype)]
            values += [column.sizes, column.values]
        else:
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
    return _without_gaps(table, shortened) if shortened else table.tobytes()


def _without_gaps(table: NDArray[Any], shortened: Sequence[tuple[int, Sparse]]) -> bytes:
    """The rows without the bytes of values that are shorter than their column, or missing."""
    grid = table.view(np.uint8).reshape(len(table), -1)
    counts = np.ones(grid.shape, np.bool_)
    names, fields = table.dtype.names, table.dtype.fields
    assert names is not None
    assert fields is not None
    for place, column in shortened:
        start, width = fields[names[place]][1], column.values.dtype.itemsize
        counts[:, start : start + width] = np.arange(width) < column.sizes[:, np.newaxis]
    return grid[counts].tobytes()
