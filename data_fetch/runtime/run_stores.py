"""Chooses the store that `run` collects into.

When the configured database does not answer, `run` warns and collects into the embedded store
of the same world. From then on `status` and `doctor` report `degraded`, until everything in that
store has been merged into the configured one: at the next start, or when the database is back.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from data_fetch.core.errors import DataFetchError, StoreUnreachable
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import QUOTES
from data_fetch.runtime.stores import waiting_rows
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.merge import merge
from data_fetch.storage.runs import last_due_slot
from data_fetch.storage.stand_in import begin_standing_in, end_standing_in


@dataclass(frozen=True, slots=True)
class ChosenStore:
    """The store to collect into; *degraded* is why it is not the configured one.

    Where rows of the embedded store were brought over, *accounted_until* is the last slot that it
    had before: between that one and theirs there may be slots without a row.
    """

    store: Store
    degraded: str | None = None
    accounted_until: datetime | None = None


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


def _bring_over(settings: Settings, store: Store, report: Callable[[str], None]) -> datetime | None:
    """Merge what waits in the embedded store; the last slot that *store* had before."""
    waiting = waiting_rows(settings)
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
