"""`data-fetch universe`: which instruments the symbols file stands for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, note, say
from data_fetch.core.errors import MasterUnavailable
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.settings import Settings
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.world import master_for
from data_fetch.sources.instruments.master import MasterFile, read_instruments
from data_fetch.sources.instruments.symbols_file import (
    FoStocksLoader,
    SymbolsFile,
    Underlyings,
    Universe,
    derive_universe,
    resolve,
    write_symbols_file,
)


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
    settings = process_settings()
    if from_master:
        _derive(settings, write, as_json)
    else:
        _check(settings, as_json)


def _check(settings: Settings, as_json: bool) -> None:
    listed = FoStocksLoader(lambda: settings).load_fo_stocks_from_file()
    for bad in listed.malformed:
        note(f"{listed.path}, line {bad.line}: {bad.entry!r} is malformed: {bad.reason}")
    master = _master_of(settings)
    with _reading(master) as instruments:
        universe = resolve(listed.entries, instruments)
    if as_json:
        emit(document(universe))
    else:
        say(account(listed, universe, master))
    if universe.unresolved:
        raise SystemExit(INCOMPLETE)


def _derive(settings: Settings, write: bool, as_json: bool) -> None:
    master = _master_of(settings)
    with _reading(master) as instruments:
        found = derive_universe(instruments)
    if not found.symbols:
        raise MasterUnavailable(
            f"the instrument master of {master.as_of} lists no futures at all",
            hint="Check UPSTOX_INSTRUMENTS_URL: the universe is read off the futures of NSE_FO.",
        )
    if as_json:
        emit(derived_document(found))
    else:
        say(derived_account(found, master))
    if write:
        _write(settings, found, master)
    elif not as_json:
        say("Make it the list: data-fetch universe --from-master --write")


def _write(settings: Settings, found: Underlyings, master: MasterFile) -> None:
    path = FoStocksLoader(lambda: settings).path_to_write()
    changes = write_symbols_file(path, found, master.as_of)
    if not changes.added and not changes.removed:
        note(f"{path} lists them already; nothing was written.")
        return
    note(f"Wrote {path}: {len(changes.added)} added, {len(changes.removed)} removed.")
    for sign, symbols in (("+", changes.added), ("-", changes.removed)):
        if symbols:
            note(f"  {sign} {', '.join(symbols)}")
    note("Collect them: data-fetch run")


def document(universe: Universe) -> dict[str, object]:
    return {
        "listed": universe.listed,
        "resolved": len(universe.members),
        "unresolved": [
            {"symbol": lost.symbol, "near": list(lost.near)} for lost in universe.unresolved
        ],
    }


def derived_document(found: Underlyings) -> dict[str, object]:
    return {
        "stocks": len(found.stocks),
        "indices": len(found.indices),
        "symbols": list(found.symbols),
    }


def account(listed: SymbolsFile, universe: Universe, master: MasterFile) -> str:
    """What was resolved and what to do next, for people."""
    lines = [
        str(listed),
        f"{len(universe.members)} of {universe.listed} resolved "
        f"in the instrument master of {master.as_of}",
    ]
    if universe.duplicates:
        lines.append(f"Listed twice under other spellings: {', '.join(universe.duplicates)}")
    for lost in universe.unresolved:
        near = f"did you mean {' or '.join(lost.near)}?" if lost.near else "nothing is near it"
        lines.append(f"  {lost.symbol!r} is not in the master: {near}")
    if universe.unresolved:
        lines.append(f"Correct {listed.path}, or: data-fetch universe --from-master --write")
    else:
        lines.append("Collect them: data-fetch run")
    return "\n".join(lines)


def derived_account(found: Underlyings, master: MasterFile) -> str:
    return (
        f"The instrument master of {master.as_of} has futures on {len(found.stocks)} stocks "
        f"and {len(found.indices)} indices:\n{', '.join(found.symbols)}"
    )


def _master_of(settings: Settings) -> MasterFile:
    with master_for(settings) as instrument_master:
        master = instrument_master.today()
    if master.warning:
        note(f"Warning: {master.warning}")
    return master


@contextmanager
def _reading(master: MasterFile) -> Iterator[Iterator[Instrument]]:
    with click.progressbar(
        read_instruments(master.path),
        length=master.instruments,
        label="Reading the instrument master",
        update_min_steps=500,
        file=sys.stderr,
    ) as instruments:
        yield instruments
