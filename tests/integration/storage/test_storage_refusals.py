"""What a database refuses is an error of ours, with what to do about it, in every command."""

import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from sqlalchemy import Connection, make_url
from sqlalchemy.exc import DBAPIError, ProgrammingError

from data_fetch.cli.main import main
from data_fetch.core.errors import (
    DataFetchError,
    SchemaDiffers,
    SetupError,
    StoreBusy,
    StoreRefused,
    StoreUnreachable,
)
from data_fetch.core.world import World
from data_fetch.storage.database.copying import run_copy
from data_fetch.storage.database.engine import engine_for, writing
from data_fetch.storage.database.refusals import POSTGRES, database_error
from data_fetch.storage.database.store import open_store

SECRET = "S3cret@Tail99"


def execute(url: str, *statements: str) -> None:
    engine = engine_for(url)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture
def role_url(postgres_url: str) -> Iterator[str]:
    """The store as a role sees it that may log in and nothing else."""
    name = f"refusals_{uuid4().hex[:12]}"
    execute(postgres_url, f"CREATE ROLE {name} LOGIN")
    yield make_url(postgres_url).set(username=name).render_as_string(hide_password=False)
    execute(postgres_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def refusal_of(url: str, statement: str) -> DataFetchError:
    engine = engine_for(url)
    try:
        with pytest.raises(DataFetchError) as refused, writing(engine) as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()
    return refused.value


@pytest.mark.parametrize(
    ("state", "error", "sentence"),
    [
        pytest.param("25006", StoreRefused, "is read-only", id="read-only"),
        pytest.param("28000", StoreUnreachable, "does not let the role in", id="role"),
        pytest.param("28P01", StoreUnreachable, "rejects the password", id="password"),
        pytest.param("3D000", StoreUnreachable, "there is no database", id="database"),
        pytest.param("40001", StoreBusy, "in the way of another", id="serialization"),
        pytest.param("40P01", StoreBusy, "in the way of another", id="deadlock"),
        pytest.param("42501", StoreRefused, "refuses a right", id="no right"),
        pytest.param("42P01", SchemaDiffers, "does not have the tables", id="no table"),
        pytest.param("42703", SchemaDiffers, "does not have the tables", id="no column"),
        pytest.param("53100", StoreRefused, "has no room left", id="disk full"),
        pytest.param("53200", StoreRefused, "limit of its server", id="out of memory"),
        pytest.param("53300", StoreUnreachable, "takes no more connections", id="connections"),
        pytest.param("54000", StoreRefused, "limit of its server", id="program limit"),
        pytest.param("55P03", StoreBusy, "waited too long for a lock", id="lock timeout"),
        pytest.param("57014", StoreUnreachable, "took too long", id="statement timeout"),
        pytest.param("57P03", StoreUnreachable, "starting or shutting down", id="starting"),
        pytest.param("58030", StoreRefused, "is damaged", id="I/O error of the server"),
        pytest.param("XX001", StoreRefused, "is damaged", id="data corrupted"),
    ],
)
def test_a_refusal_of_postgres_by_its_state(
    postgres_url: str, state: str, error: type[DataFetchError], sentence: str
) -> None:
    raised = f"DO $$ BEGIN RAISE EXCEPTION 'as it happens' USING ERRCODE = '{state}'; END $$"

    problem = refusal_of(postgres_url, raised)

    assert type(problem) is error
    assert sentence in problem.message
    assert "as it happens" in problem.message
    assert problem.hint


def test_only_what_is_in_no_table_keeps_its_traceback(postgres_url: str) -> None:
    engine = engine_for(postgres_url)
    with pytest.raises(ProgrammingError), writing(engine) as connection:
        connection.exec_driver_sql("SELEC 1")
    engine.dispose()
    assert not {"42601", "42", "22", "23"} & POSTGRES.keys()


def test_a_connection_that_is_lost_does_not_answer(postgres_url: str) -> None:
    problem = refusal_of(postgres_url, "SELECT pg_terminate_backend(pg_backend_pid())")

    assert type(problem) is StoreUnreachable
    assert "does not answer" in problem.message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('FATAL:  password authentication failed for user "desk"', "rejects the password"),
        ("fe_sendauth: no password supplied", "rejects the password"),
        ('FATAL:  database "market" does not exist', "there is no database"),
        ("FATAL:  sorry, too many clients already", "takes no more connections"),
        ("FATAL:  remaining connection slots are reserved for roles", "takes no more connections"),
        ("FATAL:  the database system is starting up", "starting or shutting down"),
        ("FATAL:  the database system is in recovery mode", "starting or shutting down"),
        ('FATAL:  role "desk" does not exist', "does not let the role in"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.7"', "does not let the role in"),
        ('FATAL:  database "market" is not currently accepting connections', "is closed"),
        ("FATAL:  the database system is not yet accepting connections", "starting or shutting"),
        ("session is read-only", "none of the servers"),
        ("could not connect to server: Connection refused", "does not answer"),
        # Of pgbouncer.
        ("FATAL:  query_wait_timeout", "takes no more connections"),
        ("FATAL:  no more connections allowed (max_client_conn)", "takes no more connections"),
        ("FATAL:  server login has been failing, try again later", "does not answer"),
        ("FATAL:  unsupported startup parameter: options", "refuses an option"),
        ('FATAL:  database "market" is disabled', "is closed"),
        ("FATAL:  no such database: market", "there is no database"),
        ("FATAL:  no such user: desk", "does not let the role in"),
    ],
)
def test_a_refusal_while_connecting_by_its_text(text: str, sentence: str) -> None:
    """libpq has no state for it."""
    url = make_url("postgresql://desk@db.example/market").set(password=SECRET)

    problem = database_error(
        url, psycopg2.OperationalError(f"{text} (tried with {SECRET})"), lost=True
    )

    assert problem is not None
    assert sentence in problem.message
    assert SECRET not in str(problem)
    assert "Tail99" not in str(problem)


