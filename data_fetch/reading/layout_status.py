"""How a store has its large tables, and the best layout that its database can have."""

from contextlib import closing
from dataclasses import dataclass

from data_fetch.core.settings import Settings
from data_fetch.runtime.stores import store_for
from data_fetch.storage.database.layouts import Layout, best_layout, layout_of
from data_fetch.storage.database.store import Store

NAMES = {
    "plain": "plain tables",
    "partitions": "native partitions",
    "hypertables": "compressed hypertables of TimescaleDB",
}
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
CONVERT = "Stop the collector, then: data-fetch db layout"


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """The layout of the large *tables*, and the *best* one; *database* is ``sqlite`` or
    ``postgresql``."""

    database: str
    tables: Layout
    best: Layout

    @property
    def is_dated(self) -> bool:
        """Whether the tables are those of an earlier version; SQLite has no others."""
        return self.tables is Layout.PLAIN and self.best is not Layout.PLAIN

    @property
    def line(self) -> str:
        """What the layout is, and the better one if the database can have one."""
        line = f"{DATABASES[self.database]}, {NAMES[self.tables]}"
        return line if self.tables is self.best else f"{line}; it can have {NAMES[self.best]}"

    def document(self) -> dict[str, str]:
        return {"database": self.database, "tables": self.tables.value, "best": self.best.value}


def layout_of_store(store: Store) -> StoreLayout:
    """The layout of an open store."""
    with store.reading() as connection:
        return StoreLayout(connection.dialect.name, layout_of(connection), best_layout(connection))


def configured_layout(settings: Settings) -> StoreLayout:
    """The layout of the configured store. Raises as opening it does."""
    with closing(store_for(settings)) as store:
        return layout_of_store(store)
