"""What is collected is there whole or not at all, and only its owner can read it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_fetch.core.files import (
    close_to_others,
    make_folder,
    new_file,
    private_file,
    private_folder,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere files have no such modes")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_that_are_made_are_the_owners(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    make_folder(tmp_path / "data" / "backups")

    assert [mode(tmp_path / "data"), mode(tmp_path / "data" / "backups")] == [0o700, 0o700]
    # It was there before, and may be anything: /tmp, a home.
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize(
    ("before", "after"), [(0o755, 0o700), (0o777, 0o700), (0o700, 0o700), (0o500, 0o500)]
)
def test_a_folder_of_ours_is_closed_to_others(tmp_path: Path, before: int, after: int) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(before)

    private_folder(tmp_path / "data")

    assert mode(tmp_path / "data") == after


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o664, 0o600), (0o400, 0o400)])
def test_an_existing_file_is_closed_to_others_and_stays_as_it_is(
    tmp_path: Path, before: int, after: int
) -> None:
    file = tmp_path / "store.db"
    file.write_text("rows")
    file.chmod(before)
    changed_at = file.stat().st_mtime_ns

    private_file(file)

    assert (mode(file), file.read_text()) == (after, "rows")
    assert file.stat().st_mtime_ns == changed_at


def test_a_new_file_is_never_open_to_others(tmp_path: Path) -> None:
    private_file(tmp_path / "store.db")
    with new_file(tmp_path / "whole.json") as unfinished:
        unfinished.write_text("{}")
        assert mode(unfinished) == 0o600

    assert mode(tmp_path / "store.db") == mode(tmp_path / "whole.json") == 0o600


def test_what_is_missing_stays_missing(tmp_path: Path) -> None:
    close_to_others(tmp_path / ".env")

    assert not (tmp_path / ".env").exists()


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "data")
