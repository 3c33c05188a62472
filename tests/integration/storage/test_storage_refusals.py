"""What a database refuses is an error of ours, with its class, its cause and its fix."""

import socket
import sqlite3
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from servers import LOOPBACK, database_on
from sqlalchemy import Engine, make_url, text

from data_fetch.core.errors import DataFetchError, SetupError, StoreRefused, StoreUnreachable
from data_fetch.core.world import World
from data_fetch.storage.database import engine as engines
from data_fetch.storage.database.engine import engine_for, reading, writing
from data_fetch.storage.database.refusals import database_error
from data_fetch.storage.database.store import open_store

SOMETHING = text("INSERT INTO store_meta (name, value) VALUES ('a', 'b')")


def administer(url: str, *statements: str) -> None:
    with closing(psycopg2.connect(plain(url))) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def role(postgres_server: str) -> Iterator[str]:
    """A role without any right of its own."""
    name = f"data_fetch_test_{uuid.uuid4().hex[:12]}"
    administer(postgres_server, f"CREATE ROLE {name} LOGIN PASSWORD 's3cret'")
    yield name
    administer(postgres_server, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def as_role(url: str, role: str) -> str:
    return make_url(url).set(username=role, password="s3cret").render_as_string(False)


def write(url: str) -> None:
    engine = engine_for(url)
    try:
        with writing(engine) as connection:
            connection.execute(SOMETHING)
    finally:
        engine.dispose()


def test_a_role_without_rights_to_the_schema_is_refused_with_the_grant(
    postgres_server: str, role: str
) -> None:
    with database_on(postgres_server) as url:
        with pytest.raises(StoreRefused, match="refuses a right") as refusal:
            open_store(as_role(url, role), World.PAPER)
        assert f'TO "{role}"' in refusal.value.hint
        assert "s3cret" not in str(refusal.value)
        administer(url, f"GRANT USAGE, CREATE ON SCHEMA public TO {role}")
        open_store(as_role(url, role), World.PAPER).close()


def test_a_role_without_rights_to_a_table_is_refused(
    postgres_server: str, empty_postgres_url: str, role: str
) -> None:
    open_store(empty_postgres_url, World.PAPER).close()
    with pytest.raises(StoreRefused, match="permission denied for table"):
        open_store(as_role(empty_postgres_url, role), World.PAPER)
    administer(empty_postgres_url, f"DROP OWNED BY {role}")


def test_a_read_only_database_is_named_with_its_cure(empty_postgres_url: str) -> None:
    name = make_url(empty_postgres_url).database
    open_store(empty_postgres_url, World.PAPER).close()
    administer(empty_postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    with pytest.raises(StoreRefused, match="is read-only") as refusal:
        write(empty_postgres_url)

    assert f'ALTER DATABASE "{name}"' in refusal.value.hint


def test_too_many_connections(empty_postgres_url: str, role: str) -> None:
    name = make_url(empty_postgres_url).database
    administer(empty_postgres_url, f"ALTER DATABASE {name} CONNECTION LIMIT 0")

    with pytest.raises(StoreUnreachable, match="takes no more connections"):
        write(as_role(empty_postgres_url, role))


def test_a_missing_database_and_a_missing_role(postgres_server: str) -> None:
    missing = make_url(postgres_server).set(database="data_fetch_missing")
    with pytest.raises(StoreUnreachable, match="there is no database") as refusal:
        write(missing.render_as_string(False))
    assert "data-fetch db upgrade" in refusal.value.hint

    nobody = make_url(postgres_server).set(username="data_fetch_nobody", password="s3cret")
    with pytest.raises(StoreUnreachable, match="does not let the role in") as refusal:
        write(nobody.render_as_string(False))
    assert "s3cret" not in str(refusal.value)


def write_with(engine: Engine, setting: str) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql(setting)
        connection.execute(SOMETHING)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("SET LOCAL statement_timeout = '50ms'", "ended a statement that took too long"),
        ("SET LOCAL lock_timeout = '50ms'", "ended a statement that took too long"),
    ],
)
def test_a_time_limit_is_not_called_no_answer(
    postgres_url: str, setting: str, sentence: str
) -> None:
    engine = engine_for(postgres_url)
    with closing(psycopg2.connect(plain(postgres_url))) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE store_meta")
        with pytest.raises(StoreUnreachable, match=sentence):
            write_with(engine, setting)
    engine.dispose()


# How PostgreSQL reports what no test can bring about on a server of everybody's.
STATES = [
    pytest.param("40P01", StoreUnreachable, "in the way", id="deadlock"),
    pytest.param("40001", StoreUnreachable, "in the way", id="serialization"),
    pytest.param("53100", StoreRefused, "has no room left", id="disk full"),
    pytest.param("53200", StoreRefused, "reached a limit", id="out of memory"),
    pytest.param("57P01", StoreUnreachable, "does not answer", id="shut down"),
    pytest.param("58030", StoreRefused, "is damaged", id="I/O error"),
    pytest.param("XX001", StoreRefused, "is damaged", id="data corrupted"),
    pytest.param("42P01", SetupError, "does not have the tables", id="undefined table"),
]


