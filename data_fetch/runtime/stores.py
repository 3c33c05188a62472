"""Which store `run` collects into when the configured database does not answer.

Work goes on in the embedded store of the same world, loudly. A marker beside it lets `status`
and `doctor` say `degraded`; the next start that finds the database says how to bring the rows
over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.settings import Settings
from data_fetch.storage.database.store import Store, open_store

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ChosenStore:
    """The store to collect into; *degraded* says why it is not the configured one."""

    store: Store
    degraded: str | None = None


def store_for_run(settings: Settings, tell: Tell) -> ChosenStore:
    """The configured store, or the embedded one with a loud warning."""
    marker = _marker(settings)
    try:
        store = open_store(settings.store_url, settings.world)
    except StoreUnreachable as problem:
        degraded = f"{problem.message}; collecting into {settings.embedded_store_url} instead"
        tell(f"WARNING: {degraded}. When the database is back: {_cure(settings)}")
        store = open_store(settings.embedded_store_url, settings.world)
        marker.write_bytes(orjson.dumps({"reason": degraded}))
        return ChosenStore(store, degraded)
    if marker.exists():
        tell(f"Quotes of a time without the database wait to be brought over: {_cure(settings)}")
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


def _marker(settings: Settings) -> Path:
    return settings.data_folder / "degraded.json"


def _cure(settings: Settings) -> str:
    return f'data-fetch db merge {settings.embedded_store_url} "$DATABASE_URL"'
