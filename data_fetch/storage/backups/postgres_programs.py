"""Runs `pg_dump` and `pg_restore`. No password is on a command line or in an error."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import URL, Connection

from data_fetch.core.errors import StoreRefused
from data_fetch.storage.database.refusals import SECRET_PARAMETERS

DUMP, RESTORE, PASSWORD = "pg_dump", "pg_restore", "password"
LOCK_WAIT = "20s"


def can_dump(connection: Connection) -> bool:
    """Whether `pg_dump` is here and fits the server: it reads older servers, not newer ones.

    A secret other than the password has no place outside its command line.
    """
    secrets = set(SECRET_PARAMETERS) - {PASSWORD}
    server = connection.dialect.server_version_info
    return (
        secrets.isdisjoint(connection.engine.url.query)
        and server is not None
        and _major_version(DUMP) >= int(server[0])
    )


def can_restore(file: Path) -> bool:
    """Whether `pg_restore` is here and can read the dump in *file*."""
    return _major_version(RESTORE) > 0 and _run([RESTORE, "--list", str(file)]).returncode == 0


@contextmanager
def dumping(url: URL, snapshot: str, to: Path) -> Iterator[None]:
    """Let `pg_dump` write the exported *snapshot* to a file, beside the work in the block.

    Raises StoreRefused with its last message if it fails.
    """
    command = [
        DUMP,
        "--format=custom",
        # The level of the default takes four times as long for a tenth of the size.
        "--compress=1",
        "--no-password",
        f"--lock-wait-timeout={LOCK_WAIT}",
        f"--snapshot={snapshot}",
        f"--dbname={_without_password(url)}",
    ]
    # Opened here: a pg_dump that outlives a killed backup cannot open the file of the next one.
    with to.open("wb") as written:
        process = subprocess.Popen(
            command,
            env=_environment(url),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        yield
        _, errors = process.communicate()
    except BaseException:
        # An interruption too: the file is of no use any more.
        process.kill()
        process.communicate()
        raise
    _refuse_failure(DUMP, url, process.returncode, errors)


def restore_dump(file: Path, url: URL, without: str) -> None:
    """Load the dump in *file* in one transaction, but for the table *without*.

    Raises StoreRefused if that fails.
    """
    entries = _run([RESTORE, "--list", str(file)]).stdout.splitlines()
    with TemporaryDirectory() as folder:
        wanted = Path(folder, "entries")
        wanted.write_text("\n".join(one for one in entries if without not in one.split()))
        done = _run(
            [
                RESTORE,
                "--single-transaction",
                "--no-owner",
                "--no-privileges",
                "--no-password",
                f"--use-list={wanted}",
                f"--dbname={_without_password(url)}",
                str(file),
            ],
            _environment(url),
        )
    _refuse_failure(RESTORE, url, done.returncode, done.stderr)


def _major_version(program: str) -> int:
    """Of a program on PATH; 0 if it is not there."""
    if shutil.which(program) is None:
        return 0
    found = re.search(r"\) (\d+)", _run([program, "--version"]).stdout)
    return 0 if found is None else int(found[1])


def _run(
    command: Sequence[str], environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _environment(url: URL) -> dict[str, str]:
    password = url.password or url.query.get(PASSWORD)
    return {**os.environ, "PGPASSWORD": str(password)} if password else dict(os.environ)


def _without_password(url: URL) -> str:
    bare = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    return bare.difference_update_query([PASSWORD]).render_as_string()


def _refuse_failure(program: str, url: URL, status: int, errors: str) -> None:
    if status == 0:
        return
    lines = errors.strip().splitlines() or [f"it ended with status {status}"]
    message = lines[-1]
    for secret in filter(None, (url.password, url.query.get(PASSWORD))):
        message = message.replace(str(secret), "***")
    raise StoreRefused(
        f"{program} failed: {message}",
        hint="Free space or fix the right that it names, then try again.",
    )