@pytest.mark.parametrize(("state", "error", "sentence"), STATES)
def test_each_sqlstate_has_its_class_and_its_sentence(
    postgres_url: str, state: str, error: type[DataFetchError], sentence: str
) -> None:
    engine = engine_for(postgres_url)
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'as it were' USING ERRCODE = '{state}'; END $$"

    with pytest.raises(error, match=sentence) as refusal, writing(engine) as connection:
        connection.exec_driver_sql(raising)

    assert type(refusal.value) is error
    assert "as it were" in refusal.value.message
    assert refusal.value.hint
    engine.dispose()


@contextmanager
def refusing_server(state: str, message: str) -> Iterator[str]:
    """A server that ends every connection with an error, as PostgreSQL reports it."""
    fields = f"SFATAL\0VFATAL\0C{state}\0M{message}\0\0".encode()
    response = b"E" + struct.pack(">i", len(fields) + 4) + fields
    with socket.create_server((LOOPBACK, 0)) as server:
        threading.Thread(target=_refuse_all, args=(server, response), daemon=True).start()
        yield f"postgresql://someone:s3cret@{LOOPBACK}:{server.getsockname()[1]}/market"
        server.shutdown(socket.SHUT_RDWR)


def _refuse_all(server: socket.socket, response: bytes) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            # A request for encryption comes first; "N" declines it.
            if client.recv(8)[4:] == struct.pack(">i", 80877103):
                client.sendall(b"N")
            client.recv(4096)
            client.sendall(response)


@pytest.mark.parametrize(
    ("state", "message", "sentence"),
    [
        ("28P01", 'password authentication failed for user "someone"', "rejects the password"),
        ("57P03", "the database system is starting up", "is starting or shutting down"),
        ("57P03", "the database system is shutting down", "is starting or shutting down"),
        ("53300", "sorry, too many clients already", "takes no more connections"),
        ("28000", 'no pg_hba.conf entry for host "::1"', "does not let the role in"),
        ("XX000", "something else altogether", "does not answer"),
    ],
)
def test_what_is_refused_while_connecting(state: str, message: str, sentence: str) -> None:
    with (
        refusing_server(state, message) as url,
        pytest.raises(StoreUnreachable, match=sentence) as refusal,
    ):
        open_store(url, World.PAPER)

    assert message in refusal.value.message
    assert "s3cret" not in str(refusal.value)


def test_a_fault_of_ours_keeps_its_traceback(database_url: str) -> None:
    engine = engine_for(database_url)
    with pytest.raises(Exception, match="syntax") as fault, reading(engine) as connection:
        connection.exec_driver_sql("SELEKT 1")
    assert not isinstance(fault.value, DataFetchError)
    engine.dispose()


def damage(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xff" * 40_000)


def as_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def as_foreign_file(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE instruments (something)")
        other.commit()


def read_quotes(url: str) -> None:
    store = open_store(url, World.PAPER)
    with store.reading() as connection:
        connection.execute(text("SELECT * FROM ltp_data, candles")).all()


@pytest.mark.parametrize(
    ("spoil", "error", "sentence"),
    [
        (damage, StoreRefused, "is damaged"),
        (as_directory, SetupError, "cannot be used as a store"),
        (as_foreign_file, SetupError, "does not have the tables of this version"),
    ],
)
def test_a_sqlite_file_that_is_no_store(
    sqlite_url: str, spoil: Callable[[Path], None], error: type[DataFetchError], sentence: str
) -> None:
    file = Path(make_url(sqlite_url).database or "")
    spoil(file)

    with pytest.raises(error, match=sentence) as refusal:
        read_quotes(sqlite_url)

    assert str(file) in refusal.value.message
    assert refusal.value.hint


def fill(url: str) -> None:
    """Write more than the file may hold: the same error as that of a full disk."""
    engine = engine_for(url)
    with closing(engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA max_page_count = 1")
    rows = [(f"n{number}", "v" * 400) for number in range(2000)]
    with writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO store_meta (name, value) VALUES (?, ?)", rows)


def test_a_sqlite_disk_without_room(sqlite_url: str) -> None:
    with pytest.raises(StoreRefused, match="no room left"):
        fill(sqlite_url)


def test_a_locked_sqlite_file_can_be_tried_again(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0)
    with closing(sqlite3.connect(make_url(sqlite_url).database or "")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnreachable, match="another program has locked"):
            write(sqlite_url)


@pytest.mark.parametrize(
    ("code", "error", "sentence"),
    [
        ("SQLITE_IOERR_WRITE", StoreRefused, "the disk of .* fails"),
        ("SQLITE_PROTOCOL", SetupError, "cannot be locked"),
        ("SQLITE_READONLY_DBMOVED", SetupError, "cannot be used as a store"),
        ("SQLITE_CANTOPEN_ISDIR", SetupError, "cannot be used as a store"),
        ("SQLITE_BUSY_SNAPSHOT", StoreUnreachable, "has locked"),
        ("SQLITE_CORRUPT_INDEX", StoreRefused, "is damaged"),
    ],
)
def test_each_result_code_has_its_class_and_its_sentence(
    code: str, error: type[DataFetchError], sentence: str
) -> None:
    problem = sqlite3.OperationalError("as the driver has it")
    problem.sqlite_errorcode = getattr(sqlite3, code)

    found = database_error(make_url("sqlite:///folder/file.db"), problem, lost=False)

    assert type(found) is error
    with pytest.raises(error, match=sentence):
        raise found
