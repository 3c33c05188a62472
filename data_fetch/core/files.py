"""Files that are whole or not there."""

import os
from pathlib import Path


def publish(draft: Path, target: Path) -> None:
    """Rename the finished *draft* to *target*, which is replaced; lasts through a power cut."""
    with draft.open("rb") as written:
        os.fsync(written.fileno())
    draft.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Write the names in *folder* to the disk. Windows has no such call and does it by itself."""
    if os.name != "posix":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