# --- provoked ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "error", "sentence"),
    [
        pytest.param(
            "SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(60)",
            StoreUnreachable,
            "ended a statement that took too long",
            id="statement timeout",
        ),
        pytest.param(
            "SET LOCAL temp_file_limit = 0; SET LOCAL work_mem = '64kB';"
            "SELECT md5(n::text) FROM generate_series(1, 99999) AS n ORDER BY 1",
            StoreRefused,
            "has reached a limit of its server",
            id="a limit of files",
        ),
        pytest.param(
            "SET TRANSACTION READ ONLY; CREATE TABLE refused (n integer)",
            StoreRefused,
            "is read-only",
            id="read-only",
        ),
        pytest.param(
            "SELECT * FROM no_table_of_ours", SchemaDiffers, "does not have the tables", id="table"
        ),
    ],
)
def test_what_the_server_refuses(
    postgres_url: str, statement: str, error: type[DataFetchError], sentence: str
) -> None:
    problem = refusal_of(postgres_url, statement)

    assert type(problem) is error
    assert sentence in problem.message


def test_a_lock_that_another_program_has(postgres_url: str) -> None:
    other = engine_for(postgres_url)
    with writing(other) as holder:
        holder.exec_driver_sql("LOCK TABLE ltp_data")
        problem = refusal_of(
            postgres_url, "SET LOCAL lock_timeout = '20ms'; SELECT count(*) FROM ltp_data"
        )
    other.dispose()

    assert type(problem) is StoreBusy
    assert "waited too long for a lock" in problem.message


def test_two_transactions_that_cannot_be_put_in_order(postgres_url: str) -> None:
    execute(postgres_url, "CREATE TABLE counted AS SELECT 1 AS n")
    engine = engine_for(postgres_url).execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as late:
        late.exec_driver_sql("SELECT n FROM counted")
        execute(postgres_url, "UPDATE counted SET n = 2")
        with pytest.raises(StoreBusy, match="in the way of another"):
            late.exec_driver_sql("UPDATE counted SET n = 3")
    engine.dispose()


