"""Where the archive of a world is."""

from pathlib import Path

import pytest

from data_fetch.core.archive.places import archive_root
from data_fetch.core.world import World

DATA, CHOSEN = Path("data"), Path("elsewhere")


@pytest.mark.parametrize(
    ("chosen", "owner", "root"),
    [
        (None, None, DATA),
        (None, World.LIVE, DATA),
        (None, World.PAPER, DATA / "live"),
        (CHOSEN, None, CHOSEN),
        (CHOSEN, World.PAPER, CHOSEN),
    ],
)
def test_the_folder_of_a_live_archive(chosen: Path | None, owner: World | None, root: Path) -> None:
    assert archive_root(chosen, DATA, World.LIVE, owner) == root
