"""What every test can ask for: real data, real databases, a real Redis."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import POSTGRES_WAYS, REDIS_WAYS, database_on, first_of, redis_database_on

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real captured market data, which cannot be part of the repository."""
    folder = Path(os.environ.get("SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"captured market data is not at {folder}; name its place in SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with first_of(POSTGRES_WAYS) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """A PostgreSQL database with nothing in it."""
    with database_on(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    with first_of(REDIS_WAYS) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """An empty Redis database."""
    with redis_database_on(redis_server) as url:
        yield url
