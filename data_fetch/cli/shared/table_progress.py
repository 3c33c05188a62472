"""The progress of long work in a store on standard error: a line for each table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn


@contextmanager
def table_progress() -> Iterator[Callable[[str, int], None]]:
    """A function for a table and how many more of its rows were read."""
    with Progress(
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,.0f} rows read"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        tasks: dict[str, TaskID] = {}

        def watch(table: str, rows: int) -> None:
            if table not in tasks:
                tasks[table] = progress.add_task(table, total=None)
            progress.advance(tasks[table], rows)

        yield watch
