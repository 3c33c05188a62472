"""Files that are there as a whole or not at all, and that only their owner can read.

What is collected is costly, and some of it opens accounts: stores, archives, backups, raw
responses, tokens, logs. What a user asked for by name, an export or a picture, is not written here.
Windows has no such modes: there a folder is as open as the one that it is in.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE
from uuid import uuid4

# No pattern for Parquet or DuckDB files matches a file that is being written.
UNFINISHED = ".unfinished"
OWNER_ONLY, OWNERS_FOLDER = 0o600, 0o700
OTHERS = 0o077
HAS_MODES = os.name == "posix"


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """An empty file to write into; afterwards it is at *path*, in the place of a former one.

    The file is on disk before it gets its name, its folders are made, and only its owner can read
    it, from the first byte on. If writing fails there is no file, and a former one is untouched.
    """
    make_folder(path.parent)
    unfinished = path.with_name(f"{path.name}.{uuid4().hex[:8]}{UNFINISHED}")
    try:
        unfinished.touch(mode=OWNER_ONLY)
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
    # An error if it is a file.
    folder.mkdir(exist_ok=True)


def private_folder(folder: Path) -> None:
    """Make *folder*, which is ours, and close it to others if it was open to them."""
    make_folder(folder)
    close_to_others(folder)


def private_file(path: Path) -> None:
    """Make *path*, an empty file, and close it to others if it was there and open to them."""
    if not path.exists():
        path.touch(mode=OWNER_ONLY)
    close_to_others(path)


def close_to_others(path: Path) -> None:
    """Take the rights of others away, if there is such a file or folder, and it is ours."""
    if not HAS_MODES or not path.exists():
        return
    mode = path.stat().st_mode
    if mode & OTHERS:
        # Of another user, or on a disk that is read-only: its owner has to do it.
        with suppress(OSError):
            path.chmod(S_IMODE(mode) & ~OTHERS)


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
