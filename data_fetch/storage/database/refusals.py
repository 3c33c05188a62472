"""What a database refuses, as errors of ours: one table for each kind of database.

PostgreSQL names a refusal by its SQLSTATE, SQLite by its result code. An error that is in no table
is a fault of this program and keeps its traceback.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
from sqlalchemy import URL

from data_fetch.core.errors import (
    DataFetchError,
    SchemaDiffers,
    SetupError,
    StoreBusy,
    StoreRefused,
    StoreUnreachable,
)

# Those of libpq.
SECRET_PARAMETERS = ("password", "sslpassword", "oauth_client_secret")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The class of an error, its sentence and its fix.

    Both may name the {store}, its {user} and its {database}; the database's own message follows
    the sentence.
    """

    error: type[DataFetchError]
    sentence: str
    fix: str


NO_ANSWER = Refusal(
    StoreUnreachable,
    "the database {store} does not answer",
    "Start it, or correct DATABASE_URL; `data-fetch doctor` checks it.",
)
OUT_OF_TIME = Refusal(
    StoreUnreachable,
    "the database {store} ended a statement that took too long",
    "Try again; if it lasts, pg_stat_activity and pg_locks show what is in the way.",
)
LOCK_TAKEN = Refusal(
    StoreBusy,
    "the database {store} waited too long for a lock that another program has",
    "Try again; if it lasts, pg_stat_activity and pg_locks show that program.",
)
IN_THE_WAY = Refusal(
    StoreBusy,
    "the database {store} ended a transaction that was in the way of another",
    "Try again.",
)
TOO_MANY = Refusal(
    StoreUnreachable,
    "the database {store} takes no more connections",
    "Close some, or raise the limit: max_connections, ALTER ROLE or ALTER DATABASE ... "
    "CONNECTION LIMIT, the pooler's pool_size and max_client_conn.",
)
NO_PRIMARY = Refusal(
    StoreUnreachable,
    "none of the servers of {store} can be written to",
    "Promote one of them, or name the primary server in DATABASE_URL.",
)
STARTING = Refusal(
    StoreUnreachable,
    "the database {store} is starting or shutting down",
    "Try again in a moment.",
)
CLOSED = Refusal(
    StoreUnreachable,
    "the database {store} is closed to connections",
    'Have an administrator run: ALTER DATABASE "{database}" ALLOW_CONNECTIONS true; or, at a '
    "pooler: RESUME or ENABLE.",
)
NO_OPTION = Refusal(
    SetupError,
    "the pooler at {store} refuses an option of the connection",
    "Take it out of DATABASE_URL, or name it in the pooler's ignore_startup_parameters.",
)
NO_ROLE = Refusal(
    StoreUnreachable,
    "the database {store} does not let the role in",
    "Correct the user in DATABASE_URL, or let it in: pg_hba.conf, ALTER ROLE ... LOGIN.",
)
NO_RIGHT = Refusal(
    StoreRefused,
    "the database {store} refuses a right",
    'Have the owner run: GRANT USAGE, CREATE ON SCHEMA public TO "{user}"; '
    'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{user}"; -- or use the owner\'s role',
)
NO_ROOM = Refusal(
    StoreRefused,
    "the database {store} has no room left",
    "Free space on its disk; then it goes on by itself.",
)
NO_RESOURCES = Refusal(
    StoreRefused,
    "the database {store} has reached a limit of its server",
    "Free memory or raise the limit that it names, then try again.",
)
NOT_OUR_SCHEMA = Refusal(
    SchemaDiffers,
    "{store} does not have the tables of this version",
    "Run `data-fetch db upgrade`, or name a store of data-fetch in DATABASE_URL.",
)
DAMAGED = Refusal(
    StoreRefused,
    "the database {store} is damaged",
    "Have its administrator check the server and its disk; restore a backup if need be.",
)

# By SQLSTATE; by its first two characters where all of a class are alike.
POSTGRES: Mapping[str, Refusal] = {
    "08": NO_ANSWER,
    "25006": Refusal(
        StoreRefused,
        "the database {store} is read-only",
        "Name the primary server in DATABASE_URL, or have an administrator run: "
        'ALTER DATABASE "{database}" SET default_transaction_read_only = off;',
    ),
    "25P03": OUT_OF_TIME,
    "25P04": OUT_OF_TIME,
    "28000": NO_ROLE,
    "28P01": Refusal(
        StoreUnreachable,
        "the database {store} rejects the password",
        "Correct user and password in DATABASE_URL.",
    ),
    "3D000": Refusal(
        StoreUnreachable,
        "there is no database {store}",
        "Create it, with its schema: data-fetch db upgrade",
    ),
    "40001": IN_THE_WAY,
    "40P01": IN_THE_WAY,
    "3F000": NO_RIGHT,
    "42501": NO_RIGHT,
    "42703": NOT_OUR_SCHEMA,
    "42P01": NOT_OUR_SCHEMA,
    "42P07": NOT_OUR_SCHEMA,
    "53": NO_RESOURCES,
    "53100": NO_ROOM,
    "53300": TOO_MANY,
    "54": NO_RESOURCES,
    "55006": LOCK_TAKEN,
    "55P03": LOCK_TAKEN,
    "57014": OUT_OF_TIME,
    "57P01": NO_ANSWER,
    "57P02": NO_ANSWER,
    "57P03": STARTING,
    "57P04": NO_ANSWER,
    "57P05": NO_ANSWER,
    "58": DAMAGED,
    "XX": DAMAGED,
}
# The driver has no SQLSTATE for what is refused while connecting, only the server's text; and
# pgbouncer has one for everything that it refuses itself.
BY_TEXT: Sequence[tuple[str, Refusal]] = (
    (r"password authentication failed|no password supplied|SASL authentication", POSTGRES["28P01"]),
    (r'database ".*" does not exist|no such database', POSTGRES["3D000"]),
    (r"too many (clients|connections)|connection slots are reserved|no more conn", TOO_MANY),
    (r"query_wait_timeout", TOO_MANY),
    (r"not currently accepting connections|is disabled|does not allow connections", CLOSED),
    (r"starting up|shutting down|recovery mode|not (yet )?accepting connections", STARTING),
    (r"permission denied for database", NO_RIGHT),
    (r'role ".*" does not exist|pg_hba.conf|not permitted to log in', NO_ROLE),
    (r"unsupported startup parameter", NO_OPTION),
    (r"authentication failed|no such user", NO_ROLE),
    (r"session is (read-only|not read-only)|server is (not )?in hot standby", NO_PRIMARY),
)
POOLER = "08P01"

