"""Chooses the store of a command, and selects instruments in it."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from sqlalchemy import Connection, make_url

from data_fetch.core.errors import SchemaDiffers, StoreFailure
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import Universe
from data_fetch.core.settings import Settings
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import (
    earliest_listings,
    instruments_named,
    listed_instruments,
)
from data_fetch.storage.stand_in import StandIn, standing_in


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


def store_to_look_at(settings: Settings) -> Store:
    """The configured store; the one that stands in for it when `run` had to fall back to that."""
    try:
        return open_store(settings.store_url, settings.world)
    except (StoreFailure, SchemaDiffers):
        if degraded_reason(settings) is None:
            raise
        return open_store(settings.stand_in_url, settings.world)


def degraded_reason(settings: Settings) -> str | None:
    """Why rows wait in the store that stands in, and how many; None when none do."""
    waiting = waiting_rows(settings)
    if waiting is None:
        return None
    return (
        f"{waiting.why}; {waiting.rows:,} rows wait there until `data-fetch run` brings them over"
    )


def waiting_rows(settings: Settings) -> StandIn | None:
    """The rows that wait to be merged into the configured store; None when none do."""
    url = settings.stand_in_url
    if not has_stand_in(settings) or not Path(make_url(url).database or "").is_file():
        return None
    with closing(open_store(url, settings.world)) as store:
        return standing_in(store)


def has_stand_in(settings: Settings) -> bool:
    """Whether another store stands in for the configured one: not for the embedded one, whose
    disk is the same."""
    return settings.store_url != settings.embedded_store_url


def selection_at(store: Store, universe: Universe, symbols: Sequence[str]) -> Selection:
    """The instruments that *symbols* name; the whole *universe* when none are named.

    A symbol need not be in the universe, only in the instrument masters that are stored. Raises
    SetupError when none of them is known.
    """
    with store.reading() as connection:
        named = instruments_with_near(connection, symbols) if symbols else universe
        chosen = named if named.members else named.resolved()
        return selection_of(connection, chosen)


def named_instruments(connection: Connection, symbols: Sequence[str]) -> Universe:
    """The instruments of *symbols*. Raises SetupError for the first one that is not known."""
    return instruments_with_near(connection, symbols).resolved()


def instruments_with_near(connection: Connection, symbols: Sequence[str]) -> Universe:
    """The instruments of *symbols*, and the unresolved ones with the nearest that are known."""
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
