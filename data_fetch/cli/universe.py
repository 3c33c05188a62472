"""`data-fetch universe`: the instruments of the symbols file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, print_out, remark
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.settings import Settings
from data_fetch.reading.universe import (
    DerivedUniverse,
    MasterFile,
    ResolvedUniverse,
    derived_universe,
    master_of,
    resolved_universe,
    symbols_file,
    write_universe,
)
from data_fetch.runtime.settings import process_settings


@click.command()
@click.option("--from-master", is_flag=True, help="Derive the list from the master itself.")
@click.option("--write", is_flag=True, help="With --from-master: update the symbols file.")
@json_option
def command(from_master: bool, write: bool, as_json: bool) -> None:
    """Resolve the listed F&O symbols through the instrument master.

    Exit status 3 when a symbol could not be resolved.
    """
    if write and not from_master:
        raise click.UsageError("--write goes with --from-master.")
    settings = settings_to_store() if write else process_settings()
    if from_master:
        _derive(settings, write, as_json)
    else:
        _check(settings, as_json)


def _check(settings: Settings, as_json: bool) -> None:
    listed = symbols_file(settings)
    for bad in listed.malformed:
        remark(f"{listed.path}, line {bad.line}: {bad.entry!r} is malformed: {bad.reason}")
    found = resolved_universe(settings, listed, _master(settings), _progress)
    if as_json:
        emit(found.document())
    else:
        print_out(resolved_text(found))
    if found.universe.unresolved:
        raise SystemExit(INCOMPLETE)


def _derive(settings: Settings, write: bool, as_json: bool) -> None:
    found = derived_universe(_master(settings), _progress)
    if as_json:
        emit(found.document())
    else:
        print_out(derived_text(found))
    if write:
        _write(settings, found)
    elif not as_json:
        print_out("Make it the list: data-fetch universe --from-master --write")


def _write(settings: Settings, found: DerivedUniverse) -> None:
    path, changes = write_universe(settings, found)
    if not changes.added and not changes.removed:
        remark(f"{path} lists them already; nothing was written.")
        return
    remark(f"Wrote {path}: {len(changes.added)} added, {len(changes.removed)} removed.")
    for sign, symbols in (("+", changes.added), ("-", changes.removed)):
        if symbols:
            remark(f"  {sign} {', '.join(symbols)}")
    remark("Collect them: data-fetch run")


def resolved_text(found: ResolvedUniverse) -> str:
    """How many symbols were resolved, the others with near matches, and the next step."""
    listed, universe = found.listed, found.universe
    lines = [
        str(listed),
        f"{len(universe.members)} of {universe.listed} resolved "
        f"in the instrument master of {found.master.as_of}",
    ]
    if universe.duplicates:
        lines.append(f"Listed twice under other spellings: {', '.join(universe.duplicates)}")
    lines += [f"  {one}, and collected as that" for one in universe.followed]
    for one in universe.unresolved:
        near = f"did you mean {' or '.join(one.near)}?" if one.near else "nothing is near it"
        lines.append(f"  {one.symbol!r} is not in the master: {near}")
    if universe.unresolved:
        lines.append(f"Correct {listed.path}, or: data-fetch universe --from-master --write")
    else:
        lines.append("Collect them: data-fetch run")
    return "\n".join(lines)


def derived_text(derived: DerivedUniverse) -> str:
    found = derived.found
    return (
        f"The instrument master of {derived.master.as_of} has futures on {len(found.stocks)} "
        f"stocks and {len(found.indices)} indices:\n{', '.join(found.symbols)}"
    )


def _master(settings: Settings) -> MasterFile:
    master = master_of(settings)
    if master.warning:
        remark(f"Warning: {master.warning}")
    return master


@contextmanager
def _progress(instruments: Iterator[Instrument], number: int) -> Iterator[Iterator[Instrument]]:
    with click.progressbar(
        instruments,
        length=number,
        label="Reading the instrument master",
        update_min_steps=500,
        file=sys.stderr,
    ) as bar:
        yield bar
