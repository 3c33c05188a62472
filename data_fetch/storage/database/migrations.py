"""Upgrades the schema of a database to the one this code works with."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from data_fetch import PACKAGE_FOLDER
from data_fetch.core.errors import SetupError
from data_fetch.storage.database.dialects import wait_for_turn
from data_fetch.storage.database.engine import NO_LIMIT, reading, writing

# An arbitrary number, unique among the advisory locks of a database.
MIGRATION_LOCK = 4_630_914_001


@cache
def scripts_folder(package: Path = PACKAGE_FOLDER) -> Path:
    """The folder of the migrations: inside an installed *package*, beside it in a checkout."""
    for folder in (package / "packaged" / "alembic", package.parent / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise SetupError(
        f"the migrations are neither in {package} nor beside it",
        hint="Install data-fetch again.",
    )


@cache
def known_revisions() -> tuple[str, ...]:
    """Every revision that this code knows, newest first."""
    return tuple(script.revision for script in _scripts().walk_revisions())


def head() -> str:
    """The revision that this code works with."""
    return known_revisions()[0]


def current(engine: Engine) -> str | None:
    """The revision of a database; None when it has no schema at all."""
    with reading(engine) as connection:
        return _current(connection)


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Bring the schema up to date, in one transaction; returns the old and the new revision.

    Two processes may do this at once: one waits for the other and then has nothing to do.
    Raises SetupError if the database was made by a newer version.
    """
    with writing(engine, NO_LIMIT) as connection:
        wait_for_turn(connection, MIGRATION_LOCK)
        before = _current(connection)
        refuse_newer(before)
        if before != head():
            command.upgrade(_config(connection), "head")
    return before, head()


def refuse_newer(revision: str | None) -> None:
    """Raise SetupError for a schema that is unknown to this code."""
    if revision is not None and revision not in known_revisions():
        raise SetupError(
            f"the database has schema revision {revision}, which is unknown to this version",
            hint="It was made by a newer data-fetch: install that version.",
        )


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(scripts_folder()))


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    # Alembic treats a percent sign as the beginning of a variable.
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    return config
