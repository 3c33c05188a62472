"""The progress of long work, table by table."""

from collections.abc import Callable

# Called repeatedly with a table and how many more of its rows were read.
Watcher = Callable[[str, int], None]


def no_progress(_table: str, _rows: int) -> None:
    """A watcher that reports nothing."""
