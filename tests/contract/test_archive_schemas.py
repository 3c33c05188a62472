"""The columns of the archive's files are those of the tables."""

import pyarrow as pa
import pytest
from sqlalchemy import JSON, BigInteger, Boolean, Column, Date, Double, Integer, String

from data_fetch.archive.schemas import ARCHIVE_SCHEMAS, SPLIT_NUMBERS
from data_fetch.core.archive.days import TABLES
from data_fetch.storage.database.tables import Base
from data_fetch.storage.database.types import Exact, Instant

TYPES = {
    Instant: pa.timestamp("us", "UTC"),
    Exact: pa.decimal128(18, 4),
    JSON: pa.string(),
    Boolean: pa.bool_(),
    Date: pa.date32(),
    Double: pa.float64(),
    BigInteger: pa.int64(),
    Integer: pa.int64(),
    String: pa.string(),
}


def field_of(column: Column) -> pa.Field:
    return pa.field(column.name, TYPES[type(column.type)], nullable=bool(column.nullable))


@pytest.mark.parametrize("table", ARCHIVE_SCHEMAS)
def test_a_file_has_the_columns_of_its_table(table: str) -> None:
    stored, schema = Base.metadata.tables[table], ARCHIVE_SCHEMAS[table]
    assert schema.arrow == pa.schema([field_of(column) for column in stored.columns])
    assert set(schema.key) == {column.name for column in stored.primary_key}


def test_every_archived_table_has_a_schema() -> None:
    assert set(ARCHIVE_SCHEMAS) == {name for tables in TABLES.values() for name in tables}


def test_numbers_that_are_split_into_bytes_are_doubles_of_the_table() -> None:
    for table, names in SPLIT_NUMBERS.items():
        for name in names:
            assert ARCHIVE_SCHEMAS[table].arrow.field(name).type == pa.float64()
