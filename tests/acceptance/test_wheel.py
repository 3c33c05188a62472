"""Installed from a wheel, the product has all it needs with it: no checkout is at hand."""

import json
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from checkout import CHECKOUT
from effort import PATIENCE_SECONDS
from programs import set_clock

# What a wheel is built from; the rest of a checkout plays no part.
SOURCES = ["pyproject.toml", "README.md", "LICENSE", "nse_fo_stock_symbols.txt"]
FOLDERS = ["data_fetch", "alembic"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout, built from a copy so that nothing is left in it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        shutil.copy(CHECKOUT / name, copy)
    for name in FOLDERS:
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    [file] = (copy / "dist").glob("data_fetch-*.whl")
    return file


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel; what it depends on is that of the tests' own."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True, with_pip=False)
    # A line of a .pth file: of the folder it names, other .pth files (the checkout's) play no part.
    lent = place / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages" / "lent.pth"
    lent.write_text(sysconfig.get_path("purelib"))
    # The tests' environment is made without a pip of its own.
    pip = [sys._base_executable, "-m", "pip", "--python", str(place / "bin" / "python")]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", str(wheel)],
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    return place


@dataclass(frozen=True)
class Installation:
    """The installed wheel, and commands that run it from an empty folder."""

    target: Path
    folder: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self._run("data-fetch", *arguments)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self.target / "bin" / "data-fetch", *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def where(self) -> Path:
        """The place that the package is imported from."""
        program = "print(__import__('data_fetch').__file__)"
        return Path(self._run("python", "-c", program).stdout)

    @property
    def _environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder.parent)}

    def _run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.target / "bin" / program, *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


@pytest.fixture
def installation(environment: Path, tmp_path: Path) -> Installation:
    (folder := tmp_path / "work").mkdir()
    return Installation(environment, folder)


def test_the_program_that_runs_is_the_wheels(installation: Installation) -> None:
    assert installation.where().is_relative_to(installation.target)


def test_migrations_come_with_the_wheel(installation: Installation) -> None:
    told = installation.json("db", "upgrade")

    assert told["from"] is None
    assert told["to"]
    assert installation.json("db", "current")["up_to_date"] is True


def test_the_calendar_comes_with_the_wheel(installation: Installation) -> None:
    told = installation.json("calendar", "show", "2026-09-16")

    assert (told["windows"], told["auction"]) == ([["09:15", "15:15"]], ["15:15", "15:35"])


def test_the_symbols_list_comes_with_the_wheel(installation: Installation) -> None:
    told = installation.json("universe")

    assert told == {"listed": 214, "resolved": 214, "unresolved": [], "followed": []}


def test_a_wheel_holds_the_product_and_nothing_of_the_workshop(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()

    assert {name.split("/")[0].split("-")[0] for name in names} == {"data_fetch"}
    assert not [name for name in names if name.endswith((".pyc", ".db", ".log", ".env"))]
    assert "data_fetch/packaged/nse_fo_stock_symbols.txt" in names


def test_in_an_empty_folder_it_collects(installation: Installation) -> None:
    process = installation.start("run", "--minutes", "2")
    assert process.stdout is not None
    url = address_of_exchange(process, installation.folder)
    lines = []
    for _ in range(2):
        move_clock(url, before_next_minute)
        lines.append(process.stdout.readline())
    move_clock(url, before_next_minute)
    process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 0
    assert all("quotes   slot" in line and "214 of 214 stored" in line for line in lines), lines
    with closing(sqlite3.connect(installation.folder / "data" / "paper.db")) as store:
        found = store.execute("SELECT count(*) FROM ltp_data GROUP BY timestamp").fetchall()
    assert len(found) >= 2
    assert set(found) == {(214,)}


def address_of_exchange(process: "subprocess.Popen[str]", folder: Path) -> str:
    """Where the paper exchange listens that *process* serves in its *folder*."""
    file = folder / "data" / "paper_exchange.json"
    while process.poll() is None:
        with suppress(OSError, ValueError):
            return str(orjson.loads(file.read_bytes())["url"])
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    raise AssertionError("it ended before it served an exchange")


def before_next_minute(now: datetime) -> datetime:
    """A second before the next slot is due, if that is not past."""
    return max(now, now.replace(second=59, microsecond=0))


def move_clock(url: str, to: Callable[[datetime], datetime]) -> None:
    """Move the paper market's clock on, as its users may."""
    now = datetime.fromisoformat(urllib3.request("GET", f"{url}/paper/clock").json()["now"])
    set_clock(url, to(now).isoformat())
