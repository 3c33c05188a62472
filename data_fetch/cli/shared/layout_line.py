"""The line about the layout of a store's tables."""

from data_fetch.reading.layout_status import StoreLayout

NAMES = {
    "plain": "plain tables",
    "partitions": "native partitions",
    "hypertables": "compressed hypertables of TimescaleDB",
}
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
CONVERT = "Stop the collector, then: data-fetch db layout"


def layout_line(found: StoreLayout) -> str:
    """What the layout is, and the better one if the database can have one."""
    line = f"{DATABASES[found.database]}, {NAMES[found.tables]}"
    return line if found.tables is found.best else f"{line}; it can have {NAMES[found.best]}"
