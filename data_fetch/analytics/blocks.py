"""Evaluates formulas on long arrays in blocks, so that intermediate results stay in the cache."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Twenty arrays of this many doubles fit the second-level cache of a small server's core.
BLOCK = 8_192

Array = NDArray[Any]


def blockwise(
    formula: Callable[..., Sequence[Array]], results: Sequence[type], arguments: Sequence[ArrayLike]
) -> list[Array]:
    """Evaluate *formula* on broadcast *arguments*; *results* are the types of its results.

    *formula* receives one-dimensional arrays and returns arrays of the same length. NumPy's
    warnings about division by zero and overflow are off: the formula must handle both.
    """
    arrays = np.broadcast_arrays(*arguments)
    shape, size = arrays[0].shape, arrays[0].size
    rows = [one.reshape(-1) for one in arrays]
    found: list[Array] = [np.empty(size, kind) for kind in results]
    with np.errstate(all="ignore"):
        for first in range(0, size, BLOCK):
            block = slice(first, first + BLOCK)
            for whole, part in zip(found, formula(*(one[block] for one in rows)), strict=True):
                whole[block] = part
    return [one.reshape(shape) for one in found]
