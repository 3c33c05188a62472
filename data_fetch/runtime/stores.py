"""Chooses the store of a process, and selects instruments in it.

When the configured database does not answer, `run` warns and collects into the embedded store
of the same world. From then on `status` and `doctor` report `degraded`, until everything in that
store has been merged into the configured one: at the next start, or when the database is back.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import Connection, make_url

from data_fetch.core.errors import DataFetchError, StoreUnreachable
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import Universe
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import QUOTES
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import (
    earliest_listings,
    instruments_named,
    listed_instruments,
)
from data_fetch.storage.merge import merge
from data_fetch.storage.runs import last_due_slot
from data_fetch.storage.stand_in import StandIn, begin_standing_in, end_standing_in, standing_in


@dataclass(frozen=True, slots=True)
class ChosenStore:
    """The store to collect into; *degraded* is why it is not the configured one.

    Where rows of the embedded store were brought over, *accounted_until* is the last slot that it
    had before: between that one and theirs there may be slots without a row.
    """

    store: Store
    degraded: str | None = None
    accounted_until: datetime | None = None


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
    """The configured store; the embedded one, with a warning, when it does not answer.

    What the embedded store holds of such a time is merged first. Raises StoreUnreachable where
    both are the same.
    """
    try:
        store = open_store(settings.store_url, settings.world)
    except StoreUnreachable as problem:
        if settings.store_url == settings.embedded_store_url:
            raise
        why = f"{problem.message}; collecting into {settings.embedded_store_url} instead"
        report(f"WARNING: {why}. When the database is back, the rows are brought over.")
        store = open_store(settings.embedded_store_url, settings.world)
        begin_standing_in(store, why)
        return ChosenStore(store, why)
    accounted_until = None
    try:
        accounted_until = _bring_over(settings, store, report)
    except DataFetchError as problem:
        report(f"WARNING: the rows are not brought over: {problem} `run` tries again.")
    return ChosenStore(store, accounted_until=accounted_until)


def answers(settings: Settings) -> bool:
    """Whether the configured store can be used now."""
    try:
        open_store(settings.store_url, settings.world).close()
    except DataFetchError:
        return False
    return True


def store_to_look_at(settings: Settings) -> Store:
    """The configured store; the embedded one when `run` had to fall back to it."""
    try:
        return open_store(settings.store_url, settings.world)
    except StoreUnreachable:
        if degraded_reason(settings) is None:
            raise
        return open_store(settings.embedded_store_url, settings.world)


def degraded_reason(settings: Settings) -> str | None:
    """Why rows wait in the embedded store, and how many; None when none do."""
    waiting = _waiting(settings)
    if waiting is None:
        return None
    return (
        f"{waiting.why}; {waiting.rows:,} rows wait there until `data-fetch run` brings them over"
    )


def _waiting(settings: Settings) -> StandIn | None:
    url = settings.embedded_store_url
    file = make_url(url).database or ""
    if settings.store_url == url or not Path(file).is_file():
        return None
    with closing(open_store(url, settings.world)) as store:
        return standing_in(store)


def _bring_over(settings: Settings, store: Store, report: Callable[[str], None]) -> datetime | None:
    """Merge what waits in the embedded store; the last slot that *store* had before."""
    waiting = _waiting(settings)
    if waiting is None:
        return None
    last_slot = last_due_slot(store, QUOTES, before=datetime.max.replace(tzinfo=UTC))
    report(f"{waiting.rows:,} rows of {settings.embedded_store_url} are brought over.")
    if waiting.rows:
        merge(settings.embedded_store_url, settings.store_url)
    with closing(open_store(settings.embedded_store_url, settings.world)) as store:
        end_standing_in(store)
    report("All rows are brought over.")
    return last_slot


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