def test_a_copy_names_what_is_refused(postgres_url: str) -> None:
    """Not only a lost server ends a COPY."""
    engine = engine_for(postgres_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = '20ms'")
        with pytest.raises(StoreUnreachable, match="took too long"):
            run_copy(connection, "COPY (SELECT pg_sleep(60)) TO STDOUT", BytesIO())
    engine.dispose()


FILLER = "CREATE TABLE filler AS SELECT repeat(md5(n::text), 60) FROM generate_series(1, 9999) AS n"


def test_a_full_disk_of_the_server(postgres_url: str, small_disk: str) -> None:
    problem = refusal_of(postgres_url, f"SET LOCAL default_tablespace = {small_disk}; {FILLER}")

    assert type(problem) is StoreRefused
    assert "has no room left" in problem.message
    assert "goes on by itself" in problem.hint


@pytest.fixture
def small_disk(postgres_url: str) -> Iterator[str]:
    """A tablespace on a disk of two megabytes."""
    name, folder = f"small_{uuid4().hex[:12]}", Path(tempfile.mkdtemp())
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("a disk can be mounted by root only")
    place = folder / "space"
    place.mkdir()
    try:
        shutil.chown(place, "postgres")
        folder.chmod(0o755)
        execute(postgres_url, f"CREATE TABLESPACE {name} LOCATION '{place}'")
        yield name
        execute(postgres_url, f"DROP TABLESPACE {name}")
    except (LookupError, StoreRefused, DBAPIError):
        pytest.skip("the server runs elsewhere, or as another user")
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


@pytest.mark.parametrize("right", ["USAGE", None], ids=str)
def test_a_role_without_rights_on_the_schema(
    role_url: str, postgres_url: str, right: str | None
) -> None:
    execute(postgres_url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    if right:
        execute(postgres_url, f"GRANT {right} ON SCHEMA public TO PUBLIC")

    with pytest.raises(StoreRefused, match="refuses a right") as refused:
        open_store(role_url, World.PAPER)

    assert f'TO "{make_url(role_url).username}"' in refused.value.hint


def test_a_role_beyond_its_limit_of_connections(role_url: str, postgres_url: str) -> None:
    execute(postgres_url, f"ALTER ROLE {make_url(role_url).username} CONNECTION LIMIT 0")

    with pytest.raises(StoreUnreachable, match="takes no more connections"):
        open_store(role_url, World.PAPER)


def fill(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE filler AS SELECT randomblob(1000000) AS bytes")


def test_a_full_disk_of_sqlite(sqlite_url: str) -> None:
    """A limit of the file stands for one of the disk: SQLite's error is the same."""
    engine = engine_for(sqlite_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        with pytest.raises(StoreRefused, match="no room left") as refused:
            fill(connection)
    engine.dispose()
    assert "Free space" in refused.value.hint


def damage(file: Path) -> None:
    stored = bytearray(file.read_bytes())
    stored[4096:] = b"\xa5" * (len(stored) - 4096)
    file.write_bytes(stored)


def damage_schema(file: Path) -> None:
    """SQLite's message about it is no text."""
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE", b"CREATE \xffABLE"))


def raise_format(file: Path) -> None:
    """The format number of its schema, in the header, is none that SQLite knows."""
    content = bytearray(file.read_bytes())
    content[47] = 255
    file.write_bytes(content)


def make_foreign(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE ltp_data (price REAL)")


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(damage, StoreRefused, id="damaged"),
        pytest.param(damage_schema, StoreRefused, id="damaged schema"),
        pytest.param(lambda file: file.write_bytes(b"no database" * 400), SetupError, id="no db"),
        pytest.param(raise_format, SetupError, id="a later format"),
        pytest.param(make_foreign, SetupError, id="another program's"),
    ],
)
def test_a_file_that_is_no_store(
    sqlite_url: str, spoil: object, error: type[DataFetchError]
) -> None:
    file = Path(make_url(sqlite_url).database or "")
    assert callable(spoil)
    spoil(file)

    with pytest.raises(error) as refused:
        open_store(sqlite_url, World.PAPER)

    assert file.name in refused.value.message
    assert refused.value.hint


COMMANDS = [
    ["run", "--minutes", "1"],
    ["collect"],
    ["backfill", "--symbols", "TCS", "--days", "2"],
    ["coverage"],
    ["gaps"],
    ["audit"],
    ["candles", "diff", "--date", "2026-09-14"],
    ["chain", "collect"],
    ["chain", "show", "NIFTY"],
    ["symbols", "list"],
    ["status"],
    ["freshness"],
    ["db", "upgrade"],
]


def test_doctor_notices_a_database_that_is_read_only(
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = make_url(postgres_url).database
    execute(postgres_url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    with pytest.raises(SystemExit) as end:
        main(["doctor"])
    # The database is used again.
    writable = f'ALTER DATABASE "{name}" RESET default_transaction_read_only'
    execute(postgres_url, "SET default_transaction_read_only = off", writable)

    assert end.value.code != 0
    assert "is read-only" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_names_the_refusal(
    arguments: list[str],
    role_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A role that may log in, and read no table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", role_url)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "nse_fo_stock_symbols.txt").write_text("TCS\nNIFTY\n")

    with pytest.raises(SystemExit) as end:
        main(arguments)

    printed = capsys.readouterr().err
    assert end.value.code == 4
    assert "refuses a right" in printed
    assert "GRANT" in printed
