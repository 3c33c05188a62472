"""Opens each kind of database, and its transactions.

SQLite: write-ahead log, and writing transactions take the write lock when they begin, so that
none fails half way because it cannot get the lock. PostgreSQL: driver psycopg2, transactions in
UTC and with limits of time. They are set in each transaction: behind a pooler the session is
another one every time.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from math import inf
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from data_fetch.core.errors import SetupError
from data_fetch.core.files import close_to_others, make_folder, private_file
from data_fetch.storage.database.deadlines import (
    USUAL_SECONDS,
    Deadlines,
    TimedCursor,
    TimedSession,
    timed_sessions,
)
from data_fetch.storage.database.refusals import database_error, shown

ACCEPTED = (
    "Accepted are sqlite:///folder/file.db and postgresql://user:password@host:5432/database."
)
NOT_A_URL = "is not a database URL"
WRITE_AT = "In a user name or password write @ as %40, / as %2F and : as %3A."
POSTGRES_SCHEMES = {"postgres", "postgresql", "postgresql+psycopg2"}
CONNECT_SECONDS = 5
BUSY_SECONDS = 10
# Of one statement. A slot is written in milliseconds; a read may be over years of quotes.
WRITE_SECONDS, READ_SECONDS, NO_LIMIT = 30, 600, 0
# A transaction waits less for another one's locks than for its own statement.
LOCK_SECONDS = 20
# A process that is stopped half way must not hold its locks for ever.
IDLE_SECONDS = 60
# The server's limit comes first: its error names the cause.
GRACE_SECONDS = 5
# TimescaleDB limits how many compressed rows a transaction may unpack to change them. Ours are
# bounded already: by instrument-days (INSTRUMENT_DAYS_AT_ONCE), by chains, by portions of a day.
# Without the extension there is no such row, and nothing is set.
UNLIMITED_UNPACKING = (
    "SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true) "
    "FROM pg_extension WHERE extname = 'timescaledb';"
)
# A peer that is gone is noticed after some ten seconds.
TCP = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
SQLITE_SESSION = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    # In pages. One slot changes a page per symbol, so that with the usual 1,000 the log would be
    # copied back after nearly every slot.
    "PRAGMA wal_autocheckpoint = 8000",
)

# What SQLite makes beside a file.
BESIDE = ("-wal", "-shm", "-journal")
DRAFT_SESSION = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF")


def engine_for(url: str) -> Engine:
    """An engine for the database at *url*; nothing is connected yet.

    Its errors are ours: StoreUnreachable when the database does not answer, StoreRefused when it
    refuses, SetupError when the file or the schema is not ours. Raises SetupError if the URL
    names no supported database.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed)
    return _postgres_engine(parsed)


@contextmanager
def writing(engine: Engine, statement_seconds: int = WRITE_SECONDS) -> Iterator[Connection]:
    """A transaction that writes: committed at the end, rolled back on an error.

    On PostgreSQL a statement fails after *statement_seconds*; NO_LIMIT is for those that may
    take as long as they need.
    """
    options = {"begin": "BEGIN IMMEDIATE", "statement_seconds": statement_seconds}
    with engine.execution_options(**options).begin() as connection:
        yield connection


@contextmanager
def deciding(engine: Engine) -> Iterator[Connection]:
    """`writing`, but on SQLite without the write lock until the first write.

    That write fails at once if another program has written since the first read.
    """
    with engine.execution_options(begin="BEGIN", statement_seconds=WRITE_SECONDS).begin() as found:
        yield found


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads: on SQLite it sees one state and waits for no writer."""
    with engine.connect() as connection:
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads and sees one state of all tables, for as long as it takes."""
    options: dict[str, Any] = {"statement_seconds": NO_LIMIT}
    if is_postgres(engine):
        options["isolation_level"] = "REPEATABLE READ"
    with engine.execution_options(**options).connect() as connection:
        if is_postgres(engine):
            # What it reads may be awaited by others: a dump of the same state.
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield connection


