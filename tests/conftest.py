"""What every test can ask for: real data, real databases, a real Redis."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkout import CHECKOUT
from effort import CHAOS
from hypothesis import HealthCheck, settings
from servers import (
    POSTGRES_WAYS,
    REDIS_WAYS,
    DatabaseCopies,
    database_on,
    first_of,
    redis_database_on,
    timescale,
)
from sqlalchemy import Engine, make_url

from data_fetch.core.world import World
from data_fetch.storage.database.engine import engine_for
from data_fetch.storage.database.layouts import Layout
from data_fetch.storage.database.migrations import upgrade
from data_fetch.storage.database.store import Store, open_store

# Of what tests start only the archive's own tests want an archiver beside a collector.
os.environ.setdefault("ARCHIVE_ENABLED", "false")

# No test may fail because the machine is slow. Laws that fix their own number of examples keep it.
# Fixtures that are made once a test are meant so: a law cleans up after each example.
PATIENT = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)
settings.register_profile("suite", PATIENT)
settings.register_profile("chaos", PATIENT, max_examples=2000)
settings.load_profile("chaos" if CHAOS else "suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests begin first, so that no worker starts one when the others have finished.

    At first xdist cuts the list into a piece for each worker; each piece begins with some of them.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("long")]
    short = [item for item in items if not item.get_closest_marker("long")]
    order: list[pytest.Item] = []
    for number in range(workers):
        share = long[number::workers]
        room = (len(items) - len(order)) // (workers - number) - len(share)
        order += share + short[: max(0, room)]
        short = short[max(0, room) :]
    items[:] = order


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


def migrate(url: str, layout: Layout = Layout.PLAIN) -> None:
    engine = engine_for(url)
    upgrade(engine, layout)
    engine.dispose()


@contextmanager
def copies_on(server: str, layout: Layout) -> Iterator[DatabaseCopies]:
    """Copies of a database that was migrated once."""
    with database_on(server) as url:
        migrate(url, layout)
        with DatabaseCopies(server, make_url(url).database or "") as copies:
            yield copies


@pytest.fixture(scope="session")
def postgres_copies(postgres_server: str) -> Iterator[DatabaseCopies]:
    with copies_on(postgres_server, Layout.PLAIN) as copies:
        yield copies


@pytest.fixture
def postgres_url(postgres_copies: DatabaseCopies) -> Iterator[str]:
    """A PostgreSQL database of the test's own, with the schema in plain tables and no rows."""
    with postgres_copies.one() as url:
        yield url


@pytest.fixture(scope="session")
def partitioned_copies(postgres_server: str) -> Iterator[DatabaseCopies]:
    with copies_on(postgres_server, Layout.PARTITIONS) as copies:
        yield copies


@pytest.fixture
def partitioned_url(partitioned_copies: DatabaseCopies) -> Iterator[str]:
    """The same with native partitions."""
    with partitioned_copies.one() as url:
        yield url


@pytest.fixture(scope="session")
def timescale_server() -> Iterator[str]:
    """A server that has TimescaleDB."""
    server = timescale()
    if server is None:
        pytest.skip("TimescaleDB is not at hand: name a server that has it in TEST_TIMESCALE_URL")
    with server as url:
        yield url


@pytest.fixture
def timescale_url(timescale_server: str) -> Iterator[str]:
    """The same with hypertables; not copied, as a template of such a database is not empty."""
    with database_on(timescale_server) as url:
        migrate(url, Layout.HYPERTABLES)
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "migrated.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """A SQLite file of the test's own, with the schema and no rows."""
    file = tmp_path / "store.db"
    shutil.copyfile(sqlite_template, file)
    return f"sqlite:///{file}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of stores run on both databases; where layouts matter, in each layout."""
    if "database_url" in metafunc.fixturenames:
        kinds = ["sqlite", "postgres"]
        if metafunc.definition.get_closest_marker("layouts"):
            kinds.append("partitioned")
            if os.environ.get("TEST_TIMESCALE_URL"):
                kinds.append("timescale")
        metafunc.parametrize("database_url", kinds, indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """Each kind of database, one after another."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An unstamped store of each kind, opened in the paper world."""
    store = open_store(database_url, World.PAPER)
    yield store
    store.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    with first_of(REDIS_WAYS) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """An empty Redis database."""
    with redis_database_on(redis_server) as url:
        yield url
