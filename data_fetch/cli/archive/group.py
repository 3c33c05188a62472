"""`data-fetch archive`: what is stored, in Parquet and DuckDB files."""

import click

from data_fetch.cli.shared.lazy_commands import LazyCommands

COMMANDS = {
    "run": ("data_fetch.cli.archive.run", "Write each minute to files, until stopped."),
    "status": ("data_fetch.cli.archive.status", "Which days are in the store, and in files."),
    "verify": ("data_fetch.cli.archive.verify", "Check the files of archived days."),
    "restore": ("data_fetch.cli.archive.restore", "Load dropped days back into the store."),
}


@click.command(cls=LazyCommands, table=COMMANDS)
def command() -> None:
    """Parquet and DuckDB files of what is stored."""
