"""What the programs write can be read by its owner only, under the usual umask."""

import os
import re
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from effort import PATIENCE_SECONDS
from programs import Desk, end, paper_exchange

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.name != "posix", reason="elsewhere files have no such modes"),
]
# Meant to be read: what the user wrote.
OPEN = {"nse_fo_stock_symbols.txt"}
# DuckDB makes it by itself. It has the paths of files, and is closed before it gets its name.
DUCKDB_DRAFT = re.compile(r".*\.duckdb\.[0-9a-f]{8}\.unfinished(\..*)?")
ADDED = (
    ("accounts", "add", "trader@example.com", "--name", "Trader"),
    ("accounts", "keys", "add", "trader@example.com", "--name", "script", "--scope", "read"),
    ("backup", "create"),
)
PASSWORD = "correct horse battery\n"


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    return sorted(
        str(each.relative_to(folder))
        for each in folder.rglob("*")
        if mode_of(each) & 0o077 and each.name not in OPEN and not DUCKDB_DRAFT.fullmatch(each.name)
    )


def mode_of(path: Path) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        # A draft that has got its name since.
        return 0


def await_file(path: Path) -> None:
    end_of_patience = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert time.monotonic() < end_of_patience, path
        time.sleep(0.1)


def test_only_the_owner_can_read_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "exchange").mkdir()
    (tmp_path / "desk").mkdir()
    with paper_exchange(tmp_path / "exchange", "2026-09-16T09:15:50", speed=30) as url:
        desk = Desk.at(
            tmp_path / "desk",
            DATA_SOURCE="paper",
            UPSTOX_BASE_URL=url,
            API_AUTHENTICATION="on",
            ARCHIVE_ENABLED="true",
            FEED_ENABLED="true",
            FEED_RECORDING_DAYS="1",
        )
        (desk.folder / ".env").write_text("LOG_LEVEL=INFO\n")
        platform = desk.start("up", "--api-port", "0", "--dashboard-port", "0")
        assert platform.stdout is not None
        assert platform.stdout.readline()
        # The archiver starts last.
        await_file(desk.folder / "data" / "options_parquet")
        while_running = open_to_others(desk.folder)
        for command in ADDED:
            done = desk.run(*command, stdin=PASSWORD)
            assert done.returncode == 0, done.stderr
        end(platform, signal.SIGTERM)

    assert while_running == []
    assert open_to_others(desk.folder) == []
    written = {each.name for each in desk.folder.rglob("*")}
    assert {"paper.db", "data_scheduler.log", "vault", "backups", "instruments", "feed"} <= written
    assert {"jwt_secret", "api.log", "dashboard.log", "options_parquet"} <= written
    assert (desk.folder / "state").is_dir()


def test_files_of_an_older_version_are_closed_when_they_are_opened(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path, DATA_SOURCE="paper")
    assert desk.run("db", "upgrade").returncode == 0
    store = tmp_path / "data" / "paper.db"
    store.chmod(0o644)

    assert desk.run("status").returncode == 0

    assert stat.S_IMODE(store.stat().st_mode) == 0o600
