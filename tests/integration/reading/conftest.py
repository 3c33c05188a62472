"""A store of each kind that the functions of `data_fetch.reading` read."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from candle_shelf import RELIANCE, TUESDAY, Shelf, shelf_at


@pytest.fixture
def shelf(database_url: str, tmp_path: Path) -> Iterator[Shelf]:
    """A store that knows RELIANCE and has no rows beside it."""
    shelf = shelf_at(database_url, tmp_path)
    shelf.lists(TUESDAY, RELIANCE)
    yield shelf
    shelf.store.close()
