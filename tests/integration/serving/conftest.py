"""Served stores that several tests share, one of each kind of database."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from candle_shelf import TUESDAY, environment_for
from family_shelf import family_server
from range_shelf import RangeServer, range_server
from raw_requests import Target
from served import Served, served
from served_market import FILLED, market_shelf, trade
from servers import DatabaseCopies

from data_fetch.core.settings import Settings

SECRET = "a secret of more than thirty-two bytes"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The URL of an empty database of each kind, and a folder, for all tests of a module."""
    folder = tmp_path_factory.mktemp("served")
    if request.param == "postgres":
        copies: DatabaseCopies = request.getfixturevalue("postgres_copies")
        with copies.one() as url:
            yield url, folder
        return
    template: Path = request.getfixturevalue("sqlite_template")
    shutil.copyfile(template, folder / "store.db")
    yield f"sqlite:///{folder / 'store.db'}", folder


@pytest.fixture(scope="module")
def ranges(shared_database: tuple[str, Path]) -> Iterator[RangeServer]:
    """A served `range_shelf`. Its tests leave what they ask for as it is."""
    with range_server(*shared_database) as server:
        yield server


@pytest.fixture(scope="module")
def families(shared_database: tuple[str, Path]) -> Iterator[Served]:
    """A served `family_shelf`."""
    with family_server(*shared_database) as server:
        yield server


@pytest.fixture(scope="module")
def targets(
    postgres_copies: DatabaseCopies, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Target]]:
    """Servers over `FILLED`, a store of each kind with rows, and `empty`, one without."""
    with ExitStack() as opened:
        found = {}
        for name in (*FILLED, "empty"):
            folder = tmp_path_factory.mktemp(name)
            if name == "postgres":
                url = opened.enter_context(postgres_copies.one())
            else:
                url = f"sqlite:///{folder / 'store.db'}"
            if name in FILLED:
                _fill(url, folder)
            variables = {**environment_for(url), "JWT_SECRET": SECRET}
            server = opened.enter_context(served(Settings.load(variables, folder)))
            found[name] = Target(server.url, (url, SECRET, str(folder)))
        yield found


def _fill(url: str, folder: Path) -> None:
    with market_shelf(url, folder) as shelf:
        trade(shelf, TUESDAY)
