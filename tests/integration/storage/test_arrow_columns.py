"""Whole columns as SQLite writes them are the rows that its driver reads, to the last digit."""

from collections.abc import Iterator, Sequence
from math import nextafter, pi
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    select,
)

from data_fetch.storage.database import arrow_columns as tested
from data_fetch.storage.database.arrow_columns import arrow_columns
from data_fetch.storage.database.arrow_rows import arrow_rows
from data_fetch.storage.database.engine import engine_for, writing

NUMBERS = Table(
    "numbers",
    MetaData(),
    Column("place", Integer, primary_key=True),
    Column("price", Double),
    Column("other", Double),
    Column("amount", BigInteger),
    Column("flag", Boolean),
    Column("word", String),
)
OF = NUMBERS.c
NAMES = ("price", "other", "amount", "flag", "word")
QUERY = select(*(OF[name] for name in NAMES)).order_by(OF.place.desc())
EXAMPLE = select(OF.price).limit(1)
SCHEMA = pa.schema(
    {
        "price": pa.float64(),
        "other": pa.float64(),
        "amount": pa.int64(),
        "flag": pa.bool_(),
        "word": pa.string(),
    }
)
Row = tuple[float | None, float | None, int | None, bool, str | None]

ALIKE = st.floats(1, 30)
DOUBLES = ALIKE | st.floats(allow_nan=False, allow_infinity=False) | st.none()
WORDS = st.text(st.characters(exclude_characters="\0", codec="utf-8")) | st.none()
AMOUNTS = st.integers(-(2**63), 2**63 - 1) | st.none()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    found = engine_for(f"sqlite:///{tmp_path_factory.mktemp('columns')}/store.db")
    with writing(found) as connection:
        NUMBERS.create(connection)
    yield found
    found.dispose()


def fill(connection: Connection, rows: Sequence[Row]) -> None:
    connection.execute(delete(NUMBERS))
    if rows:
        named = [dict(zip(NAMES, row, strict=True)) for row in rows]
        connection.execute(NUMBERS.insert(), named)


def both(connection: Connection) -> tuple[pa.Table, pa.Table]:
    columns = arrow_columns(connection, QUERY, {}, SCHEMA, EXAMPLE)
    return columns, arrow_rows(connection, QUERY, {}, SCHEMA)


@example([(5e-324, 1.0, 0, True, "")])
@example([(1.7e308, -0.0, None, False, None)])
@given(st.lists(st.tuples(DOUBLES, DOUBLES, AMOUNTS, st.booleans(), WORDS), max_size=5))
@settings(deadline=None)
def test_columns_are_the_rows(engine: Engine, rows: list[Row]) -> None:
    with writing(engine) as connection:
        fill(connection, rows)
        columns, as_rows = both(connection)
    assert columns.equals(as_rows)


EXACT: dict[str, Sequence[float]] = {
    "prices of a share": [1499.95, 1500.05, 1500.0],
    "prices of an index": [55_012.35, 54_999.9],
    "prices of a penny share": [0.05, 0.1, 0.15],
    "every binary digit": [pi, nextafter(pi, 4), nextafter(32.0, 0)],
    "thirty times as much": [10.1, 303.3],
    "a thirtieth": [303.3, 10.1],
}


@pytest.mark.parametrize("prices", EXACT.values(), ids=EXACT)
def test_alike_doubles_need_no_rows(
    engine: Engine, prices: Sequence[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> pa.Table:
        raise AssertionError("read row by row")

    monkeypatch.setattr(tested, "arrow_rows", refused)
    with writing(engine) as connection:
        fill(connection, [(price, price, 1, True, "upstox") for price in prices])
        columns = arrow_columns(connection, QUERY, {}, SCHEMA, EXAMPLE)
    assert columns["price"].to_pylist() == list(reversed(prices))
