"""Chooses the store of a process, and selects instruments in it.

When the configured database does not answer, `run` warns and collects into the embedded store
of the same world. A marker beside that store makes `status` and `doctor` report `degraded`; the
next start that reaches the database names the command that merges the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import orjson
from sqlalchemy import Connection

from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import Universe
from data_fetch.core.settings import Settings
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import (
    earliest_listings,
    instruments_named,
    listed_instruments,
)


@dataclass(frozen=True, slots=True)
class ChosenStore:
    """The store to collect into; *degraded* is why it is not the configured one."""

    store: Store
    degraded: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Instruments, and the first day in the master of those that are contracts.

    *universe* has the named symbols that are unresolved, too.
    """

    universe: Universe
    listed: Mapping[str, date]

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return self.universe.members


def store_for(settings: Settings) -> Store:
    """The configured store. Raises StoreUnreachable: a one-off command does not fall back."""
    return open_store(settings.store_url, settings.world)


def store_for_run(settings: Settings, report: Callable[[str], None]) -> ChosenStore:
    """The configured store; the embedded one, with a warning, when it does not answer."""
    marker = _marker(settings)
    try:
        store = open_store(settings.store_url, settings.world)
    except StoreUnreachable as problem:
        degraded = f"{problem.message}; collecting into {settings.embedded_store_url} instead"
        report(f"WARNING: {degraded}. When the database is back: {_merge_command(settings)}")
        store = open_store(settings.embedded_store_url, settings.world)
        marker.write_bytes(orjson.dumps({"reason": degraded}))
        return ChosenStore(store, degraded)
    if marker.exists():
        report(
            "The embedded store holds quotes collected while the database was away. "
            f"Merge them: {_merge_command(settings)}"
        )
        marker.unlink()
    return ChosenStore(store)


def store_to_look_at(settings: Settings) -> Store:
    """The configured store; the embedded one when `run` had to fall back to it."""
    try:
        return open_store(settings.store_url, settings.world)
    except StoreUnreachable:
        if degraded_reason(settings) is None:
            raise
        return open_store(settings.embedded_store_url, settings.world)


def degraded_reason(settings: Settings) -> str | None:
    """Why the last `run` in this folder could not use the configured database, if so."""
    try:
        return str(orjson.loads(_marker(settings).read_bytes())["reason"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return "the last run could not use the configured database"


def selection_at(store: Store, universe: Universe, symbols: Sequence[str]) -> Selection:
    """The instruments that *symbols* name; the whole *universe* when none are named.

    A symbol need not be in the universe, only in the instrument masters that are stored. Raises
    SetupError when none of them is known.
    """
    with store.reading() as connection:
        named = _named_with_near(connection, symbols) if symbols else universe
        chosen = named if named.members else named.resolved()
        return selection_of(connection, chosen)


def named_instruments(connection: Connection, symbols: Sequence[str]) -> Universe:
    """The instruments of *symbols*. Raises SetupError for the first one that is not known."""
    return _named_with_near(connection, symbols).resolved()


def _named_with_near(connection: Connection, symbols: Sequence[str]) -> Universe:
    named = instruments_named(connection, symbols)
    if not named.unresolved:
        return named
    # The nearest symbols are looked for in the whole master.
    unknown = [missing.symbol for missing in named.unresolved]
    near = {each.symbol: each.near for each in listed_instruments(connection, unknown).unresolved}
    unresolved = tuple(
        replace(each, near=near.get(each.symbol, each.near)) for each in named.unresolved
    )
    return replace(named, unresolved=unresolved)


def selection_of(connection: Connection, universe: Universe) -> Selection:
    """The instruments of *universe* with the first days of the contracts among them."""
    contracts = [one.instrument_key for one in universe.members if one.expiry]
    return Selection(universe, earliest_listings(connection, contracts))


def _marker(settings: Settings) -> Path:
    return settings.data_folder / "degraded.json"


def _merge_command(settings: Settings) -> str:
    return f'data-fetch db merge {settings.embedded_store_url} "$DATABASE_URL"'
