"""Served stores that several tests share, one of each kind of database."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from family_shelf import family_server
from range_shelf import RangeServer, range_server
from served import Served
from servers import DatabaseCopies


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