LOCKED = Refusal(
    StoreBusy,
    "another program has locked {store} for too long",
    "Close it, then try again.",
)
UNUSABLE_FILE = Refusal(
    SetupError,
    "{store} cannot be used as a store",
    "Fix the file's permissions, or name another file in DATABASE_URL.",
)
FAILING_DISK = Refusal(
    StoreRefused,
    "the disk of {store} fails",
    "Check that it works and has room, or name a file on another one in DATABASE_URL.",
)

# By result code; extended codes count as their primary one.
SQLITE: Mapping[int, Refusal] = {
    sqlite3.SQLITE_PERM: UNUSABLE_FILE,
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_NOMEM: NO_RESOURCES,
    sqlite3.SQLITE_READONLY: Refusal(
        StoreRefused,
        "{store} is read-only",
        "Let this user write the file and its folder, or name another file in DATABASE_URL.",
    ),
    sqlite3.SQLITE_IOERR: FAILING_DISK,
    sqlite3.SQLITE_CORRUPT: Refusal(
        StoreRefused,
        "{store} is damaged",
        "Save what can be read (sqlite3 {store} .recover | sqlite3 saved.db) and name that file "
        "in DATABASE_URL, or restore a backup.",
    ),
    sqlite3.SQLITE_FULL: Refusal(
        StoreRefused,
        "the disk of {store} has no room left",
        "Free space on it; then it goes on by itself.",
    ),
    sqlite3.SQLITE_CANTOPEN: UNUSABLE_FILE,
    sqlite3.SQLITE_PROTOCOL: Refusal(
        SetupError,
        "{store} cannot be locked",
        "Name a file on a local disk in DATABASE_URL: network drives do not lock reliably.",
    ),
    sqlite3.SQLITE_NOLFS: FAILING_DISK,
    sqlite3.SQLITE_AUTH: UNUSABLE_FILE,
    sqlite3.SQLITE_NOTADB: UNUSABLE_FILE,
}
# These have the code of every faulty statement.
SQLITE_BY_TEXT = (
    (r"no such (table|column)|has no column|table .* already exists", NOT_OUR_SCHEMA),
    # Its header has a format number that this SQLite does not know.
    ("unsupported file format", UNUSABLE_FILE),
)


def database_error(url: URL, problem: BaseException, *, lost: bool) -> DataFetchError | None:
    """The error of ours for a *problem* that a driver raised; None for a fault of this program.

    With *lost* there is no connection, or none any more. Passwords are masked.
    """
    refusal = next(_refusals(problem), NO_ANSWER if lost else None)
    if refusal is None:
        return None
    names = {
        "store": url.database if url.get_backend_name() == "sqlite" else shown(url),
        "user": url.username or "the role",
        "database": url.database or "",
    }
    message = _masked(" ".join(str(problem).split()), url)
    return refusal.error(
        f"{refusal.sentence.format_map(names)} ({message})", hint=refusal.fix.format_map(names)
    )


def shown(url: URL) -> str:
    """The URL without driver and passwords."""
    plain = url.set(drivername=url.get_backend_name())
    return plain.difference_update_query(SECRET_PARAMETERS).render_as_string(hide_password=True)


def _refusals(problem: BaseException) -> Iterator[Refusal]:
    """What the tables have for *problem*, the most special first."""
    if isinstance(problem, sqlite3.Error):
        code = getattr(problem, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in SQLITE:
            yield SQLITE[code & 0xFF]
        else:
            yield from (each for text, each in SQLITE_BY_TEXT if re.search(text, str(problem)))
    elif isinstance(problem, UnicodeDecodeError):
        # SQLite stores no text that is not UTF-8.
        yield SQLITE[sqlite3.SQLITE_CORRUPT]
    elif isinstance(problem, psycopg2.Error):
        state = problem.pgcode or ""
        if state in {"", POOLER}:
            yield from (refusal for text, refusal in BY_TEXT if re.search(text, str(problem)))
        yield from (POSTGRES[each] for each in (state, state[:2]) if each in POSTGRES)


def _masked(message: str, url: URL) -> str:
    secrets: Sequence[Any] = (url.password, *map(url.query.get, SECRET_PARAMETERS))
    for secret in filter(None, secrets):
        message = message.replace(str(secret), "***")
    return message
