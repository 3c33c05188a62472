"""One row of every table, made of what its columns are: for what treats all tables alike."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.types import JSON, Boolean, Date, Float, Integer, Numeric

from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import Base
from data_fetch.storage.database.types import Exact, Instant
from data_fetch.storage.database.upsert import upsert

AT = datetime(2026, 9, 16, 3, 45, 0, 123_456, tzinfo=UTC)
# Values that one of the two databases writes in a form of its own.
DOUBLES = (2990.05, 0.1 + 0.2, 1e-07, 1e22, -0.0, 5e-324, 24_000.0)
TEXTS = ("RELIANCE", "", "M&M", 'a "b", c', "two\nlines", "₹ Δ", "\\N", " NaN ")
# Those of an index without doubles.
UNIQUE = {"email", "key_hash"}
DOCUMENTS = (
    {"absent": [], "b": 1, "a": {"deep": [1.0, 0.1, 1e-07, 1e16, None, True, "₹"]}},
    [[555, 557, "present"], [557, 559, "missed", "why", "r", 1_789_000_000_000_000]],
)


def value_of(column: Column[Any], number: int) -> Any:
    """The value number *number* of *column*; every third one that may be null is."""
    if column.nullable and number % 3 == 2:
        return None
    match column.type:
        case Instant():
            return AT + timedelta(minutes=number)
        case Exact():
            return Decimal(number) + Decimal("0.05")
        case Boolean():
            return number % 2 == 0
        case Date():
            return date(2026, 9, 16) + timedelta(days=number)
        case JSON():
            return DOCUMENTS[number % len(DOCUMENTS)]
        case Float():
            return DOUBLES[number % len(DOUBLES)]
        case Integer():
            return number * 100_003
        case Numeric():
            raise AssertionError(f"{column} is an exact number of no known kind")
    text = TEXTS[number % len(TEXTS)]
    return f"{number} {text}" if column.primary_key or column.name in UNIQUE else text


def sample_rows(table: Table, numbers: Iterable[int]) -> list[tuple[Any, ...]]:
    return [tuple(value_of(column, number) for column in table.columns) for number in numbers]


def fill(store: Store, numbers: Iterable[int] = range(24)) -> None:
    """Give every table of *store* the rows with these numbers."""
    numbers = list(numbers)
    for table in Base.metadata.sorted_tables:
        with store.writing() as connection:
            names = [column.name for column in table.columns]
            upsert(connection, table, names, sample_rows(table, numbers))
