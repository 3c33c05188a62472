"""A digest of each table that is the same on SQLite and on PostgreSQL.

Of the rows as `table_contents` reads them, their columns in the order of the names, with what one
of the databases does not keep in one form: JSON documents have sorted keys and plain numbers, and
zero has no sign. It shows damage and lost or doubled rows; it is no protection from forgery.
"""

from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from data_fetch.analytics.row_digests import RowDigest
from data_fetch.core.backups import Digests, TableDigest
from data_fetch.storage.database.progress import Watcher, no_progress
from data_fetch.storage.database.table_contents import (
    Kind,
    StoredTable,
    each_portion,
    stored_tables,
)

LARGEST_WHOLE = 2.0**63


class RunningDigest:
    """The digest of the rows of *table* that were added so far."""

    def __init__(self, table: StoredTable) -> None:
        self._table = table
        self._digest = RowDigest()

    def add(self, portion: pa.Table) -> None:
        columns = [_canonical(portion[name], kind) for name, kind in self._table.columns]
        self._digest.add(pa.table(columns, [name for name, _ in self._table.columns]))

    def result(self) -> TableDigest:
        return TableDigest(self._digest.rows, self._digest.value)


def table_digests(connection: Connection, watcher: Watcher = no_progress) -> Digests:
    """The digest of each table of the store that *connection* reads.

    Of one state, if the connection sees one: see `engine.snapshot`.
    """
    return {each.name: _digest(connection, each, watcher) for each in stored_tables(connection)}


def _digest(connection: Connection, table: StoredTable, watcher: Watcher) -> TableDigest:
    digest = RunningDigest(table)

    def add(portion: pa.Table) -> None:
        digest.add(portion)
        watcher(table.name, len(portion))

    each_portion(connection, table, add)
    return digest.result()


def _canonical(values: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray | pa.Array:
    if kind is Kind.FLOAT:
        # SQLite has one zero; the sum of zero and the negative one is that.
        return pc.add(values, 0.0)
    if kind is Kind.JSON:
        encoded = values.combine_chunks().dictionary_encode()
        documents = pa.array(map(_canonical_document, encoded.dictionary.to_pylist()), pa.string())
        return documents.take(encoded.indices)
    return values


def _canonical_document(text: str) -> str:
    plain = _with_plain_numbers(orjson.loads(text))
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode()


def _with_plain_numbers(value: Any) -> Any:
    """Whole numbers as such: PostgreSQL writes 1e16 as 10000000000000000, and -0.0 as 0.0."""
    match value:
        case float() if value.is_integer() and abs(value) < LARGEST_WHOLE:
            return int(value)
        case list():
            return [_with_plain_numbers(each) for each in value]
        case dict():
            return {name: _with_plain_numbers(each) for name, each in value.items()}
    return value
