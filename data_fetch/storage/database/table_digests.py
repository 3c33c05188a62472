"""A digest of each table that is the same on SQLite and on PostgreSQL, in whatever order the rows
are read.

A value is 64 bits: those of an integer or a double (without the sign of zero, which SQLite drops),
or the first of the BLAKE2b hash of a text; of a JSON document in its canonical form. A row is its
values in the order of their columns' names, mixed one after another. A table is two sums over its
rows. It shows damage and lost or doubled rows; it is no protection from forgery.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from data_fetch.core.backups import Digests, TableDigest
from data_fetch.storage.database.progress import Watcher, no_progress
from data_fetch.storage.database.table_contents import (
    Kind,
    StoredTable,
    each_portion,
    stored_tables,
)

Words = NDArray[np.uint64]

# Of the generator SplitMix64, whose finaliser changes half of the bits for each bit of its input.
STEP = np.uint64(0x9E3779B97F4A7C15)
FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
# What stands for a null: arbitrary.
NULL = np.uint64(0x6A09E667F3BCC908)


class RunningDigest:
    """The digest of the rows of *table* that were added so far."""

    def __init__(self, table: StoredTable) -> None:
        self._table = table
        self._start = _word_of_text(" ".join(name for name, _ in table.columns))
        self._rows = 0
        self._sums = np.zeros(2, np.uint64)

    def add(self, portion: pa.Table) -> None:
        rows = np.full(len(portion), self._start, np.uint64)
        for name, kind in self._table.columns:
            rows = _mixed((rows + STEP) ^ _words(portion[name].combine_chunks(), kind))
        self._rows += len(portion)
        self._sums += np.array([rows.sum(), _mixed(rows + STEP).sum()], np.uint64)

    def result(self) -> TableDigest:
        return TableDigest(self._rows, "".join(f"{value:016x}" for value in self._sums.tolist()))


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


def _words(values: pa.Array, kind: Kind) -> Words:
    """One word for each value."""
    if kind is Kind.TEXT:
        words = _words_of_strings(values, _word_of_text)
    elif kind is Kind.JSON:
        words = _words_of_strings(values, _word_of_json)
    else:
        numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
        # SQLite has one zero: the sum of the negative one and zero is that.
        words = (numbers + 0 if kind is Kind.FLOAT else numbers).view(np.uint64)
    if values.null_count:
        words = np.where(values.is_null().to_numpy(zero_copy_only=False), NULL, words)
    return words


def _words_of_strings(values: pa.Array, word_of: Callable[[str], int]) -> Words:
    encoded = values.dictionary_encode()
    known = np.array([word_of(each) for each in encoded.dictionary.to_pylist()] or [0], np.uint64)
    places = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
    words: Words = known[places]
    return words


def _word_of_text(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def _word_of_json(document: str) -> int:
    plain = _with_plain_numbers(orjson.loads(document))
    canonical = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(blake2b(canonical, digest_size=8).digest())


def _with_plain_numbers(value: Any) -> Any:
    """Whole numbers as such: PostgreSQL writes 1e16 as 10000000000000000, and 0 for -0.0."""
    match value:
        case float() if value.is_integer() and abs(value) < 2**63:
            return int(value)
        case list():
            return [_with_plain_numbers(each) for each in value]
        case dict():
            return {name: _with_plain_numbers(each) for name, each in value.items()}
    return value


def _mixed(words: Words) -> Words:
    """Every word spread over all 64 bits; products are modulo 2 to the 64th."""
    words = (words ^ (words >> SHIFTS[0])) * FACTORS[0]
    words = (words ^ (words >> SHIFTS[1])) * FACTORS[1]
    return words ^ (words >> SHIFTS[2])
