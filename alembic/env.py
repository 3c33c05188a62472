"""Alembic's environment: uses the caller's connection, else the configured store."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import context
from sqlalchemy import Connection

from data_fetch.core.settings import Settings
from data_fetch.storage.database.engine import NO_LIMIT, engine_for, writing
from data_fetch.storage.database.migrations import take_turn
from data_fetch.storage.database.partitions import partition_tables
from data_fetch.storage.database.tables import Base


def models_have(connection: Connection) -> Callable[[str | None, str, Any], bool]:
    """Which names are compared with the models.

    Partitions are in none. Nor is the index of the views under former names: it is another one on
    each database.
    """
    partitions = partition_tables(connection)

    def is_compared(name: str | None, kind: str, _parents: object) -> bool:
        if kind == "table":
            return name not in partitions
        return not (kind == "index" and name == "ix_optionchain_newest")

    return is_compared


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=models_have(connection),
        # SQLite changes a table by creating a new one.
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


def configured_url() -> str:
    named = context.config.get_main_option("sqlalchemy.url")
    return named or Settings.load(os.environ, Path.cwd()).store_url


if (given := context.config.attributes.get("connection")) is not None:
    migrate(given)
elif context.is_offline_mode():
    context.configure(
        dialect_name=engine_for(configured_url()).dialect.name,
        target_metadata=Base.metadata,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = engine_for(configured_url())
    with writing(engine, NO_LIMIT) as own:
        take_turn(own, print)
        migrate(own)
    engine.dispose()
