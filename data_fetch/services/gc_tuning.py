"""Raises the GC threshold during bulk reads."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# A collection starts after so many more allocations than deallocations.
OBJECTS_OF_A_FEW_MONTHS = 100_000


@contextmanager
def rarely_collecting_garbage() -> Iterator[None]:
    """Collect cyclic garbage seldom.

    A month of minutes is eight thousand lists, a market's option chains are a million numbers, and
    all of it is freed as soon as it is stored. Searching it for cycles every few hundred objects
    takes up to a quarter of the time.
    """
    usual = gc.get_threshold()
    gc.set_threshold(OBJECTS_OF_A_FEW_MONTHS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
