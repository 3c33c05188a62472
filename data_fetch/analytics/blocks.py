"""Long arrays a block at a time, so that what a formula makes on its way stays in the cache."""

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
    """What *formula* gives for *arguments*, broadcast; *results* are the types of its results.

    *formula* gets one-dimensional arrays and answers with as long ones. Dividing by nothing or
    leaving the range of doubles is its own affair: no warning, the result tells.
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
