"""`OptionsThreadedManager`, as documented."""

from pathlib import Path

import duckdb
import pytest

from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.options_threaded_manager import OptionsThreadedManager

JOBS = {"archive-minutes", "archive-load"}


def settings(folder: Path, database_url: str) -> Settings:
    return Settings.load({"DATA_SOURCE": "paper", "DATABASE_URL": database_url}, folder)


def test_threads_are_started_looked_at_and_stopped(tmp_path: Path, database_url: str) -> None:
    manager = OptionsThreadedManager(settings(tmp_path, database_url))
    assert manager.get_thread_status() == {}
    manager.start_all_threads()
    manager.start_all_threads()
    statuses = manager.get_thread_status()
    assert statuses.keys() >= JOBS
    assert all(status.running for status in statuses.values())
    assert manager.stop_all_threads()
    assert manager.get_thread_status() == {}
    with duckdb.connect(str(tmp_path / "data" / "options_chain_data.duckdb"), read_only=True) as of:
        assert of.execute("SELECT count(*) FROM ltp_data").fetchall() == [(0,)]


def test_a_second_manager_is_refused_until_the_first_has_stopped(
    tmp_path: Path, sqlite_url: str
) -> None:
    first, second = (OptionsThreadedManager(settings(tmp_path, sqlite_url)) for _ in range(2))
    first.start_all_threads()
    with pytest.raises(SetupError, match="another program archives into"):
        second.start_all_threads()
    assert second.get_thread_status() == {}
    first.stop_all_threads()
    second.start_all_threads()
    assert second.stop_all_threads()
