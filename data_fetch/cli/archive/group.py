"""`data-fetch archive`: what is stored, in Parquet and DuckDB files."""

import click

from data_fetch.cli.shared.lazy_commands import LazyCommands

COMMANDS = {
    "run": ("data_fetch.cli.archive.run", "Write each minute to files, until stopped."),
}


@click.command(cls=LazyCommands, table=COMMANDS)
def command() -> None:
    """Parquet and DuckDB files of what is stored."""
