"""Stores to measure in."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
from psycopg2.extensions import connection as Session
from sqlalchemy import make_url

from data_fetch.core.world import World
from data_fetch.storage.database.engine import engine_for
from data_fetch.storage.database.layouts import Layout
from data_fetch.storage.database.migrations import upgrade
from data_fetch.storage.database.store import Store, open_store

POSTGRES = os.environ.get("BENCH_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")


@contextmanager
def postgres_store(
    world: World = World.PAPER, layout: Layout = Layout.PLAIN, on: str = POSTGRES
) -> Iterator[tuple[Store, Session]]:
    """A store in a database of our own on the server *on*, in *layout*, and a session with it.

    Raises psycopg2's OperationalError when there is no server.
    """
    name = f"bench_{os.getpid()}"
    with closing(psycopg2.connect(on)) as server:
        server.autocommit = True
        server.cursor().execute(f"CREATE DATABASE {name}")
        url = make_url(on).set(database=name).render_as_string(hide_password=False)
        try:
            engine = engine_for(url)
            upgrade(engine, layout)
            engine.dispose()
            with (
                closing(open_store(url, world)) as store,
                closing(psycopg2.connect(url)) as session,
            ):
                session.autocommit = True
                yield store, session
        finally:
            server.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
