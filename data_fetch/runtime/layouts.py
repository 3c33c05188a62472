"""Converts the configured store to another layout of its tables, with no collector beside it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from threading import Event

from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.runtime.lead import LeadKeeper
from data_fetch.runtime.stores import store_for
from data_fetch.storage.database.conversion import convert
from data_fetch.storage.database.layouts import (
    Layout,
    best_layout,
    layout_of,
    refuse_impossible,
)
from data_fetch.storage.database.leadership import Leadership


@dataclass(frozen=True, slots=True)
class Converted:
    """The layouts of a store before and after, and the *rows* that were moved."""

    store: str
    before: Layout
    after: Layout
    rows: int


def convert_store(
    settings: Settings,
    layout: Layout | None,
    watcher: Callable[[str, int], None],
    report: Callable[[str], None],
) -> Converted:
    """Give the tables of the configured store *layout*, by default the best it can have.

    Raises SetupError while a collector runs, or if the database cannot have the layout.
    """
    with closing(store_for(settings)) as store:
        with store.reading() as connection:
            refuse_impossible(connection, layout or Layout.PARTITIONS)
            chosen, before = layout or best_layout(connection), layout_of(connection)
        leadership, lost = Leadership(store), Event()
        fence = leadership.try_acquire()
        if fence is None:
            raise SetupError(
                f"a collector is running ({leadership.leader()})", hint="Stop it first."
            )
        with LeadKeeper(leadership, store.name, report, lost):
            rows = convert(store.engine, chosen, fence, watcher)
    return Converted(store.name, before, chosen, rows)
