"""COPY of PostgreSQL in the transaction of a connection, with the errors of other statements."""

from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Session
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from data_fetch.storage.database.refusals import database_error


def session_of(connection: Connection) -> Session:
    """The session of PostgreSQL's driver that *connection* uses."""
    session = connection.connection.driver_connection
    assert isinstance(session, Session)
    return session


def run_copy(connection: Connection, statement: str | sql.Composable, file: Any) -> None:
    """Run *statement*, a COPY that reads or writes *file*.

    Raises IntegrityError for a key that is stored already, StoreUnreachable if the server goes
    away, StoreRefused for what it refuses.
    """
    session = session_of(connection)
    try:
        with session.cursor() as cursor:
            cursor.copy_expert(statement, file)
    except psycopg2.IntegrityError as problem:
        raise IntegrityError(str(statement), None, problem) from problem
    except psycopg2.Error as problem:
        ours = database_error(connection.engine.url, problem, lost=session.closed != 0)
        if ours is None:
            raise
        raise ours from problem
