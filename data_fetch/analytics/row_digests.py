"""A digest of rows that does not depend on their order, nor on the file or database they are in.

Each row becomes a number of 64 bits from all its values: doubles by their bits, texts by their
bytes, an instant by its microseconds. The digest is the sums of two mixtures of these numbers, so
portions can be added in any order and of any size. The arithmetic is fixed here and depends on no
library, because a file is compared with its digest years later.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST_MIX, SECOND_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
NO_VALUE = np.uint64(0x6E756C6C6E756C6C)
WHOLE_RANGE = 2**64


class RowDigest:
    """Adds up rows. Two sets of rows with equal `value` are equal."""

    def __init__(self) -> None:
        self.rows = 0
        self._sums = [0, 0]

    def add(self, portion: pa.Table | pa.RecordBatch) -> None:
        """Count the rows of *portion* in; every portion has the same columns in one order."""
        numbers = np.zeros(portion.num_rows, np.uint64)
        for place, column in enumerate(portion.columns):
            numbers = _mixed(numbers + _numbers(column) * np.uint64(2 * place + 1))
        self.rows += portion.num_rows
        for place, mixture in enumerate((numbers, _mixed(numbers ^ GOLDEN))):
            total = self._sums[place] + int(mixture.sum(dtype=np.uint64))
            self._sums[place] = total % WHOLE_RANGE

    @property
    def value(self) -> str:
        """32 hexadecimal digits; how many rows there are is in it."""
        first, second = self._sums
        return f"{(first + self.rows) % WHOLE_RANGE:016x}{second:016x}"


def digest_of(portions: Iterable[pa.Table | pa.RecordBatch]) -> RowDigest:
    """The digest of all *portions*, which are read one at a time."""
    digest = RowDigest()
    for portion in portions:
        digest.add(portion)
    return digest


def _mixed(numbers: Numbers) -> Numbers:
    """Every bit of the result depends on every bit of the number (SplitMix64)."""
    mixed = numbers + GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * FIRST_MIX
    mixed = (mixed ^ (mixed >> np.uint64(27))) * SECOND_MIX
    return mixed ^ (mixed >> np.uint64(31))


def _numbers(column: pa.Array | pa.ChunkedArray) -> Numbers:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = whole.type
    if pa.types.is_string(kind):
        numbers = _of_texts(whole)
    elif pa.types.is_decimal128(kind):
        numbers = _of_decimals(whole)
    else:
        numbers = _mixed(_bits(whole))
    if whole.null_count:
        numbers[whole.is_null().to_numpy(zero_copy_only=False)] = NO_VALUE
    return numbers


def _bits(values: pa.Array) -> Numbers:
    """Numbers, flags, dates and instants as 64 bits; a null is any number."""
    kind = values.type
    if pa.types.is_floating(kind):
        doubles: NDArray[np.float64] = values.fill_null(0.0).to_numpy(zero_copy_only=False)
        return doubles.view(np.uint64)
    if pa.types.is_date32(kind):
        values = values.cast(pa.int32())
    elif pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    whole: NDArray[np.int64] = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return whole.view(np.uint64)


def _of_decimals(values: pa.Array) -> Numbers:
    """By the digits without the point: every value of a column has the same places."""
    halves = np.frombuffer(values.buffers()[1], np.uint64)
    own = halves[2 * values.offset : 2 * (values.offset + len(values))].reshape(-1, 2)
    return _mixed(_mixed(own[:, 0]) + own[:, 1])


def _of_texts(values: pa.Array) -> Numbers:
    """Each distinct text is hashed once."""
    encoded = values.dictionary_encode()
    known = np.asarray([_of_text(text) for text in encoded.dictionary.to_pylist()], np.uint64)
    if not len(known):
        return np.zeros(len(values), np.uint64)
    places: NDArray[np.int32] = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return known[places]


def _of_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
