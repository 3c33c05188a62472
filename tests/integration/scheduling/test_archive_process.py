"""The archiver beside a collector: started, started again, and ended with it."""

import subprocess
import sys
import textwrap
from pathlib import Path
from threading import Event

import pytest
from effort import PATIENCE_SECONDS

from data_fetch.core.settings import Settings
from data_fetch.scheduling import archive_process
from data_fetch.scheduling.archive_process import archiving


def settings(folder: Path, enabled: bool = True) -> Settings:
    given = {"DATA_SOURCE": "paper", "ARCHIVE_ENABLED": str(enabled)}
    return Settings.load(given, folder)


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", textwrap.dedent(text))


def until_its_input_ends(mark: Path) -> tuple[str, ...]:
    """A program that writes "begun" and, when its standard input ends, "ended"."""
    return program(
        f"""
        import sys
        with open({str(mark)!r}, "a") as mark:
            print("begun", file=mark, flush=True)
            sys.stdin.read()
            print("ended", file=mark, flush=True)
        """
    )


def wait_for(mark: Path, text: str) -> None:
    nap = Event()
    for _ in range(PATIENCE_SECONDS * 10):
        if mark.exists() and text in mark.read_text():
            return
        nap.wait(0.1)
    raise AssertionError(f"{mark} never had {text!r}")


def test_it_runs_as_long_as_the_collector(tmp_path: Path) -> None:
    mark, reports = tmp_path / "mark", []
    with archiving(settings(tmp_path), reports.append, until_its_input_ends(mark)):
        wait_for(mark, "begun")
    assert mark.read_text() == "begun\nended\n"
    assert reports == []


def test_there_is_none_where_the_archive_is_turned_off(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with archiving(settings(tmp_path, enabled=False), print, until_its_input_ends(mark)):
        pass
    assert not mark.exists()


def test_one_that_ends_by_itself_is_reported_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_process, "RESTART_SECONDS", 0.1)
    mark, reports = tmp_path / "mark", []
    failing = program(f"open({str(mark)!r}, 'a').write('begun '); raise SystemExit(4)")
    with archiving(settings(tmp_path), reports.append, failing):
        wait_for(mark, "begun begun")
    assert "The archiver has ended (exit status 4); collecting goes on" in reports[0]


def test_it_ends_with_a_collector_that_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    collector = program(
        f"""
        import sys, time
        from pathlib import Path
        from data_fetch.core.settings import Settings
        from data_fetch.scheduling.archive_process import archiving
        settings = Settings.load({{"DATA_SOURCE": "paper"}}, Path({str(tmp_path)!r}))
        with archiving(settings, print, {until_its_input_ends(mark)!r}):
            time.sleep({PATIENCE_SECONDS})
        """
    )
    with subprocess.Popen(collector) as process:
        wait_for(mark, "begun")
        process.kill()
    wait_for(mark, "ended")
