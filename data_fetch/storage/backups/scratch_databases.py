"""Databases that a check restores a dump into. Each is dropped at its end, or by the next check if
that one was killed.

The process that uses one holds an advisory lock with its number, in a transaction: a database whose
lock is free has no owner any more, wherever that ran.
"""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

from sqlalchemy import URL, Connection, Engine, func, select, text

from data_fetch.storage.database.engine import NO_LIMIT, reading

PREFIX = "data_fetch_verify_"
NAME = re.compile(rf"{PREFIX}([0-9a-f]{{7,8}})")
# An arbitrary number, unique among the classes of advisory locks.
LOCK_CLASS = 463_091_408
# Of every database of the server: two checks may be configured with different ones.
HELD = text(
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = :lock_class "
    "AND objsubid = 2 AND granted"
)
OWN_DATABASES = text(
    "SELECT datname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba "
    "WHERE rolname = current_user AND starts_with(datname, :prefix)"
)


def may_create_databases(engine: Engine) -> bool:
    """Whether the role of *engine* has the right to make one."""
    own = text("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user")
    with reading(engine) as connection:
        return bool(connection.scalar(own))


@contextmanager
def scratch_database(engine: Engine) -> Iterator[URL]:
    """The URL of an empty database, which is dropped afterwards.

    Those of checks that were killed are dropped before.
    """
    drop_abandoned(engine)
    number = uuid4().hex[:7]
    name = f"{PREFIX}{number}"
    with _locked(engine, int(number, 16)):
        in_autocommit(engine, f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield engine.url.set(database=name)
        finally:
            _drop(engine, name)


def drop_abandoned(engine: Engine) -> list[str]:
    """Drop the scratch databases of this role that no process uses any more; which they were."""
    with reading(engine) as connection:
        # In this order: a database that is found now had its lock before it was made.
        found = connection.scalars(OWN_DATABASES, {"prefix": PREFIX}).all()
        held = set(connection.scalars(HELD, {"lock_class": LOCK_CLASS}))
    abandoned = [
        name for name in found if (of := NAME.fullmatch(name)) and int(of[1], 16) not in held
    ]
    for name in abandoned:
        _drop(engine, name)
    return abandoned


def in_autocommit(engine: Engine, statement: str) -> None:
    """Run a *statement* that PostgreSQL allows in no transaction."""
    with closing(engine.execution_options(isolation_level="AUTOCOMMIT").connect()) as connection:
        connection.exec_driver_sql(statement)


def _drop(engine: Engine, name: str) -> None:
    # TimescaleDB has workers of its own in it, and a killed check its pg_restore.
    in_autocommit(engine, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def _locked(engine: Engine, number: int) -> Iterator[None]:
    with waiting_transaction(engine) as connection:
        connection.execute(select(func.pg_advisory_xact_lock(LOCK_CLASS, number)))
        yield


@contextmanager
def waiting_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction for locks, which may do nothing else for as long as it takes."""
    with engine.execution_options(statement_seconds=NO_LIMIT).connect() as connection:
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield connection