def redacted(url: str | URL) -> str:
    """The URL without driver and passwords, for people and logs."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "(not a database URL)"
    if _has_stray_at(parsed, str(url)):
        return "(not a database URL)"
    return shown(parsed)


@lru_cache(16)
def file_of(url: str) -> Path | None:
    """The file of a SQLite store; None for a store on a server. Raises SetupError as `engine_for`
    does."""
    parsed = _parsed(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Their texts would quote what may be a part of a password.
        why = f" {WRITE_AT}" if url.count("@") > 1 else ""
        raise SetupError(f"DATABASE_URL {NOT_A_URL}", hint=f"{ACCEPTED}{why}") from None
    if _has_stray_at(parsed, url):
        raise SetupError("DATABASE_URL has more than one @", hint=f"{WRITE_AT} {ACCEPTED}")
    if parsed.drivername.startswith("mongodb"):
        raise SetupError(
            "DATABASE_URL names a MongoDB server; the store is an SQL database", hint=ACCEPTED
        )
    if parsed.drivername in POSTGRES_SCHEMES:
        _check_postgres(parsed)
        return parsed.set(drivername="postgresql+psycopg2")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise SetupError(f"databases of kind {parsed.drivername!r} are not known", hint=ACCEPTED)
    if parsed.host:
        raise SetupError("the SQLite URL has two slashes where three begin a path", hint=ACCEPTED)
    if parsed.database in {None, "", ":memory:"}:
        raise SetupError("the SQLite URL names no file", hint=ACCEPTED)
    return parsed.set(drivername="sqlite+pysqlite")


def _check_postgres(parsed: URL) -> None:
    """Raise SetupError for what the driver would refuse at every attempt."""
    if parsed.port is not None and not 1 <= parsed.port <= 65535:
        raise SetupError(f"DATABASE_URL has an impossible port ({parsed.port})", hint=ACCEPTED)
    try:
        make_dsn("", **dict.fromkeys(parsed.query, "1"))
    except psycopg2.ProgrammingError as problem:
        raise SetupError(f"DATABASE_URL has an unknown option ({problem})", hint=ACCEPTED) from None


def _has_stray_at(parsed: URL, url: str) -> bool:
    """Whether an @ inside an account was taken for its end: the rest of a password is then in
    the host or behind it."""
    return parsed.get_backend_name() != "sqlite" and url.count("@") > 1


def draft_engine(file: Path) -> Engine:
    """An engine for a new SQLite file that is of no use until it is complete: without a journal."""
    return _sqlite_engine(URL.create("sqlite+pysqlite", database=str(file)), DRAFT_SESSION)


def finished_engine(file: Path) -> Engine:
    """An engine that reads a SQLite file which no program changes, and leaves it as it is."""
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(file)),
        creator=lambda: sqlite3.connect(
            f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True
        ),
    )
    event.listen(engine, "handle_error", _as_our_error)
    return engine


def _sqlite_engine(url: URL, session: tuple[str, ...] = SQLITE_SESSION) -> Engine:
    file = Path(url.database or "")
    try:
        if file.exists() and not file.is_file():
            raise SetupError(f"{file} is no file", hint=ACCEPTED)
        make_folder(file.parent)
    except OSError as problem:
        raise SetupError(
            f"the folder {file.parent} cannot be created ({problem.strerror})",
            hint="Let this user write there. Another DATABASE_URL is not enough for the working "
            "folder: logs, the instrument master and the paper clock need it, too.",
        ) from None
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "do_connect")
    def close(*_: object) -> None:
        # SQLite gives what it makes beside the file the file's mode. Its own error is a better one.
        with suppress(OSError):
            private_file(file)
            for beside in BESIDE:
                close_to_others(file.with_name(f"{file.name}{beside}"))

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver would begin transactions by itself, but only before the first write.
        connection.isolation_level = None
        try:
            _execute_all(connection, session)
        except UnicodeDecodeError as problem:
            # The message of SQLite cites the damaged text of a schema.
            damage = sqlite3.DatabaseError("the schema in the file is damaged")
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage from problem

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    event.listen(engine, "handle_error", _as_our_error)
    return engine


def _postgres_engine(url: URL) -> Engine:
    deadlines = Deadlines()
    engine = create_engine(
        url,
        pool_pre_ping=True,
        connect_args={
            **TCP,
            "application_name": "data-fetch",
            "connection_factory": timed_sessions(deadlines),
            "cursor_factory": TimedCursor,
        },
        execution_options={"deadlines": deadlines},
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        seconds = options.get("statement_seconds", READ_SECONDS)
        session = connection.connection.driver_connection
        assert isinstance(session, TimedSession)
        session.limit_seconds = inf if seconds == NO_LIMIT else seconds + GRACE_SECONDS
        if not session.autocommit:
            settings = _transaction_settings(seconds)
            if "begin" in options:
                settings = UNLIMITED_UNPACKING + settings
            connection.exec_driver_sql(settings)

    @event.listens_for(engine, "checkin")
    def checkin(session: DBAPIConnection | None, _: ConnectionPoolEntry) -> None:
        if isinstance(session, TimedSession):
            session.limit_seconds = USUAL_SECONDS

    event.listen(engine, "handle_error", _as_our_error)
    return engine


@cache
def _transaction_settings(statement_seconds: int) -> str:
    lock_seconds = LOCK_SECONDS if statement_seconds else NO_LIMIT
    return (
        "SET LOCAL TIME ZONE 'UTC';"
        f"SET LOCAL statement_timeout = '{statement_seconds}s';"
        f"SET LOCAL lock_timeout = '{lock_seconds}s';"
        f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
    )


def hurry(engine: Engine, seconds: float) -> None:
    """From now on no statement of *engine* may take longer than *seconds*, running ones either.

    SQLite has such a limit by itself: it waits for nothing but another program's lock.
    """
    deadlines = engine.get_execution_options().get("deadlines")
    if isinstance(deadlines, Deadlines):
        deadlines.hurry(seconds)


def _execute_all(connection: DBAPIConnection, statements: tuple[str, ...]) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


def _as_our_error(context: ExceptionContext) -> None:
    if context.engine is None or context.is_pre_ping:
        return
    problem = context.original_exception
    lost = context.is_disconnect or context.connection is None
    ours = database_error(context.engine.url, problem, lost=lost)
    if ours is not None:
        raise ours from problem


def is_postgres(of: Engine | Connection) -> bool:
    return of.dialect.name == "postgresql"
