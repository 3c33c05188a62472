"""A group whose commands are imported when they are called, so that help comes at once."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from data_fetch.services.gc_tuning import rarely_collecting_garbage

# name -> (module, what `--help` says of it). The module's `command` is the click command.
CommandTable = Mapping[str, tuple[str, str]]


class LazyCommands(click.Group):
    """Knows its commands by name and imports one only to run it."""

    def __init__(self, *args: Any, table: CommandTable, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return None
        module, _ = self._table[cmd_name]
        # Loading makes objects that all stay: looking for garbage among them finds none.
        with rarely_collecting_garbage():
            command: click.Command = import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in self._table.items()])
