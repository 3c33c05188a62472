"""Which files of a list cannot be read, at the cost of a look at each: whether it is there, its
size, its footer. Damaged pages are found by reading all of its bytes only."""

from pathlib import Path
from typing import Protocol

from pyarrow import parquet as pq

from data_fetch.archive.parquet_files import UNREADABLE

Appearance = tuple[int, int, int]


class ListedFile(Protocol):
    """A file of the manifest or of the ledger; *path* is relative to the archive's folder."""

    @property
    def path(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...


class FileLooks:
    """Looks at the files under *root*, at each footer once until its file changes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sound: dict[str, Appearance] = {}

    def flaw(self, file: ListedFile) -> str | None:
        """Why the file cannot be read; None for one that can."""
        path = self._root / file.path
        try:
            found = path.stat()
            if found.st_size != file.size_bytes:
                return f"it has {found.st_size:,} bytes; {file.size_bytes:,} were written"
            appearance = (found.st_mtime_ns, found.st_size, found.st_ino)
            if self._sound.get(file.path) != appearance:
                pq.read_metadata(path)
                self._sound[file.path] = appearance
        except (FileNotFoundError, NotADirectoryError):
            return "it is not there"
        except UNREADABLE as problem:
            return f"it cannot be read ({problem})"
        return None
