"""Statements end although the database hangs, and their errors are ours."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from effort import PATIENCE_SECONDS
from frozen import FrozenProxy
from sqlalchemy import text

from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.world import World
from data_fetch.storage.database.engine import engine_for, reading, writing
from data_fetch.storage.database.store import Store, open_store

ONE = text("SELECT 1")


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[FrozenProxy]:
    proxy = FrozenProxy(postgres_url)
    yield proxy
    proxy.close()


@pytest.fixture
def frozen_store(proxy: FrozenProxy) -> Iterator[Store]:
    """A store that hangs; every statement has a second."""
    store = open_store(proxy.url, World.PAPER)
    store.hurry(1.0)
    with store.writing() as connection:
        connection.execute(ONE)
    proxy.freeze()
    yield store
    proxy.thaw()
    store.close()


def test_a_statement_without_a_response_fails(frozen_store: Store) -> None:
    with pytest.raises(StoreUnreachable, match="does not answer"), frozen_store.reading() as one:
        one.execute(ONE)


def test_a_commit_without_a_response_fails(proxy: FrozenProxy, postgres_url: str) -> None:
    engine = engine_for(proxy.url)
    with ExitStack() as transaction:
        transaction.enter_context(writing(engine, 1)).execute(ONE)
        proxy.freeze()
        with pytest.raises(StoreUnreachable, match="sends no response"):
            transaction.close()
    proxy.thaw()
    engine.dispose()


def test_after_the_hang_everything_works_again(frozen_store: Store, proxy: FrozenProxy) -> None:
    with pytest.raises(StoreUnreachable), frozen_store.writing() as connection:
        connection.execute(ONE)
    proxy.thaw()

    with frozen_store.writing() as connection:
        assert connection.scalar(ONE) == 1


def test_a_statement_in_progress_can_be_hurried(proxy: FrozenProxy) -> None:
    store = open_store(proxy.url, World.PAPER)
    with store.reading() as connection, ThreadPoolExecutor(1) as pool:
        connection.execute(ONE)
        proxy.freeze()
        waiting = pool.submit(connection.execute, ONE)

        store.hurry(0.5)

        with pytest.raises(StoreUnreachable, match="sends no response"):
            waiting.result(PATIENCE_SECONDS)
    proxy.thaw()
    store.close()


@pytest.mark.parametrize(
    ("setting", "writes", "reads"),
    [
        ("statement_timeout", "30s", "10min"),
        ("lock_timeout", "20s", "20s"),
        ("idle_in_transaction_session_timeout", "1min", "1min"),
    ],
)
def test_the_server_has_limits_too(
    postgres_url: str, setting: str, writes: str, reads: str
) -> None:
    engine = engine_for(postgres_url)
    with writing(engine) as connection:
        assert connection.scalar(text(f"SHOW {setting}")) == writes
    with reading(engine) as connection:
        assert connection.scalar(text(f"SHOW {setting}")) == reads
    engine.dispose()


def test_tcp_notices_a_peer_that_is_gone(postgres_url: str) -> None:
    engine = engine_for(postgres_url)
    with reading(engine) as connection:
        session = connection.connection.driver_connection
        assert session is not None
        options = session.get_dsn_parameters()
    assert options["tcp_user_timeout"] == "10000"
    assert (options["keepalives_idle"], options["keepalives_interval"]) == ("5", "2")
    engine.dispose()
