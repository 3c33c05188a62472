"""Reads rows as CSV through PostgreSQL's COPY: no object is made for a row or a value."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Session
from sqlalchemy import Connection, Select

from data_fetch.storage.database.refusals import database_error


def copy_out(connection: Connection, query: Select[Any], given: Mapping[str, Any]) -> bytes:
    """The rows of *query*, with the parameters *given*, as CSV without a heading.

    A null is empty, a flag is t or f.

    Raises StoreUnreachable if the server goes away.
    """
    if not connection.in_transaction():
        # What bypasses SQLAlchemy does not begin one by itself, with its limits of time.
        connection.begin()
    expanded = query.compile(dialect=connection.dialect).construct_expanded_state(given)
    session = connection.connection.driver_connection
    assert isinstance(session, Session)
    written = BytesIO()
    try:
        with session.cursor() as cursor:
            rows = cursor.mogrify(expanded.statement, expanded.parameters).decode()
            cursor.copy_expert(f"COPY ({rows}) TO STDOUT (FORMAT csv)", written)
    except psycopg2.Error as problem:
        lost = session.closed != 0
        ours = database_error(connection.engine.url, problem, lost=lost)
        if ours is None:
            raise
        raise ours from problem
    return written.getvalue()
