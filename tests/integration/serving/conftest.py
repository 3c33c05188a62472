"""Served stores that several tests share, one of each kind of database."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from range_shelf import RangeServer, range_server
from servers import DatabaseCopies


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def ranges(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RangeServer]:
    """A served `range_shelf`. Its tests leave what they ask for as it is."""
    folder = tmp_path_factory.mktemp("ranges")
    if request.param == "postgres":
        copies: DatabaseCopies = request.getfixturevalue("postgres_copies")
        with copies.one() as url, range_server(url, folder) as server:
            yield server
        return
    template: Path = request.getfixturevalue("sqlite_template")
    shutil.copyfile(template, folder / "store.db")
    with range_server(f"sqlite:///{folder / 'store.db'}", folder) as server:
        yield server
