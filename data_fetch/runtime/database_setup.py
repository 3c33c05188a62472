"""Creates the PostgreSQL database and its schema.

from data_fetch.postgres_config import postgres_config
postgres_config.setup_postgres_for_data_collection()
"""

from collections.abc import Callable
from dataclasses import dataclass

from psycopg2 import errors
from sqlalchemy import URL
from sqlalchemy.exc import ProgrammingError

from data_fetch.core.errors import SetupError, StoreRefused, StoreUnreachable
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.database.engine import engine_for, is_postgres, redacted
from data_fetch.storage.database.layouts import Layout
from data_fetch.storage.database.migrations import upgrade

# A database of every server, to connect to while the configured one is created.
MAINTENANCE_DATABASE = "postgres"


@dataclass(frozen=True, slots=True)
class SetUp:
    """What was done: *revision_before* is None when there was no schema."""

    database: str
    database_created: bool
    revision_before: str | None
    revision: str


class PostgresConfig:
    """The configured PostgreSQL database. Inert until one of its methods is called."""

    def setup_postgres_for_data_collection(self) -> SetUp:
        """Create the configured database if it is missing, and bring its schema up to date.

        Safe to repeat. Raises SetupError when no PostgreSQL is configured or when it may not
        be created, StoreUnreachable when the server does not answer, StoreRefused when it
        refuses.
        """
        url = engine_for(process_settings().store_url).url
        if url.get_backend_name() != "postgresql":
            raise SetupError(
                "no PostgreSQL is configured",
                hint="Set DATABASE_URL=postgresql://user:password@host:5432/database, or "
                "POSTGRES_HOST and its companions, in .env.",
            )
        return set_up(_text(url))


def set_up(
    url: str, layout: Layout | None = None, report: Callable[[str], None] = lambda _: None
) -> SetUp:
    """Create the database at *url* if it is missing, and its schema as of this version.

    *report* receives what it waits for. Large tables that are empty get *layout*, by default the
    best one that the database can have.
    """
    engine = engine_for(url)
    created = is_postgres(engine) and _create_database(engine.url)
    before, after = upgrade(engine, layout, report)
    engine.dispose()
    return SetUp(redacted(url), created, before, after)


postgres_config = PostgresConfig()


def _create_database(url: URL) -> bool:
    """Create the database at *url*; False when it exists already."""
    if _is_reachable(url):
        return False
    name = url.database or ""
    engine = engine_for(_text(url.set(database=MAINTENANCE_DATABASE)))
    unbundled = engine.execution_options(isolation_level="AUTOCOMMIT")
    try:
        with unbundled.connect() as connection:
            quoted = engine.dialect.identifier_preparer.quote(name)
            connection.exec_driver_sql(f"CREATE DATABASE {quoted}")
    except ProgrammingError as problem:
        if isinstance(problem.orig, errors.DuplicateDatabase):
            return False
        raise
    except StoreRefused as problem:
        if not isinstance(problem.__cause__, errors.InsufficientPrivilege):
            raise
        raise SetupError(
            f"{url.username} may not create the database {name} on {url.host}",
            hint=f"Have an administrator run: CREATE DATABASE {quoted} OWNER {url.username};",
        ) from problem
    finally:
        engine.dispose()
    return True


def _is_reachable(url: URL) -> bool:
    engine = engine_for(_text(url))
    try:
        with engine.connect():
            return True
    except StoreUnreachable:
        return False
    finally:
        engine.dispose()


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
