"""The revisions of the schema: those this code knows, and the one of a database.

Alembic, which upgrades, takes longer to load than most commands take to run.
"""

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, column, delete, func, insert, inspect, select
from sqlalchemy import table as named_table

from data_fetch import PACKAGE_FOLDER
from data_fetch.core.errors import SchemaDiffers, SetupError
from data_fetch.storage.database.engine import reading

# In the place of a revision: rows were restored, and not yet compared with the backup.
NOT_COMPARED = "restored, not compared"
# An arbitrary number, unique among the advisory locks of a database. Each transaction of a store
# shares it, an upgrade has it alone.
UPGRADE_LOCK = 4_630_914_001
VERSIONS = named_table("alembic_version", column("version_num"))


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
    """Every revision that this code knows, newest first.

    The files of the migrations are named by their revision, which is a number.
    """
    files = (scripts_folder() / "versions").glob("[0-9]*.py")
    return tuple(sorted((file.name.partition("_")[0] for file in files), reverse=True))


def head() -> str:
    """The revision that this code works with."""
    return known_revisions()[0]


def current(engine: Engine) -> str | None:
    """The revision of a database; None when it has no schema at all."""
    with reading(engine) as connection:
        return revision_in(connection)


def revision_in(connection: Connection) -> str | None:
    """The same, inside a transaction."""
    if not inspect(connection).has_table(VERSIONS.name):
        return None
    found: str | None = connection.scalar(select(VERSIONS.c.version_num))
    return found


def is_upgrading(engine: Engine) -> bool:
    """Whether an upgrade of a PostgreSQL database is in progress, or waits for its turn."""
    with reading(engine) as connection:
        free = select(func.pg_try_advisory_xact_lock_shared(UPGRADE_LOCK))
        return connection.scalar(free) is False


def name_revision(connection: Connection, revision: str) -> None:
    """Let the database of *connection* have this revision, or NOT_COMPARED in its place."""
    connection.exec_driver_sql(
        f"CREATE TABLE IF NOT EXISTS {VERSIONS.name} ("
        f"version_num VARCHAR(32) CONSTRAINT {VERSIONS.name}_pkc PRIMARY KEY)"
    )
    connection.execute(delete(VERSIONS))
    connection.execute(insert(VERSIONS).values(version_num=revision))


def refuse_newer(revision: str | None) -> None:
    """Raise SchemaDiffers for a schema that is unknown to this code, and for a store whose restore
    did not end."""
    if revision == NOT_COMPARED:
        raise SchemaDiffers(
            "a restore into this database has not ended: its rows are not those of the backup, or "
            "were not compared",
            hint="Wait for it if it is at work; otherwise run `data-fetch backup restore` again.",
        )
    if revision is not None and revision not in known_revisions():
        raise SchemaDiffers(
            f"the database has schema revision {revision}, which is unknown to this version",
            hint="It was made by a newer data-fetch: install that version.",
        )
