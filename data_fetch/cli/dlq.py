"""`data-fetch dlq`: units of work that failed for good."""

from collections.abc import Callable, Sequence
from shlex import quote
from typing import Any

import click

from data_fetch.cli.shared.output import counted, emit, json_option, print_out
from data_fetch.core.errors import SetupError
from data_fetch.core.work import UnitFailure
from data_fetch.reading.instants import ist_text
from data_fetch.reading.unit_documents import unit_document
from data_fetch.runtime.dead_letters import dead_letters_for
from data_fetch.runtime.settings import process_settings
from data_fetch.services.dead_letters import DeadLetters

REMEDIES = {
    UnitFailure.AUTH: "Renew UPSTOX_ACCESS_TOKEN, then replay.",
    UnitFailure.QUOTA: "Check who else uses this account's requests, then replay.",
    UnitFailure.OUTAGE: "Check provider and database: data-fetch doctor; then replay.",
    UnitFailure.SCHEMA: "The response cannot be read: update data-fetch, then replay.",
    UnitFailure.REFUSED: "The request is refused as it is: correct the cause and replay, or drop.",
    UnitFailure.POISON: "See logs/worker-*.log; replay it with one worker, or drop it.",
}

reason_option = click.option(
    "--reason", type=click.Choice([each.value for each in UnitFailure]), help="Of this reason only."
)


@click.group()
def command() -> None:
    """Dead letters: units of work that failed for good, each with its reason."""


@command.command("list")
@reason_option
@json_option
def list_units(reason: str | None, as_json: bool) -> None:
    """List the dead units, the oldest first."""
    with dead_letters_for(process_settings()) as letters:
        found = letters.all(UnitFailure(reason) if reason else None)
    if as_json:
        emit({"units": [unit_document(unit) for unit in found]})
        return
    for unit in found:
        print_out(f"{ist_text(unit.changed_at)}  {unit.reason:<8}{unit.key}  {unit.error}")
    if found:
        print_out(f"{counted(len(found), 'dead unit')}. Do them again: data-fetch dlq replay --all")
    else:
        print_out("No dead units.")


@command.command()
@click.argument("key")
@json_option
def show(key: str, as_json: bool) -> None:
    """Show the unit KEY, whatever its state, and what to do about it."""
    with dead_letters_for(process_settings()) as letters:
        unit = letters.named(key)
    if unit is None:
        raise SetupError(f"there is no unit {key}", hint="List the dead ones: data-fetch dlq list")
    document = unit_document(unit)
    if as_json:
        emit(document)
        return
    for name, value in {**document, **document.pop("subject")}.items():
        if value is not None:
            print_out(f"{name.replace('_', ' '):<14} {value}")
    if unit.reason is not None:
        print_out(f"{'to do':<14} {REMEDIES[unit.reason]}")


def changes(name: str, help_text: str) -> Callable[..., Any]:
    """The options of a command that changes dead units."""

    def decorate(function: Callable[..., None]) -> Any:
        for add in (
            json_option,
            reason_option,
            click.option("--all", "everything", is_flag=True, help="Every dead unit."),
            click.argument("keys", metavar="[KEY]...", nargs=-1),
        ):
            function = add(function)
        return command.command(name, help=help_text)(function)

    return decorate


@changes("replay", "Put dead units back: workers do them again, with all their tries.")
def replay(keys: Sequence[str], everything: bool, reason: str | None, as_json: bool) -> None:
    with dead_letters_for(process_settings()) as letters:
        chosen = _chosen(letters, keys, everything, reason)
        _show("replayed", letters.replay(chosen), chosen, as_json)


@changes("drop", "Delete dead units; what they were for is not done.")
def drop(keys: Sequence[str], everything: bool, reason: str | None, as_json: bool) -> None:
    with dead_letters_for(process_settings()) as letters:
        chosen = _chosen(letters, keys, everything, reason)
        _show("dropped", letters.drop(chosen), chosen, as_json)


def _chosen(
    letters: DeadLetters, keys: Sequence[str], everything: bool, reason: str | None
) -> list[str]:
    """The keys of the dead units that the options name. Raises SetupError for one that is not."""
    if bool(keys) + everything + (reason is not None) != 1:
        raise click.UsageError("Name keys, or --all, or --reason.")
    dead = [unit.key for unit in letters.all(UnitFailure(reason) if reason else None)]
    unknown = [key for key in keys if key not in dead]
    if unknown:
        raise SetupError(
            f"{quote(unknown[0])} is no dead unit", hint="List them: data-fetch dlq list"
        )
    return list(keys) or dead


def _show(done: str, number: int, keys: Sequence[str], as_json: bool) -> None:
    if as_json:
        emit({done: number, "keys": list(keys)})
    else:
        print_out(f"{counted(number, 'unit')} {done}.")
