"""Upgrades the schema of a database to the one this code works with."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from data_fetch.storage.database.dialects import wait_for_turn
from data_fetch.storage.database.engine import NO_LIMIT, writing
from data_fetch.storage.database.layouts import Layout, lay_out_empty
from data_fetch.storage.database.revisions import (
    head,
    refuse_newer,
    revision_in,
    scripts_folder,
)

# An arbitrary number, unique among the advisory locks of a database.
MIGRATION_LOCK = 4_630_914_001


def upgrade(engine: Engine, layout: Layout | None = None) -> tuple[str | None, str]:
    """Bring the schema up to date, in one transaction; returns the old and the new revision.

    Where the large tables are empty, PostgreSQL gets them in *layout*, by default in the best one
    that it can have.
    Two processes may do this at once: one waits for the other and then has nothing to do.
    Raises SetupError if the database was made by a newer version.
    """
    with writing(engine, NO_LIMIT) as connection:
        wait_for_turn(connection, MIGRATION_LOCK)
        before = revision_in(connection)
        refuse_newer(before)
        if before != head():
            command.upgrade(_config(connection), "head")
        lay_out_empty(connection, layout)
    return before, head()


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    # Alembic treats a percent sign as the beginning of a variable.
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    return config
