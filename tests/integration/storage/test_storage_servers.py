"""Wherever the tests run there is a PostgreSQL and a Redis."""

import psycopg2
import pytest
import redis
from servers import (
    POSTGRES_WAYS,
    REDIS_WAYS,
    DatabaseCopies,
    Way,
    database_on,
    first_of,
    given_postgres,
    given_redis,
    redis_database_on,
)


@pytest.mark.parametrize("way", [pytest.param(way, id=way.__name__) for way in POSTGRES_WAYS[1:]])
def test_every_available_postgresql_answers(way: Way) -> None:
    server = way()
    if server is None:
        pytest.skip("this machine does not offer this way")

    with server as server_url, database_on(server_url) as url:
        connection = psycopg2.connect(url)
        assert connection.server_version >= 140000
        connection.close()


@pytest.mark.parametrize("way", [pytest.param(way, id=way.__name__) for way in REDIS_WAYS[1:]])
def test_every_available_redis_answers(way: Way) -> None:
    server = way()
    if server is None:
        pytest.skip("this machine does not offer this way")

    with server as server_url, redis_database_on(server_url) as url, redis.Redis.from_url(url) as r:
        r.set("price", "101.5")
        assert r.get("price") == b"101.5"


def test_a_named_server_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://named/db")
    monkeypatch.setenv("TEST_REDIS_URL", "redis://named")

    with first_of(POSTGRES_WAYS) as postgres, first_of(REDIS_WAYS) as cache:
        assert (postgres, cache) == ("postgresql://named/db", "redis://named")


def test_without_a_named_server_the_next_one_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.delenv("TEST_REDIS_URL", raising=False)

    assert given_postgres() is None
    assert given_redis() is None


def test_no_server_at_all_is_an_error_and_no_skip() -> None:
    with pytest.raises(RuntimeError, match=r"requirements-dev\.txt"):
        first_of((lambda: None,))


def test_a_database_is_gone_afterwards(postgres_server: str) -> None:
    with database_on(postgres_server) as url:
        pass

    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        psycopg2.connect(url)


def test_a_copy_is_reused_empty_and_a_damaged_one_not_at_all(
    postgres_copies: DatabaseCopies,
) -> None:
    with postgres_copies.one() as first:
        execute(first, "INSERT INTO store_meta VALUES ('world', 'live')")
    with postgres_copies.one() as second:
        assert second == first
        assert execute(second, "SELECT count(*) FROM store_meta") == [(0,)]
        execute(second, "DELETE FROM alembic_version")
    with postgres_copies.one() as third:
        assert third != second


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows
