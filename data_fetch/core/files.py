"""Files that are there as a whole or not at all, whatever ends the program that writes them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

# No pattern for Parquet or DuckDB files matches a file that is being written.
UNFINISHED = ".unfinished"
OWNER_ONLY, OWNERS_FOLDER = 0o600, 0o700


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A name to write under; afterwards the file is at *path*, in the place of a former one.

    The file is on disk before it gets its name, its folders are made, and only its owner can read
    it. If writing fails there is no file, and a former one is untouched.
    """
    make_folder(path.parent)
    unfinished = path.with_name(f"{path.name}.{uuid4().hex[:8]}{UNFINISHED}")
    try:
        yield unfinished
        publish(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def publish(unfinished: Path, path: Path) -> None:
    """Give a file that is complete its name, in the place of a former one: once it is on disk, and
    for its owner only."""
    unfinished.chmod(OWNER_ONLY)
    _sync(unfinished)
    unfinished.replace(path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make *folder*, and those above it, for its owner only."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=OWNERS_FOLDER, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Let the names in *folder* survive a loss of power."""
    # Windows has no such call: it cannot open a folder.
    if os.name != "nt":
        _sync(folder)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
