"""A group whose commands are imported when they are called, so that help appears at once."""

import gc
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from data_fetch.services.gc_tuning import rarely_collecting_garbage

# name -> (module, its line in `--help`). The module's `command` is the click command.
CommandTable = Mapping[str, tuple[str, str]]


class LazyCommands(click.Group):
    """Lists its commands by name and imports one only to run it.

    *aliases* are former names of commands: they still work and are not listed.
    """

    def __init__(
        self,
        *args: Any,
        table: CommandTable,
        aliases: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._table = table
        self._aliases = aliases or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = self._aliases.get(cmd_name, cmd_name)
        if name not in self._table:
            return None
        module, _ = self._table[name]
        # The objects of a module stay in memory: a search for garbage among them finds none,
        # neither now nor while the command runs.
        with rarely_collecting_garbage():
            command: click.Command = import_module(module).command
        gc.freeze()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self._table.items()])
