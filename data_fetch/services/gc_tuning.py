"""How often Python looks for garbage that only it can find, while much is read at once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# So many more objects than were freed must have been made before it looks.
OBJECTS_OF_A_FEW_MONTHS = 100_000


@contextmanager
def rarely_collecting_garbage() -> Iterator[None]:
    """A month of minutes is eight thousand lists, a market's option chains are a million numbers,
    and all of it is free again as soon as it is stored. Looking for cycles among it every few
    hundred objects takes up to a quarter of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(OBJECTS_OF_A_FEW_MONTHS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
