"""Servers that are lost and replaced, or full: with servers of the test's own."""

from contextlib import ExitStack, closing, suppress

import psycopg2
import pytest
from clusters import INSTALLED, own_cluster
from servers import LOOPBACK
from sqlalchemy import text

from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.world import World
from data_fetch.storage.database.leadership import Fence, Leadership
from data_fetch.storage.database.store import open_store

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not INSTALLED, reason="PostgreSQL is not installed here"),
]

ONE = text("SELECT 1")


def test_a_standby_that_is_promoted_is_found_and_led() -> None:
    with own_cluster() as primary:
        standby = primary.standby()
        hosts = "&".join(f"host={LOOPBACK}:{each.port}" for each in (primary, standby))
        both = f"postgresql://postgres@/postgres?{hosts}&target_session_attrs=read-write"
        with closing(open_store(both, World.PAPER)) as store:
            leadership = Leadership(store)
            assert leadership.try_acquire() == Fence(1)

            primary.kill()
            with pytest.raises(StoreUnreachable), store.writing() as connection:
                connection.execute(ONE)
            with pytest.raises(StoreUnreachable, match="none of the servers"):
                open_store(both, World.PAPER)
            standby.promote()

            with store.writing() as connection:
                assert connection.scalar(ONE) == 1
            leadership.release()


def test_a_server_without_free_connections_leaves_us_ours() -> None:
    with (
        own_cluster("max_connections=6", "superuser_reserved_connections=0") as server,
        closing(open_store(server.url, World.PAPER)) as store,
        ExitStack() as others,
    ):
        with suppress(psycopg2.OperationalError):
            while True:
                others.enter_context(closing(psycopg2.connect(server.url)))

        with store.writing() as connection:
            assert connection.scalar(ONE) == 1
        with pytest.raises(StoreUnreachable, match="takes no more connections"):
            open_store(server.url, World.PAPER)
        others.close()

        open_store(server.url, World.PAPER).close()
