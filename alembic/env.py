"""Alembic's environment: uses the caller's connection, else the configured store."""

import os
from collections.abc import Mapping
from pathlib import Path

from alembic import context
from sqlalchemy import Connection

from data_fetch.core.settings import Settings
from data_fetch.storage.database.engine import NO_LIMIT, engine_for, writing
from data_fetch.storage.database.tables import Base


def is_in_models(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
    """The index of the views under former names is in none: it is another one on each database."""
    return not (kind == "index" and name == "ix_optionchain_newest")


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=is_in_models,
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
        migrate(own)
    engine.dispose()
