"""Installed from a wheel, the product has all it needs with it: no checkout is at hand."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from checkout import CHECKOUT

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
        timeout=110,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    [file] = (copy / "dist").glob("data_fetch-*.whl")
    return file


class Installation:
    """The unpacked wheel, and commands that run it from an empty folder."""

    def __init__(self, wheel: Path, place: Path) -> None:
        self.target = place / "installed"
        self.folder = place / "work"
        self.folder.mkdir(parents=True)
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(self.target)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self._python("-m", "data_fetch", *arguments)

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def where(self) -> Path:
        """The place that the package is imported from."""
        return Path(self._python("-c", "print(__import__('data_fetch').__file__)").stdout)

    def _python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            # Found before the checkout that the tests themselves run from.
            env={"PYTHONPATH": str(self.target), "HOME": str(self.folder.parent)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@pytest.fixture
def installation(wheel: Path, tmp_path: Path) -> Installation:
    return Installation(wheel, tmp_path)


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

    assert told == {"listed": 214, "resolved": 214, "unresolved": []}


def test_a_wheel_holds_the_product_and_nothing_of_the_workshop(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()

    assert {name.split("/")[0].split("-")[0] for name in names} == {"data_fetch"}
    assert not [name for name in names if name.endswith((".pyc", ".db", ".log", ".env"))]
    assert "data_fetch/packaged/nse_fo_stock_symbols.txt" in names
