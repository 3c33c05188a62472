"""Upgrades the schema of a database to the one this code works with.

On PostgreSQL beside programs that use it: none of them waits long. The upgrade waits for the
transactions that write, lets none begin meanwhile, and waits only seconds for a lock that a reader
has, as everything else would queue behind it. It is then rolled back and tried again.
"""

from collections.abc import Callable
from threading import Lock

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, func, select
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_fixed,
)

from data_fetch.core.errors import StoreBusy
from data_fetch.storage.database.dialects import wait_for_turn
from data_fetch.storage.database.engine import NO_LIMIT, is_postgres, writing
from data_fetch.storage.database.layouts import Layout, lay_out_empty
from data_fetch.storage.database.revisions import (
    UPGRADE_LOCK,
    head,
    refuse_newer,
    revision_in,
    scripts_folder,
)

# Of one lock. Those that read meanwhile wait as long.
LOCK_SECONDS = 3
ATTEMPTS, PAUSE_SECONDS = 10, 5.0

Report = Callable[[str], None]
# Alembic keeps what a script uses in names of its module: threads would take each other's away.
_ONE_UPGRADE = Lock()


def upgrade(
    engine: Engine, layout: Layout | None = None, report: Report = lambda _: None
) -> tuple[str | None, str]:
    """Bring the schema up to date, in one transaction; returns the old and the new revision.

    Where the large tables are empty, PostgreSQL gets them in *layout*, by default in the best one
    that it can have.
    Two processes may do this at once: one waits for the other and then has nothing to do. *report*
    receives what it waits for. Raises SchemaDiffers if the database was made by a newer version,
    StoreBusy if others have the tables all the time; nothing is changed then.
    """

    def in_the_way(state: RetryCallState) -> None:
        problem = state.outcome.exception() if state.outcome else None
        report(f"Nothing is changed yet: {problem} The upgrade is tried again.")

    return Retrying(
        retry=retry_if_exception_type(StoreBusy),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_fixed(PAUSE_SECONDS),
        before_sleep=in_the_way,
        reraise=True,
    )(_upgrade, engine, layout, report)


def _upgrade(engine: Engine, layout: Layout | None, report: Report) -> tuple[str | None, str]:
    with writing(engine, NO_LIMIT) as connection:
        take_turn(connection, report)
        before = revision_in(connection)
        refuse_newer(before)
        if before != head():
            with _ONE_UPGRADE:
                command.upgrade(_config(connection), "head")
        lay_out_empty(connection, layout)
    return before, head()


def take_turn(connection: Connection, report: Report) -> None:
    """Wait until no other transaction upgrades, or writes; from then on no long wait for a lock."""
    if not is_postgres(connection):
        return
    if not connection.scalar(select(func.pg_try_advisory_xact_lock(UPGRADE_LOCK))):
        report("Another program upgrades the schema, or writes. Waiting for its transaction.")
        wait_for_turn(connection, UPGRADE_LOCK)
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    # Alembic treats a percent sign as the beginning of a variable.
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    return config
